"""What every queue does, the embedded one and the one on Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest

from slideloom.queues.base import Queue
from slideloom.queues.local import LocalQueue
from slideloom.queues.redis import RedisRunner
from tests.support.queue_worker import silent_log
from tests.support.redis_server import RedisServer

_CONCURRENCY = 2


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.slow)])
async def queue(request: pytest.FixtureRequest) -> AsyncIterator[Queue]:
    if request.param == "local":
        local = LocalQueue(concurrency=_CONCURRENCY)
        yield local
        await local.stop()
        return
    server: RedisServer = request.getfixturevalue("shared_redis")
    runner = await RedisRunner.open_runner(
        server.url, name=uuid4().hex, concurrency=_CONCURRENCY, log=silent_log()
    )
    yield runner
    await runner.close()


class Handler:
    """Notes what it is asked to run; each run lasts until `go`."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, batch_id: str) -> None:
        self.begun.append(batch_id)
        await self.go.wait()
        self.ended.append(batch_id)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.002)


async def test_what_is_submitted_runs(queue: Queue) -> None:
    handler = Handler()
    handler.go.set()
    queue.serve(handler)
    for batch_id in ("a", "b", "c"):
        await queue.submit(batch_id)
    await until(lambda: len(handler.ended) == 3)
    assert sorted(handler.ended) == ["a", "b", "c"]


async def test_no_more_run_at_once_than_may(queue: Queue) -> None:
    handler = Handler()
    queue.serve(handler)
    for batch_id in ("a", "b", "c", "d"):
        await queue.submit(batch_id)
    await until(lambda: len(handler.begun) == _CONCURRENCY)
    await asyncio.sleep(0.05)
    assert len(handler.begun) == _CONCURRENCY
    handler.go.set()
    await until(lambda: len(handler.ended) == 4)


async def test_an_id_may_come_again_once_it_has_ended(queue: Queue) -> None:
    handler = Handler()
    handler.go.set()
    queue.serve(handler)
    for round_number in range(1, 4):
        await queue.submit("a")
        await until(lambda: len(handler.ended) == round_number)  # noqa: B023 - used at once
        await asyncio.sleep(0.05)  # the queue hears of the end, too


async def test_drain_says_whether_all_ended_in_time(queue: Queue) -> None:
    handler = Handler()
    queue.serve(handler)
    await queue.submit("a")
    await until(lambda: bool(handler.begun))
    assert not await queue.drain(timeout_s=0.02)
    handler.go.set()
    assert await queue.drain(timeout_s=5)
    assert handler.ended == ["a"]


async def test_stop_cancels_what_runs(queue: Queue) -> None:
    handler = Handler()
    queue.serve(handler)
    await queue.submit("a")
    await until(lambda: bool(handler.begun))
    await queue.stop()
    assert handler.ended == []
    assert await queue.drain(timeout_s=0)
