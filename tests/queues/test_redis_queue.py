"""The queue on Redis: real servers, real processes, real faults."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from slideloom.errors import Stopping, StoreError, StoreUnusable
from slideloom.queues.redis import RedisQueue, RedisRunner
from tests.support.queue_worker import IDLE_TIMEOUT_S, Diary, queue_worker, silent_log
from tests.support.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.slow

_STREAM = "streaq:slideloom:queues:normal"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def queue(server: RedisServer) -> AsyncIterator[RedisQueue]:
    queue = await RedisQueue.open(server.url)
    yield queue
    await queue.close()


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "diary")


@pytest.fixture
def plain(server: RedisServer) -> Iterator[Redis]:
    with Redis(port=server.port) as client:
        yield client


@asynccontextmanager
async def running(server: RedisServer, diary: Diary, **changes: Any) -> AsyncIterator[RedisRunner]:
    """A runner in this process."""
    numbers: dict[str, Any] = {"concurrency": 10, "idle_timeout_s": IDLE_TIMEOUT_S} | changes
    runner = await RedisRunner.open_runner(server.url, log=silent_log(), **numbers)
    runner.serve(diary.run, give_up=diary.abandon)
    yield runner
    await runner.close()


def report(what: str) -> None:
    """A figure, shown by `pytest -s`."""
    print(what)  # noqa: T201 - as asked for


def count_connections(plain: Redis) -> int:
    """Those of queues."""
    return sum(line["name"] == "slideloom-queue" for line in plain.client_list())


# Submitting.


async def test_what_is_submitted_before_there_is_a_worker_waits_for_one(
    server: RedisServer, queue: RedisQueue, diary: Diary
) -> None:
    await queue.submit("early@0")
    async with running(server, diary):
        await diary.wait("ended", "early@0", timeout_s=5)


async def test_an_id_submitted_many_times_while_it_waits_or_runs_runs_once(
    server: RedisServer, queue: RedisQueue, diary: Diary
) -> None:
    await asyncio.gather(*(queue.submit("deck@0.5") for _ in range(25)))
    async with running(server, diary):
        await diary.wait("began", "deck@0.5")
        await asyncio.gather(*(queue.submit("deck@0.5") for _ in range(25)))
        await diary.wait("ended", "deck@0.5")
        await asyncio.sleep(0.7)
        assert len(diary.read("began")) == 1
        await queue.submit("deck@0.5")
        await diary.wait("ended", "deck@0.5", count=2, timeout_s=5)


async def test_a_batch_wanted_again_while_it_runs_follows_itself_once(
    server: RedisServer, queue: RedisQueue, diary: Diary, plain: Redis
) -> None:
    async with running(server, diary):
        await queue.submit("deck@0.3", again=True)
        await diary.wait("began")
        assert not plain.keys("*again*")
        for _ in range(10):
            await queue.submit("deck@0.3", again=True)
        await diary.wait("ended", count=2, timeout_s=5)
        await asyncio.sleep(0.6)
        assert len(diary.read("began")) == 2
        assert not plain.keys("*deck*")


async def test_no_wish_to_run_again_is_lost_at_the_moment_of_the_end(
    server: RedisServer, queue: RedisQueue
) -> None:
    """The handler's last look may be at any moment before its end, the wish at any after it."""
    wishes, seen, ended = 0, 0, asyncio.Event()

    async def look(_batch_id: str) -> None:
        nonlocal seen
        seen = wishes
        ended.set()

    runner = await RedisRunner.open_runner(server.url, concurrency=2, log=silent_log())
    runner.serve(look)
    for number in range(200):
        ended.clear()
        wishes += 1
        await queue.submit("deck", again=True)
        await ended.wait()
        await asyncio.sleep(number % 20 * 0.0005)
    async with asyncio.timeout(5):
        while seen < wishes:
            await asyncio.sleep(0.01)
    await runner.close()


async def test_a_hundred_batches_on_two_workers_run_once_each(
    server: RedisServer, queue: RedisQueue, diary: Diary, tmp_path: Path
) -> None:
    path = tmp_path / "diary"
    with queue_worker(server.url, path), queue_worker(server.url, path):
        for number in range(100):
            await queue.submit(f"n{number}@0.1")
        ended = await diary.wait("ended", count=100)
    assert len({one.batch_id for one in ended}) == len(ended) == 100
    assert len({one.pid for one in ended}) == 2


async def test_redis_away_is_a_store_error_soon_and_back_again_is_none(
    server: RedisServer, queue: RedisQueue
) -> None:
    server.kill()
    began_s = time.monotonic()
    with pytest.raises(StoreError, match="the queue on Redis at"):
        await queue.submit("a@0")
    assert time.monotonic() - began_s < 3
    server.start()
    await queue.submit("a@0")


async def test_frozen_redis_is_a_store_error_for_all_who_wait(
    server: RedisServer, queue: RedisQueue
) -> None:
    server.send(signal.SIGSTOP)
    began_s = time.monotonic()
    answers = await asyncio.gather(
        *(queue.submit(f"{n}@0") for n in range(5)), return_exceptions=True
    )
    assert all(isinstance(answer, StoreError) for answer in answers), answers
    assert time.monotonic() - began_s < 7
    server.send(signal.SIGCONT)
    await queue.submit("a@0")


async def test_functions_lost_by_redis_are_loaded_again(queue: RedisQueue, plain: Redis) -> None:
    plain.function_flush()
    await queue.submit("a@0")
    assert plain.xlen(_STREAM) == 1


async def test_a_server_that_will_not_do_is_named_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"127\.0\.0\.1:9"):
        await RedisQueue.open("redis://127.0.0.1:9/0")
    with pytest.raises(StoreUnusable, match="is not like redis://") as caught:
        await RedisQueue.open("redis://:se/cret@localhost")
    assert "cret" not in str(caught.value)
    with redis_server(tmp_path, requirepass="pass/word") as server:
        with pytest.raises(StoreUnusable, match="cannot be used"):
            await RedisQueue.open(server.url)
        inside = server.url.replace("redis://", "redis://:pass%2Fword@")
        await (await RedisQueue.open(inside)).close()


async def test_connections_are_few(
    server: RedisServer, queue: RedisQueue, diary: Diary, plain: Redis
) -> None:
    await asyncio.gather(*(queue.submit(f"{n}@0.3") for n in range(50)))
    assert count_connections(plain) == 1
    async with running(server, diary, concurrency=50):
        await diary.wait("began", count=50)
        assert count_connections(plain) == 1 + 2
        await diary.wait("ended", count=50)
        assert count_connections(plain) == 1 + 2
    assert count_connections(plain) == 1


# Workers that fail.


async def test_batches_of_a_killed_worker_are_taken_over(
    server: RedisServer, queue: RedisQueue, diary: Diary, tmp_path: Path
) -> None:
    path = tmp_path / "diary"
    with queue_worker(server.url, path) as first:
        for number in range(5):
            await queue.submit(f"n{number}@3")
        await diary.wait("began", count=5)
        with queue_worker(server.url, path):
            await asyncio.sleep(0.5)
            first.kill()
            killed_s = time.monotonic()
            began = await diary.wait("began", count=10, timeout_s=4 * IDLE_TIMEOUT_S)
            taken_s = began[-1].at_s - killed_s
            report(f"taken over {taken_s:.1f} s after the kill, idle timeout {IDLE_TIMEOUT_S} s")
            assert taken_s < 1.25 * IDLE_TIMEOUT_S + 1
            assert len(await diary.wait("ended", count=5)) == 5


async def test_a_frozen_worker_comes_back_and_leaves_the_entry_to_who_has_it(
    server: RedisServer, queue: RedisQueue, diary: Diary, tmp_path: Path, plain: Redis
) -> None:
    path = tmp_path / "diary"
    with queue_worker(server.url, path) as first, queue_worker(server.url, path) as second:
        await queue.submit("deck@5")
        (began,) = await diary.wait("began")
        frozen = first if began.pid == first.pid else second
        frozen.send_signal(signal.SIGSTOP)
        await diary.wait("began", count=2, timeout_s=4 * IDLE_TIMEOUT_S)
        await asyncio.sleep(max(0.0, began.at_s + 5.5 - time.monotonic()))
        frozen.send_signal(signal.SIGCONT)  # its run ends at once, the other's later
        await diary.wait("ended")
        await asyncio.sleep(0.3)
        assert plain.exists("streaq:slideloom:task:data:deck@5")  # still dedupes
        ended = await diary.wait("ended", count=2)
        assert len({one.pid for one in ended}) == 2
        await asyncio.sleep(1)
        assert len(diary.read("began")) == 2
        assert not plain.exists("streaq:slideloom:task:data:deck@5")


async def test_a_batch_that_always_fails_is_given_up_and_holds_nobody_up(
    server: RedisServer, queue: RedisQueue, diary: Diary, plain: Redis
) -> None:
    async with running(server, diary, concurrency=1, max_tries=3, retry_s=0.05):
        await queue.submit("broken@0")
        await queue.submit("fine@0")
        await diary.wait("ended", "fine@0", timeout_s=5)
        await diary.wait("began", "broken@0", count=3, timeout_s=10)
        await asyncio.sleep(1.5)
        assert len(diary.read("began", "broken@0")) == 3
        assert len(diary.read("abandoned")) == 1
        assert not plain.keys("*broken*")
        await queue.submit("fine@0")
        await diary.wait("ended", "fine@0", count=2, timeout_s=5)


async def test_a_batch_that_ended_its_worker_too_often_is_not_begun_again(
    server: RedisServer, queue: RedisQueue, diary: Diary, plain: Redis
) -> None:
    plain.set("streaq:slideloom:task:retry:deadly@0", 3)  # as three that died leave it
    await queue.submit("deadly@0")
    await queue.submit("fine@0")
    async with running(server, diary, max_tries=3):
        await diary.wait("ended", "fine@0", timeout_s=5)
        await asyncio.sleep(0.2)
        assert not diary.read("began", "deadly@0")
        assert len(diary.read("abandoned", "deadly@0")) == 1
        assert not plain.keys("*deadly*")


# Orderly ends.


async def test_signals_are_left_to_the_process(
    server: RedisServer, queue: RedisQueue, diary: Diary
) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        async with running(server, diary):
            await queue.submit("deck@0.3")
            await diary.wait("began")
            os.kill(os.getpid(), signal.SIGTERM)
            await diary.wait("ended")
            await queue.submit("next@0")
            await diary.wait("ended", "next@0", timeout_s=5)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_worker_told_to_stop_hands_its_batches_over_at_once(
    server: RedisServer, queue: RedisQueue, diary: Diary, tmp_path: Path, plain: Redis
) -> None:
    path = tmp_path / "diary"
    with queue_worker(server.url, path, concurrency=2) as first:
        for number in range(4):
            await queue.submit(f"n{number}@3")
        await diary.wait("began", count=2)
        with queue_worker(server.url, path, concurrency=4):
            await diary.wait("began", count=4)
            first.send_signal(signal.SIGTERM)
            told_s = time.monotonic()
            began = await diary.wait("began", count=6, timeout_s=10)
            report(
                f"handed over {began[-1].at_s - told_s:.2f} s after SIGTERM, 0.2 s of them grace"
            )
            assert began[-1].at_s - told_s < 2
            assert await asyncio.to_thread(first.wait, 5) == 0
            assert len(diary.read("cancelled")) == 2
            await diary.wait("ended", count=4)
            await asyncio.sleep(0.1)
            (group,) = plain.xinfo_groups(_STREAM)
            assert (group["consumers"], group["pending"]) == (1, 0)


async def test_a_worker_told_to_stop_while_redis_takes_its_time_hands_over_at_once(
    server: RedisServer, queue: RedisQueue, diary: Diary, plain: Redis
) -> None:
    async with running(server, diary, idle_timeout_s=20.0) as first:
        await queue.submit("deck@3")
        await diary.wait("began")
        async with running(server, diary, idle_timeout_s=20.0):
            await asyncio.sleep(0.5)
            plain.client_pause(800)
            await asyncio.sleep(0.6)  # what it asks every half second is not answered
            told_s = time.monotonic()
            await first.drain(timeout_s=0.1)
            await first.stop()
            again = (await diary.wait("began", count=2, timeout_s=30))[-1]
            report(f"handed over {again.at_s - told_s:.2f} s after it was told, by a slow Redis")
            assert again.at_s - told_s < 2


async def test_handing_over_does_not_count_as_a_try(
    server: RedisServer, queue: RedisQueue, diary: Diary
) -> None:
    await queue.submit("deck@0.3")
    for number in range(1, 6):
        async with running(server, diary, max_tries=2):
            await diary.wait("began", count=number, timeout_s=5)
    async with running(server, diary, max_tries=2):
        await diary.wait("ended", timeout_s=5)


async def test_a_batch_left_open_by_a_stop_is_handed_over(
    server: RedisServer, queue: RedisQueue, diary: Diary
) -> None:
    runner = await RedisRunner.open_runner(server.url, concurrency=1, log=silent_log())
    stopping = asyncio.Event()

    async def stop_early(batch_id: str) -> None:
        diary.write(batch_id, "began")
        await stopping.wait()
        raise Stopping

    runner.serve(stop_early)
    await queue.submit("deck@0")
    await diary.wait("began")
    draining = asyncio.create_task(runner.drain(timeout_s=5))
    await asyncio.sleep(0.05)
    stopping.set()
    assert await draining
    await runner.close()
    async with running(server, diary):
        await diary.wait("ended", "deck@0", timeout_s=5)


async def test_what_is_submitted_while_draining_goes_to_others(
    server: RedisServer, queue: RedisQueue, diary: Diary, tmp_path: Path
) -> None:
    async with running(server, diary) as runner:
        await queue.submit("old@1")
        await diary.wait("began", "old@1")
        draining = asyncio.create_task(runner.drain(timeout_s=5))
        await asyncio.sleep(0.05)
        for number in range(20):
            await queue.submit(f"new{number}@0")
        with queue_worker(server.url, tmp_path / "diary") as other:
            await diary.wait("ended", count=20)
            assert {one.pid for one in diary.read("began")} == {os.getpid(), other.pid}
            assert len(diary.read("began", "old@1")) == 1
        assert await draining


# Redis that fails.


async def test_redis_killed_and_back_costs_no_running_batch_anything(
    server: RedisServer, queue: RedisQueue, diary: Diary, plain: Redis
) -> None:
    async with running(server, diary):
        await queue.submit("long@6")
        await queue.submit("short@1")
        await diary.wait("began", count=2)
        server.kill()
        await asyncio.sleep(2)
        server.start()
        await queue.submit("next@0")
        began_s = time.monotonic()
        await diary.wait("ended", "next@0", timeout_s=10)
        report(f"next batch ran {time.monotonic() - began_s:.1f} s after Redis was back")
        await diary.wait("ended", count=3)
        await asyncio.sleep(2 * IDLE_TIMEOUT_S + 1)
        assert len(diary.read("began")) == 3
        assert count_connections(plain) == 1 + 2
        assert not plain.keys("streaq:slideloom:task:*")


async def test_redis_frozen_for_a_while_costs_no_running_batch_anything(
    server: RedisServer, queue: RedisQueue, diary: Diary
) -> None:
    async with running(server, diary):
        await queue.submit("long@4")
        await diary.wait("began")
        server.send(signal.SIGSTOP)
        await asyncio.sleep(3)
        server.send(signal.SIGCONT)
        await queue.submit("next@0")
        await diary.wait("ended", count=2)
        await asyncio.sleep(IDLE_TIMEOUT_S)
        assert len(diary.read("began")) == 2


async def test_stopping_waits_not_for_ever_for_a_frozen_redis(
    server: RedisServer, queue: RedisQueue, diary: Diary
) -> None:
    async with running(server, diary) as runner:
        await queue.submit("long@30")
        await diary.wait("began")
        server.send(signal.SIGSTOP)
        began_s = time.monotonic()
        await runner.stop()
        report(f"stopped {time.monotonic() - began_s:.1f} s after it was asked, Redis frozen")
        assert time.monotonic() - began_s < 7
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "queue workers"]
        server.send(signal.SIGCONT)
    async with running(server, diary):
        await diary.wait("began", "long@30", count=2, timeout_s=4 * IDLE_TIMEOUT_S)


async def test_all_keys_lost_while_idle_stops_no_worker(
    server: RedisServer, queue: RedisQueue, diary: Diary, plain: Redis
) -> None:
    async with running(server, diary):
        await queue.submit("a@0")
        await diary.wait("ended")
        plain.flushall()
        await queue.submit("b@0")
        await diary.wait("ended", "b@0", timeout_s=5)


@pytest.mark.parametrize(
    "fields",
    [
        {"nothing": "ours"},
        {"task_id": "a", "enqueue_time": "yesterday"},
        {"task_id": "no-such-task", "enqueue_time": "1"},
        {"task_id": b"\xff\xfe", "enqueue_time": b"\xff"},
    ],
)
async def test_a_strange_entry_stops_no_worker(
    server: RedisServer,
    queue: RedisQueue,
    diary: Diary,
    plain: Redis,
    fields: dict[Any, Any],
) -> None:
    async with running(server, diary):
        await queue.submit("old@2")
        await diary.wait("began")
        plain.xadd(_STREAM, fields)
        await asyncio.sleep(0.1)
        await queue.submit("new@0")
        await diary.wait("ended", "new@0", timeout_s=5)
        await diary.wait("ended", "old@2")
        async with asyncio.timeout(30):
            while plain.xlen(_STREAM):
                await asyncio.sleep(0.05)
        await queue.submit("last@0")
        await diary.wait("ended", "last@0", timeout_s=5)
        assert len(diary.read("began")) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"not json",
        b"[]",
        b'{"f":"run_batch"}',
        b'{"f":"other","a":["a@0"],"k":{},"t":1}',
        b'{"f":"run_batch","a":[],"k":{},"t":1}',
        b"\x80\x04cos\nsystem\n",
    ],
)
async def test_a_strange_task_stops_no_worker(
    server: RedisServer, queue: RedisQueue, diary: Diary, plain: Redis, data: bytes
) -> None:
    async with running(server, diary):
        plain.set("streaq:slideloom:task:data:odd@0", data)
        plain.xadd(_STREAM, {"task_id": "odd@0", "enqueue_time": "1"})
        await queue.submit("fine@0")
        await diary.wait("ended", "fine@0", timeout_s=5)
        async with asyncio.timeout(60):
            while plain.xlen(_STREAM):
                await asyncio.sleep(0.05)
        assert not diary.read("began", "odd@0")
