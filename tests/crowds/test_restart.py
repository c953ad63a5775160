"""A start with a thousand stored batches, and a stop with fifty that run."""

import asyncio
import json
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import Struct

from slideloom.domain.batch import fold
from slideloom.domain.events import (
    BatchFinished,
    BatchStarted,
    BatchSubmitted,
    Event,
    SlideDone,
    SlideStarted,
)
from slideloom.stores.sqlite import SqliteBatchStore
from tests.support.crowds import (
    FINAL,
    PATIENCE_S,
    count_billed,
    crowd_deck,
    crowd_session,
    fetch,
    fetch_batches,
    find_tracebacks,
    paid_settings,
    read_resident_mb,
    run_crowd,
    see_refused,
    serving,
    stop,
    stretch,
    submit,
    wait_ended,
    wait_idle,
)
from tests.support.orders import order, slide
from tests.support.upstream import Plan, RemoteUpstream, spawn_upstream

_SEED = 4444
_SLIDES = 20
_TEXT = "A picture of what is said, in the colours of the deck, with room for its few words. " * 6
"""As long as descriptions are that people have written for them."""
_WORKERS = 3
_RUNNING_SLIDES = 4 * _WORKERS
"""Of a batch that is stopped in its middle: in its first round of four."""
_GRACE_S = 20.0


class Stored(Struct, frozen=True, kw_only=True):
    """A folder of batches to start with, and how fast it must be."""

    finished: int
    begun: int = 0
    """Unfinished, with slides that are done, in flight and waiting."""
    pending: int = 0
    """Unfinished, no slide begun."""
    ready_s: float = 3.0
    """From the start of the process to the first good `/readyz`. Source: issue 4."""
    resumed_s: float = 2.0
    """From there to the first call. Source: issue 4."""

    @property
    def total(self) -> int:
        """All batches."""
        return self.finished + self.begun + self.pending


class Start(Struct, frozen=True, kw_only=True):
    """How a start went."""

    ready_s: float
    first_call_s: float
    """Also since the process was started."""
    resident_mb: float


def build_log(number: int, *, done: int, in_flight: int, ends: bool) -> list[Event]:
    """The log of a batch whose first slides are done and whose next ones are in flight."""
    at_s = time.time() - 3600 + number
    texts = [slide(n, title=f"d{number}p{n}", visual_desc=_TEXT) for n in range(1, _SLIDES + 1)]
    log: list[Event] = [BatchSubmitted(at_s=at_s, order=order(tuple(texts)))]
    if done or in_flight:
        log.append(BatchStarted(at_s=at_s))
    for place in range(done + in_flight):
        log.append(_begin(number, place, at_s + place))
        if place < done:
            log.append(_finish(number, place, at_s + place + 9))
    if ends:
        log.append(BatchFinished(at_s=at_s + 60, total_time_s=60.0))
    return log


def _begin(number: int, place: int, at_s: float) -> SlideStarted:
    return SlideStarted(
        at_s=at_s,
        place=place,
        attempt=1,
        provider="chat",
        model="google/gemini-3-pro-image-preview",
        bills=True,
        final_prompt=f"calm blue\n{_TEXT}\nTitle: d{number}p{place + 1}\nAspect ratio 16:9.",
        image_stem=_stem(number, place),
    )


def _finish(number: int, place: int, at_s: float) -> SlideDone:
    return SlideDone(
        at_s=at_s,
        place=place,
        image=f"{_stem(number, place)}.png",
        width=1344,
        height=768,
        aspect_ratio_ok=True,
        generation_time_s=8.7,
        provider="chat",
        model="google/gemini-3-pro-image-preview",
        cost_usd=0.04,
        http_status=200,
        request_id=f"gen-{number}-{place}",
        usage={"prompt_tokens": 211, "completion_tokens": 1290, "total_tokens": 1501},
    )


def _stem(number: int, place: int) -> str:
    return f"slide_{place + 1:03d}_{number * 1000 + place:032x}"


def build_logs(stored: Stored) -> list[list[Event]]:
    """The same ones for every run, oldest first."""
    rng = random.Random(_SEED)
    logs = [build_log(n, done=_SLIDES, in_flight=0, ends=True) for n in range(stored.finished)]
    for number in range(stored.finished, stored.total):
        is_begun = number < stored.finished + stored.begun
        done, in_flight = (rng.randint(0, 12), rng.randint(0, 3)) if is_begun else (0, 0)
        logs.append(build_log(number, done=done, in_flight=in_flight, ends=False))
    return logs


def to_id(number: int) -> str:
    """The id of a stored batch."""
    return f"00000000-0000-4000-8000-{number:012d}"


async def fill(folder: Path, stored: Stored) -> None:
    """Write the batches, as a service would have."""
    (folder / "data").mkdir()
    store = await SqliteBatchStore.open(folder / "data" / "slideloom.sqlite3")
    logs = enumerate(build_logs(stored))
    await run_crowd((_write(store, number, log) for number, log in logs), at_once=100)
    await store.close()


async def _write(store: SqliteBatchStore, number: int, log: list[Event]) -> None:
    first = log[0]
    assert isinstance(first, BatchSubmitted)
    await store.create(to_id(number), first)
    if log[1:]:
        await store.append(to_id(number), 1, log[1:])


async def measure_start(
    folder: Path, upstream: RemoteUpstream, session: aiohttp.ClientSession
) -> tuple[Start, dict[str, Any]]:
    """Start, and see when it is ready and when it calls; every batch as it is then."""
    await upstream.reset(Plan(latency_s=60.0))  # the bill's times count from here
    began_s = time.monotonic()
    async with serving(folder, **paid_settings(upstream)) as service:
        assert (await fetch(session, f"{service.url}/readyz"))["ready"]
        ready_s = time.monotonic() - began_s
        async with asyncio.timeout(PATIENCE_S):
            while not (calls := (await upstream.fetch_report()).bill.calls):
                await asyncio.sleep(0.05)
        batches = await fetch_batches(session, service.url)
        memory_mb = read_resident_mb(service.process.pid)
        await stop(service, signal.SIGKILL)
    start = Start(ready_s=ready_s, first_call_s=calls[0].started_s, resident_mb=memory_mb)
    return start, batches


def check_stored(stored: Stored, batches: dict[str, Any]) -> None:
    """Nothing is lost: what was done is done, what was in flight says so, the rest goes on."""
    logs = build_logs(stored)
    assert batches.keys() == {to_id(number) for number in range(stored.total)}
    for number, log in enumerate(logs):
        before, after = fold("", log), batches[to_id(number)]
        codes = Counter(result["error_code"] for result in after["results"])
        assert after["successful"] == before.count("done")
        assert codes["interrupted"] == after["possibly_billed"] == before.count("generating")
        assert (after["status"] in FINAL) == before.is_final


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(Stored(finished=90, begun=10, ready_s=6.0), marks=pytest.mark.slow),
        pytest.param(Stored(finished=950, begun=50), marks=pytest.mark.long),
        pytest.param(Stored(finished=0, pending=1000), marks=pytest.mark.long),
    ],
    ids=lambda stored: f"{stored.finished}-{stored.begun}-{stored.pending}",
)
async def test_start_with_stored_batches_is_soon_ready_and_goes_on(
    tmp_path: Path, stored: Stored
) -> None:
    await fill(tmp_path, stored)
    async with spawn_upstream() as upstream, crowd_session() as session:
        start, batches = await measure_start(tmp_path, upstream, session)
    print(f"{stored}: {start}")  # noqa: T201 - the figures of the closing note
    check_stored(stored, batches)
    busy = stretch()
    assert start.ready_s <= stored.ready_s * busy
    assert start.first_call_s - start.ready_s <= stored.resumed_s * busy
    assert find_tracebacks(tmp_path) == []


async def wait_for_answer(session: aiohttp.ClientSession, url: str, number: int) -> Any:
    """The whole body that a waiting client gets."""
    deck = crowd_deck(number, _RUNNING_SLIDES, max_workers=_WORKERS)
    async with session.post(f"{url}/api/slide/batch/generate", json=deck) as answer:
        assert answer.status == 200
        return json.loads(await answer.text())


async def stop_in_the_middle(
    folder: Path, upstream: RemoteUpstream, session: aiohttp.ClientSession, count: int
) -> list[Any]:
    """SIGTERM while every batch runs: what the clients of every second one, who wait, are told."""
    settings = paid_settings(upstream, STOP_GRACE_SECONDS=_GRACE_S)
    async with serving(folder, **settings) as service, asyncio.TaskGroup() as clients:
        waiting = [
            clients.create_task(wait_for_answer(session, service.url, number))
            for number in range(1, count, 2)
        ]
        for number in range(2, count + 1, 2):
            deck = crowd_deck(number, _RUNNING_SLIDES, max_workers=_WORKERS)
            await submit(session, service.url, deck)
        while (await upstream.fetch_report()).call_count < count * _WORKERS:
            await asyncio.sleep(0.05)
        began_s = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        await see_refused(session, service.url)
        await wait_ended(service)
        assert service.process.returncode == 0
        assert time.monotonic() - began_s < _GRACE_S
    return [task.result() for task in waiting]


@pytest.mark.parametrize(
    "count", [pytest.param(10, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.long)]
)
async def test_stop_with_running_batches_loses_nothing(tmp_path: Path, count: int) -> None:
    async with spawn_upstream(Plan(latency_s=1.0)) as upstream, crowd_session() as session:
        told = await stop_in_the_middle(tmp_path, upstream, session, count)
        await upstream.send_plan(Plan())
        async with serving(tmp_path, **paid_settings(upstream)) as service:
            await wait_idle(session, service.url)
            batches = await fetch_batches(session, service.url)
            await stop(service)
        report = await upstream.fetch_report()
    assert {body["status"] for body in told} <= {"running", *FINAL}
    assert "running" in {body["status"] for body in told}
    assert len(batches) == count
    assert {one["successful"] for one in batches.values()} == {_RUNNING_SLIDES}
    assert set(count_billed(report).values()) == {1}
    assert report.billed_count == count * _RUNNING_SLIDES
    assert find_tracebacks(tmp_path) == []
