"""Connections that ask for nothing, or never come to an end, keep nobody else from being served."""

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from multiprocessing import get_context
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct

from tests.support.process import Served, served
from tests.support.raw import Answer, line_to, parse_answers, request

pytestmark = pytest.mark.slow

_CLOSED_WITHIN_S = 15
_P99_MS = 200
_HEAD = request("GET /healthz", "User-Agent: ")[:-4]
_BODY = request(
    "POST /api/slide/batch/generate", "Content-Type: application/json", "Content-Length: 100000"
)


class Slow(Struct, frozen=True):
    """What became of a slow connection."""

    seconds: float
    answers: list[Answer]
    is_closed: bool


async def be_slow(url: str, start: bytes) -> Slow:
    """Send `start`, then a byte each second, until the service ends it."""
    async with line_to(url) as line:
        begun_s = time.monotonic()
        pieces = [start, *[b"a"] * 30] if start else []
        sending = asyncio.create_task(line.send(*pieces, pause_s=1))
        got = await line.read(quiet_s=2 * _CLOSED_WITHIN_S)
        sending.cancel()
        return Slow(time.monotonic() - begun_s, parse_answers(got), line.is_closed)


def ask_honestly(url: str, seconds: float) -> list[float]:
    """How long each request took, in milliseconds; half of them on a connection of their own."""

    async def ask() -> list[float]:
        took: list[float] = []
        until_s = time.monotonic() + seconds
        async with aiohttp.ClientSession() as client:
            while time.monotonic() < until_s:
                begun_s = time.perf_counter()
                headers = {"Connection": "close"} if len(took) % 2 else None
                async with client.get(url + "/api/slide/batch", headers=headers) as answer:
                    assert answer.status == 200
                    await answer.read()
                took.append((time.perf_counter() - begun_s) * 1000)
                await asyncio.sleep(0.01)
        return took

    return asyncio.run(ask())


async def ask_apart(url: str, seconds: float) -> list[float]:
    """As `ask_honestly`, from a process that has nothing else to do."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        asked = asyncio.get_running_loop().run_in_executor(pool, ask_honestly, url, seconds)
        return await asked


def count_files(service: Served) -> int:
    return len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))


@pytest.mark.parametrize(
    ("each", "open_files"),
    [
        pytest.param(100, 512, id="small", marks=pytest.mark.long),
        pytest.param(334, 4096, id="full", marks=pytest.mark.long),
    ],
)
async def test_slow_connections_are_closed_and_honest_requests_do_not_notice(
    tmp_path: Path, each: int, open_files: int
) -> None:
    with served(tmp_path, open_files) as service:
        await ask_apart(service.url, 0.2)
        before = count_files(service)
        honest = asyncio.create_task(ask_apart(service.url, _CLOSED_WITHIN_S))
        slow = []
        for _ in range(each):
            slow += [asyncio.create_task(be_slow(service.url, one)) for one in (b"", _HEAD, _BODY)]
            await asyncio.sleep(0.001)
        ended = await asyncio.gather(*slow)
        took = sorted(await honest)
        assert all(one.is_closed for one in ended)
        assert max(one.seconds for one in ended) <= _CLOSED_WITHIN_S
        told = [[answer.status for answer in one.answers] for one in ended]
        assert told == [[], [408], [408]] * each
        p99_ms = took[int(len(took) * 0.99)]
        print(f"{len(took)} honest requests, p99 {p99_ms:.0f} ms, most {took[-1]:.0f} ms")  # noqa: T201 - the figure
        if each > 100:
            assert p99_ms <= _P99_MS
        await asyncio.sleep(1)
        assert count_files(service) <= before


async def test_more_idle_connections_than_open_files_leave_room_for_an_honest_request(
    tmp_path: Path,
) -> None:
    with served(tmp_path, 256) as service:
        async with AsyncExitStack() as stack:
            for _ in range(300):
                await stack.enter_async_context(line_to(service.url))
            assert len(await ask_apart(service.url, 0.2)) >= 2
        service.process.terminate()
        said, _ = await asyncio.to_thread(service.process.communicate, timeout=15)
    (log,) = (tmp_path / "logs").glob("pipeline_*.log")
    assert "MAX_CONNECTIONS is 56 here" in log.read_text(encoding="utf-8")
    assert "out of system resource" not in said


async def test_stop_waits_for_no_slow_client_and_says_nothing_of_it(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        picture = f"slide_{'0' * 32}.png"
        (tmp_path / "static/assets" / picture).write_bytes(bytes(32 << 20))
        async with AsyncExitStack() as stack:
            head, body, reader = [
                await stack.enter_async_context(line_to(service.url)) for _ in range(3)
            ]
            reader._reader._transport.pause_reading()  # type: ignore[attr-defined]
            await reader.send(request(f"GET /assets/{picture}"))
            await head.send(_HEAD)
            await body.send(_BODY)
            await asyncio.sleep(0.5)
            service.process.terminate()
            said, _ = await asyncio.to_thread(service.process.communicate, timeout=15)
            (answer,) = await body.answers()
            assert await head.read() == b""
    assert (answer.status, answer.problem["code"]) == (503, "stopping")
    assert said.strip() == "Stopping."  # the greeting's last line end may come along
    assert service.process.returncode == 0
