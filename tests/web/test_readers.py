"""Readers of live events who are slow, who leave, and who come in crowds."""

import asyncio
import random
import re
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from slideloom.engine.timeline import Timeline
from slideloom.web.events import _Reader
from slideloom.web.streams import run_to_first_wait
from tests.support.orders import deck, order
from tests.support.parts import ScriptedProvider, Workshop
from tests.support.readers import hear_out, open_readers
from tests.support.service import Running

SEED = 7
_ID = re.compile(rb"^id: ([0-9]+)\nevent: (\S+)\ndata: .*\n\n", re.MULTILINE)


class Line:
    """One reader's connection; it takes nothing while it does not flow."""

    def __init__(self, *, is_ours: bool = False) -> None:
        self.is_ours = is_ours
        self.flows = asyncio.Event()
        self.flows.set()
        self.left = asyncio.Event()
        self.got = b""
        self.ends = 0

    async def send(self, message: Any) -> None:
        """ASGI's; like uvicorn's, it takes what it is given and then waits for room."""
        self.got += message["body"]
        self.ends += not message["more_body"]
        if not self.flows.is_set():
            await self.flows.wait()

    def write_piece(self, piece: bytes) -> bool:
        """`WRITE_PIECE`, as our own connections have it."""
        takes = self.is_ours and self.flows.is_set()
        self.got += piece if takes else b""
        return takes

    async def receive(self) -> Any:
        """ASGI's."""
        await self.left.wait()
        return {"type": "http.disconnect"}

    def numbers(self) -> list[int]:
        """The events it was told."""
        return [int(number) for number, _ in _ID.findall(self.got)]


def listen(timeline: Timeline, line: Line) -> asyncio.Task[None]:
    """A reader from the start."""
    reader = _Reader(timeline, after=0, language="en")
    return asyncio.create_task(reader.read(line.receive, line.send, line.write_piece))


async def wait_until(is_so: Callable[[], bool]) -> None:
    """Let the loop run."""
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("is_ours", [True, False])
async def test_slow_reader_holds_nobody_up_and_misses_nothing(*, is_ours: bool) -> None:
    async with Workshop(ScriptedProvider(seconds=0.01)) as shop:
        timeline = await shop.engine.submit(order(6, max_workers=2))
        slow, quick = Line(is_ours=is_ours), Line(is_ours=is_ours)
        slow.flows.clear()
        tasks = [listen(timeline, line) for line in (slow, quick)]
        await timeline.wait_finished(timeout_s=10)
        everything = list(range(1, len(timeline.feed) + 1))
        await wait_until(lambda: quick.numbers() == everything)
        assert slow.numbers() != everything
        slow.flows.set()
        await wait_until(lambda: slow.numbers() == everything)
        for line in (slow, quick):
            line.left.set()
        await asyncio.gather(*tasks)


async def test_reader_that_takes_nothing_costs_a_piece() -> None:
    async with Workshop(ScriptedProvider()) as shop:
        timeline = await shop.engine.submit(order(20, style_prompt="s" * 50_000))
        await timeline.wait_finished(timeout_s=10)
        slow = Line()
        slow.flows.clear()
        task = listen(timeline, slow)
        await wait_until(lambda: bool(slow.got))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(slow.got) < 200_000
        slow.flows.set()
        await wait_until(lambda: slow.numbers() == list(range(1, len(timeline.feed) + 1)))
        assert len(slow.got) > 2_000_000
        slow.left.set()
        await task


async def test_reader_that_leaves_in_the_middle_of_a_piece_leaves_nothing_behind() -> None:
    async with Workshop(ScriptedProvider(seconds=0.01)) as shop:
        timeline = await shop.engine.submit(order(1))
        line = Line()
        line.flows.clear()
        task = listen(timeline, line)
        await wait_until(lambda: bool(line.got))
        line.left.set()
        await task
        await timeline.wait_finished(timeout_s=10)
        names = {one.get_name() for one in asyncio.all_tasks()}
        assert "send to a slow reader" not in names


@pytest.mark.parametrize("is_slow", [False, True])
async def test_stop_ends_the_stream(*, is_slow: bool) -> None:
    async with Workshop(ScriptedProvider(seconds=100)) as shop:
        timeline = await shop.engine.submit(order(1))
        line = Line()
        task = listen(timeline, line)
        await wait_until(lambda: bool(line.numbers()))
        if is_slow:
            line.flows.clear()
        await shop.engine.stop(grace_s=0)
        line.flows.set()
        await wait_until(lambda: line.ends > 0)
        line.left.set()
        await task
        assert line.ends == 1


async def test_stream_ends_once_however_often_that_is_called_out() -> None:
    async with Workshop(ScriptedProvider(seconds=100)) as shop:
        timeline = await shop.engine.submit(order(1))
        line = Line()
        task = listen(timeline, line)
        await wait_until(lambda: bool(line.numbers()))
        timeline.close()
        timeline.close()
        await wait_until(lambda: line.ends > 0)
        await asyncio.sleep(0)
        assert line.ends == 1
        line.left.set()
        await task


async def test_coroutine_runs_at_once_and_what_waits_is_awaited_later() -> None:
    steps: list[int] = []

    async def count(gate: asyncio.Event) -> None:
        steps.append(1)
        await gate.wait()
        steps.append(2)
        await asyncio.sleep(0)
        steps.append(3)

    open_gate, gate = asyncio.Event(), asyncio.Event()
    open_gate.set()
    rest = run_to_first_wait(count(gate))
    assert steps == [1]
    assert rest is not None
    asyncio.get_running_loop().call_soon(gate.set)
    await rest
    assert steps == [1, 2, 3]

    async def count_one() -> None:
        await open_gate.wait()
        steps.append(4)

    assert run_to_first_wait(count_one()) is None
    assert steps[-1] == 4


async def test_what_waits_may_be_cut_off() -> None:
    ended = asyncio.Event()

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    rest = run_to_first_wait(wait_for_ever())
    assert rest is not None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await rest
    assert ended.is_set()


@pytest.mark.slow
async def test_two_hundred_broken_connections_leave_no_gap_and_no_repeat(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 0.02
    dice = random.Random(SEED)
    breaks = 0
    while breaks < 200:
        headers = {"Prefer": "respond-async"}
        order = deck(60, max_workers=3, cache=False)
        _, body, _ = await service.post("/slide/batch/generate", order, headers=headers)
        url = f"{service.url}/api/slide/batch/{body['batch_id']}/events"
        seen: list[tuple[int, bytes]] = []
        while not seen or seen[-1][1] != b"batch.finished":
            pause_s = dice.uniform(0, 0.02)
            seen += await read_a_while(service.client, url, len(seen), pause_s)
            breaks += 1
        assert [number for number, _ in seen] == list(range(1, len(seen) + 1))


async def read_a_while(
    client: aiohttp.ClientSession, url: str, after: int, pause_s: float
) -> list[tuple[int, bytes]]:
    """The whole events that had come when the connection was cut."""
    text = b""
    try:
        async with (
            client.get(url, headers={"Last-Event-ID": str(after)} if after else {}) as answer,
            asyncio.timeout(pause_s),
        ):
            while b"batch.finished" not in text:
                text += await answer.content.readany()
    except TimeoutError:
        pass
    return [(int(number), name) for number, name in _ID.findall(text)]


@pytest.mark.slow
async def test_crowd_of_readers_is_told_everything_in_order(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 0.3
    headers = {"Prefer": "respond-async"}
    _, body, _ = await service.post("/slide/batch/generate", deck(12), headers=headers)
    path = f"/api/slide/batch/{body['batch_id']}/events"
    sockets = await asyncio.to_thread(open_readers, service.url, path, 300)
    heard = await asyncio.to_thread(hear_out, sockets)
    for one in sockets:
        one.close()
    assert {one.readers for one in heard} == {300}
    assert [one.number for one in heard] == list(range(1, len(heard) + 1))
