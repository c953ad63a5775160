"""What the store on Redis adds to the promises of every store: a server that others share."""

import asyncio
import random
import shutil
import signal
import socket
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from slideloom.domain.batch import fold
from slideloom.domain.events import BatchFinished, BatchStarted, BatchSubmitted, SlideCharged
from slideloom.domain.keys import OnceKey
from slideloom.engine import recorder
from slideloom.engine.timeline import Timeline
from slideloom.errors import (
    Fenced,
    StorageFull,
    StoreError,
    StoreUnusable,
    UnknownBatch,
    UnreadableLog,
)
from slideloom.stores import redis_doorbell, redis_link, redis_results
from slideloom.stores.redis import RedisBatchStore
from slideloom.stores.shared_base import Missed, Ring
from tests.stores.test_result_caches import result
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.followers import Followers
from tests.support.orders import order
from tests.support.parts import RecordingLog, ScriptedProvider, Workshop
from tests.support.redis_server import RedisServer, redis_server


def submitted(at_s: float = 1.0) -> BatchSubmitted:
    return BatchSubmitted(at_s=at_s, order=order(2))


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may treat badly."""
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return f"{uuid4().hex}:"


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[RedisBatchStore]:
    store = await RedisBatchStore.open(url, **options)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def administering(server: RedisServer) -> AsyncIterator[Redis]:
    """A connection beside the store's."""
    async with Redis.from_url(server.url, decode_responses=True) as client:
        yield client


# Two processes.


async def test_run_is_fenced_by_a_run_of_another_process(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with (
        opened(shared_redis.url, prefix=prefix) as one,
        opened(shared_redis.url, prefix=prefix) as other,
    ):
        await one.create("b", submitted())
        assert await one.append("b", 1, [BatchStarted(at_s=2)]) == 2
        assert await other.lease("b") == 2
        with pytest.raises(Fenced):
            await one.append("b", 1, [BatchStarted(at_s=3)])
        assert await other.append("b", 2, [BatchStarted(at_s=4)]) == 3
        late = SlideCharged(at_s=5, place=0, cost_usd=0.04)
        assert await one.append("b", None, [late]) == 4
        assert await other.read("b", after=2) == [BatchStarted(at_s=4), late]


async def test_of_many_processes_that_lease_a_batch_the_last_may_write(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with (
        opened(shared_redis.url, prefix=prefix) as one,
        opened(shared_redis.url, prefix=prefix) as other,
    ):
        await one.create("b", submitted())
        epochs = await asyncio.gather(*(store.lease("b") for store in (one, other) * 20))
        assert sorted(epochs) == list(range(2, 42))
        for epoch in range(1, 41):
            with pytest.raises(Fenced):
                await one.append("b", epoch, [BatchStarted(at_s=2)])
        assert await other.append("b", 41, [BatchStarted(at_s=2)]) == 2


async def test_stores_of_different_prefixes_know_nothing_of_each_other(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with (
        opened(shared_redis.url, prefix=f"{prefix}a:") as one,
        opened(shared_redis.url, prefix=f"{prefix}b:") as other,
    ):
        await one.create("b", submitted())
        assert await other.find_unfinished() == []
        assert await other.read("b") == []


# Lost answers.


def lose_answers(proxy: FaultProxy, to: bytes, count: int) -> None:
    """Break the connection instead of the answers to the next requests that hold those bytes."""
    left = [count]

    def limit(request: bytes) -> int | None:
        if to in request and left[0]:
            left[0] -= 1
            return 0
        return None

    proxy.limit = limit


@asynccontextmanager
async def behind_proxy(
    server: RedisServer, prefix: str
) -> AsyncIterator[tuple[RedisBatchStore, FaultProxy]]:
    """A store whose scripts the server knows, and what its connections go through."""
    async with fault_proxy(server.url) as proxy:
        url = proxy.url.replace("http:", "redis:")
        async with opened(url, prefix=prefix) as store:
            await store.create("b", submitted())
            await store.append("b", 1, [BatchStarted(at_s=2)])
            await store.lease("b")
            yield store, proxy


async def test_append_whose_answer_is_lost_is_written_once(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with behind_proxy(shared_redis, prefix) as (store, proxy):
        lose_answers(proxy, b"batch.started", 1)
        assert await store.append("b", 2, [BatchStarted(at_s=3)]) == 3
        assert await store.read("b", after=1) == [BatchStarted(at_s=2), BatchStarted(at_s=3)]


async def test_append_asked_for_again_after_its_answers_were_lost_is_written_once(
    shared_redis: RedisServer, prefix: str
) -> None:
    events = [BatchStarted(at_s=3), BatchStarted(at_s=4)]
    async with behind_proxy(shared_redis, prefix) as (store, proxy):
        lose_answers(proxy, b"batch.started", 2)
        with pytest.raises(StoreError):
            await store.append("b", 2, events)
        # Meanwhile another run takes the batch and writes: what was written stays written.
        assert await store.lease("b") == 3
        assert await store.append("b", 3, [BatchStarted(at_s=5)]) == 5
        assert await store.append("b", 2, events) == 4
        with pytest.raises(Fenced):
            await store.append("b", 2, events)  # this one is another
        assert len(await store.read("b")) == 5
        assert not store._in_doubt


async def test_like_events_written_on_purpose_are_all_written(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with opened(shared_redis.url, prefix=prefix) as store:
        await store.create("b", submitted())
        charged = [SlideCharged(at_s=2, place=0, cost_usd=0.04)]
        assert [await store.append("b", None, charged) for _ in range(3)] == [2, 3, 4]


async def test_write_that_arrives_after_its_repeat_writes_nothing(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with opened(shared_redis.url, prefix=prefix) as store:
        await store.create("b", submitted())
        token = "t"  # noqa: S105 - a name
        args = (1, "", "", "2.0", b'{"event":"batch.started","at_s":2.0}')
        assert await store._write(store._append, "b", args, token=token) == 2
        assert await store.lease("b") == 2
        assert await store.append("b", 2, [BatchStarted(at_s=3)]) == 3
        assert await store._write(store._append, "b", args, token=token) == 2
        assert len(await store.read("b")) == 3


async def test_order_and_lease_whose_answers_are_lost_are_done_once(
    shared_redis: RedisServer, prefix: str
) -> None:
    key = OnceKey(text="k", digest="d", until_s=100.0)
    async with behind_proxy(shared_redis, prefix) as (store, proxy):
        lose_answers(proxy, b"batch.submitted", 1)
        assert await store.create("c", submitted(), key=key) == "c"
        lose_answers(proxy, b"batch.submitted", 1)
        assert await store.create("d", submitted(), key=key) == "c"
        assert len(await store.read("c")) == 1
        lose_answers(proxy, b"\r\nc\r\n", 1)
        assert await store.lease("c") == 2


async def test_run_whose_answers_are_lost_again_and_again_leaves_the_right_books(
    shared_redis: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the engine's own writer, which asks until it is answered."""
    monkeypatch.setattr(recorder, "_WRITE_PAUSES_S", (0.01,))
    dice = random.Random(6)
    async with behind_proxy(shared_redis, prefix) as (store, proxy):
        timeline = Timeline(fold("b", await store.read("b")))
        writer = recorder.Recorder(
            store=store,
            timeline=timeline,
            epoch=2,
            log=RecordingLog(),  # type: ignore[arg-type]  # only what the writer calls
        )
        proxy.limit = lambda request: 0 if b"slide." in request and dice.random() < 0.4 else None
        costs = [SlideCharged(at_s=3 + n, place=0, cost_usd=0.01) for n in range(40)]
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            for cost in costs:
                group.create_task(writer.record(cost))
                await asyncio.sleep(0.01)
        proxy.limit = lambda _: None
        assert await store.read("b", after=2) == costs
        assert timeline.state.seq == 42
        await writer.close()


async def test_cancelled_question_leaves_no_answer_for_another(
    shared_redis: RedisServer, prefix: str
) -> None:
    dice = random.Random(7)
    async with opened(shared_redis.url, prefix=prefix, max_connections=2) as store:
        for number in range(20):
            await store.create(f"b{number}", submitted(number))

        async def look(number: int) -> None:
            task = asyncio.create_task(store.read(f"b{number}"))
            await asyncio.sleep(dice.random() * 0.002)
            if dice.random() < 0.5:
                task.cancel()
            (answer,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(answer, asyncio.CancelledError) or answer == [submitted(number)]

        for _ in range(10):
            await asyncio.gather(*(look(number) for number in range(20)))


# Restarts.


async def insist(store: RedisBatchStore, batch_id: str, event: BatchStarted) -> int:
    """As the engine's writer does."""
    while True:
        try:
            return await store.append(batch_id, 1, [event])
        except Fenced:
            raise
        except StoreError:
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_what_was_answered_outlives_a_server_that_is_killed(own_redis: RedisServer) -> None:
    async with opened(own_redis.url) as store:
        counts = dict.fromkeys((f"b{n}" for n in range(10)), 1)
        is_over = asyncio.Event()

        async def write(name: str) -> None:
            assert await store.create(name, submitted()) == name
            while not is_over.is_set():
                counts[name] += 1
                assert await insist(store, name, BatchStarted(at_s=counts[name])) == counts[name]

        async with asyncio.TaskGroup() as group:
            for name in counts:
                group.create_task(write(name))
            for _ in range(3):
                await asyncio.sleep(0.2)
                own_redis.kill()
                await asyncio.sleep(0.2)
                await asyncio.to_thread(own_redis.start)
            await asyncio.sleep(0.2)
            is_over.set()
        assert min(counts.values()) > 10
        for name, count in counts.items():
            log = await store.read(name)
            assert [event.at_s for event in log] == [float(n) for n in range(1, count + 1)]
        assert sorted(await store.find_unfinished()) == sorted(counts)


@pytest.mark.slow
async def test_deck_is_made_while_the_server_is_killed_and_comes_back(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_WRITE_PAUSES_S", (0.05,))
    provider = ScriptedProvider(seconds=0.05)
    async with (
        opened(own_redis.url) as store,
        Workshop(provider, store=store) as shop,
        asyncio.timeout(60),
    ):
        timeline = await shop.engine.submit(order(20, max_workers=3))
        for _ in range(2):
            await asyncio.sleep(0.1)
            own_redis.kill()
            await asyncio.sleep(0.1)
            await asyncio.to_thread(own_redis.start)
        assert await timeline.wait_finished(timeout_s=60)
        assert len(shop.log.of("store_failed")) > 0
        assert len(provider.calls) == timeline.state.count("done") == 20
        batch_id = timeline.state.batch_id
        assert fold(batch_id, await store.read(batch_id)) == timeline.state
        (line,) = (await store.list_batches(limit=9)).batches
        assert (line.status, line.successful) == ("completed", 20)
        assert await store.find_unfinished() == []


async def test_server_that_forgot_everything_is_no_crash(own_redis: RedisServer) -> None:
    async with opened(own_redis.url) as store, administering(own_redis) as admin:
        await store.create("b", submitted(), key=OnceKey(text="k", digest="d", until_s=100))
        await store.put("k", result())
        await admin.flushall()
        await admin.script_flush()
        with pytest.raises(Fenced):
            await store.append("b", 1, [BatchStarted(at_s=2)])
        assert await store.read("b") == []
        assert await store.find_unfinished() == []
        assert (await store.list_batches(limit=9)).batches == ()
        assert await store.find_many(["k"], after_s=0) == {}
        await store.check()
        await store.put("k", result())
        assert await store.create("c", submitted()) == "c"


async def test_server_that_answers_nothing_is_a_store_error_in_time(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(own_redis.url) as store:
        await store.create("b", submitted())
        own_redis.send(signal.SIGSTOP)
        monkeypatch.setattr(redis_link, "_ANSWER_S", 0.1)
        events = [BatchStarted(at_s=2)]
        with pytest.raises(StoreError, match="did not answer"):
            await store.append("b", 1, events)
        monkeypatch.setattr(redis_link, "_CONNECT_S", 0.1)
        with pytest.raises(StoreUnusable, match="does not answer"):
            await RedisBatchStore.open(own_redis.url)
        monkeypatch.undo()
        own_redis.send(signal.SIGCONT)
        # Both tries lie in the server's ears, and are heard before or after this one.
        assert await store.append("b", 1, events) == 2
        await asyncio.sleep(0.1)
        assert await store.read("b", after=1) == events


async def test_writer_that_is_cancelled_while_the_server_is_killed_ends(
    own_redis: RedisServer,
) -> None:
    dice = random.Random(8)
    async with opened(own_redis.url) as store:
        await asyncio.gather(*(store.create(f"b{n}", submitted()) for n in range(10)))

        async def write(name: str) -> None:
            while True:
                await insist(store, name, BatchStarted(at_s=2))

        for _ in range(20):
            writers = [asyncio.create_task(write(f"b{n}")) for n in range(10)]
            await asyncio.sleep(dice.random() * 0.02)
            for writer in writers:
                writer.cancel()
            async with asyncio.timeout(5):
                await asyncio.gather(*writers, return_exceptions=True)
        own_redis.kill()


async def test_server_that_is_away_is_a_store_error_until_it_is_back(
    own_redis: RedisServer,
) -> None:
    async with opened(own_redis.url) as store:
        await store.create("b", submitted())
        own_redis.kill()
        for ask in (store.check, store.find_unfinished, lambda: store.create("c", submitted())):
            with pytest.raises(StoreError, match=f"127.0.0.1:{own_redis.port} failed"):
                await ask()
        own_redis.start()
        await store.check()
        assert await store.find_unfinished() == ["b"]


# The doorbell.


@pytest.mark.slow
async def test_two_hundred_followers_hear_another_process_over_one_connection(
    shared_redis: RedisServer, prefix: str
) -> None:
    names = [f"b{n}" for n in range(200)]
    async with (
        opened(shared_redis.url, prefix=prefix) as writer,
        administering(shared_redis) as admin,
    ):
        for name in names:
            await writer.create(name, submitted())
        before = int((await admin.info("clients"))["connected_clients"])
        async with opened(shared_redis.url, prefix=prefix) as reader, asyncio.timeout(60):
            followers = Followers(reader, names)
            following = asyncio.create_task(followers.follow(writer, events=5))
            while not following.done():
                subscribers = await admin.pubsub_numsub(f"{prefix}doorbell")
                assert subscribers[0][1] <= 1
                assert int((await admin.info("clients"))["connected_clients"]) - before <= 4 + 3
                await asyncio.sleep(0.05)
            await following
    assert len(followers.took_s) == 1000
    assert statistics.quantiles(followers.took_s, n=100)[98] < 0.5  # alone: tests.bench.stores


async def next_told(bell: AsyncIterator[Ring | Missed]) -> Ring | Missed:
    return await asyncio.wait_for(anext(bell), 10)


async def test_listener_is_told_that_it_may_have_missed_something(own_redis: RedisServer) -> None:
    async with opened(own_redis.url) as store:
        bell = store.listen()
        assert await next_told(bell) == Missed()
        await store.create("b", submitted())
        assert await next_told(bell) == Ring("b", 1)
        own_redis.kill()
        own_redis.start()
        assert await next_told(bell) == Missed()
        await store.append("b", 1, [BatchStarted(at_s=2), BatchStarted(at_s=3)])
        assert await next_told(bell) == Ring("b", 3)
        await store.close()
        with pytest.raises(StopAsyncIteration):
            await next_told(bell)


@pytest.mark.slow
async def test_listener_notices_a_server_that_says_nothing_any_more(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_doorbell, "_QUIET_S", 0.1)
    async with opened(own_redis.url) as store, aclosing(store.listen()) as bell:
        assert await next_told(bell) == Missed()
        heard = asyncio.create_task(next_told(bell))
        await asyncio.sleep(0.5)
        assert not heard.done()  # silence alone is no loss: the server answers when asked
        own_redis.send(signal.SIGSTOP)
        await asyncio.sleep(0.5)
        own_redis.send(signal.SIGCONT)
        assert await heard == Missed()


# Connections.


async def test_store_takes_no_more_connections_than_it_may(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with administering(shared_redis) as admin:
        before = int((await admin.info("stats"))["total_connections_received"])
        async with opened(shared_redis.url, prefix=prefix, max_connections=3) as store:
            async with aclosing(store.listen()) as bell:
                assert await next_told(bell) == Missed()
                await asyncio.gather(*(store.create(f"b{n}", submitted()) for n in range(500)))
                assert len(await store.find_unfinished()) == 500
            after = int((await admin.info("stats"))["total_connections_received"])
            assert after - before <= 3


async def test_nobody_waits_while_others_have_one_turn_after_another(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with opened(shared_redis.url, prefix=prefix, max_connections=2) as store:
        turns = [0] * 20
        until_s = time.perf_counter() + 0.3

        async def look(place: int) -> None:
            while time.perf_counter() < until_s:
                await store.check()
                turns[place] += 1

        await asyncio.gather(*map(look, range(20)))
        assert max(turns) - min(turns) <= 1


async def test_command_without_a_turn_in_time_is_a_store_error(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(own_redis.url, max_connections=2) as store:
        monkeypatch.setattr(redis_link, "_TURN_S", 0.1)
        own_redis.send(signal.SIGSTOP)
        first = asyncio.create_task(store.check())
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="has been busy"):
            await store.find_unfinished()
        own_redis.send(signal.SIGCONT)
        await first
        assert await store.find_unfinished() == []


async def test_closed_store_refuses(shared_redis: RedisServer, prefix: str) -> None:
    store = await RedisBatchStore.open(shared_redis.url, prefix=prefix)
    await asyncio.gather(store.close(), store.close())
    for ask in (store.check, lambda: store.read("b"), lambda: store.create("b", submitted())):
        with pytest.raises(StoreError, match="closed"):
            await ask()


async def test_what_was_asked_is_done_before_the_store_closes(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with opened(shared_redis.url, prefix=prefix) as other:
        store = await RedisBatchStore.open(shared_redis.url, prefix=prefix)
        asked = [asyncio.create_task(store.create(f"b{n}", submitted())) for n in range(50)]
        await asyncio.sleep(0)
        await asyncio.gather(store.close(), store.close())
        assert await asyncio.gather(*asked) == [f"b{n}" for n in range(50)]
        assert len(await other.find_unfinished()) == 50


# Servers that will not do.


@asynccontextmanager
async def pretended(answer: bytes) -> AsyncIterator[str]:
    """The address of a server that says yes to everything, and `answer` when asked what it is."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            for command in piece.split(b"*")[1:]:
                writer.write(answer if b"INFO\r\n" in command and b"SET" not in command else YES)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://:hush@127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()


YES = b"+OK\r\n"


def info(text: str) -> bytes:
    return f"${len(text)}\r\n{text}\r\n".encode()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (info("redis_version:6.2.14\r\n"), "is version 6.2.14; 7 or newer is needed"),
        (info("nonsense"), "is version unknown; 7 or newer is needed"),
        (
            info("redis_version:7.2.4\r\nmaxmemory_policy:allkeys-lru\r\n"),
            r"drops records .* \(maxmemory-policy allkeys-lru\); noeviction is needed",
        ),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "cannot be used"),
        (b"-ERR max number of clients reached\r\n", "max number of clients"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading the dataset"),
    ],
)
async def test_server_that_will_not_do_is_named_in_one_sentence(answer: bytes, words: str) -> None:
    async with pretended(answer) as url:
        with pytest.raises(StoreUnusable, match=rf"Redis at 127\.0\.0\.1:\d+ .*{words}") as caught:
            await RedisBatchStore.open(url)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_cluster_is_refused(tmp_path: Path) -> None:
    refused = pytest.raises(StoreUnusable, match="is a cluster, which is not supported")
    with redis_server(tmp_path, cluster_enabled="yes") as server, refused:
        await RedisBatchStore.open(server.url)


async def test_password_that_is_wrong_or_missing_is_named_but_not_told(tmp_path: Path) -> None:
    with redis_server(tmp_path, requirepass="open sesame") as server:
        place = f"127.0.0.1:{server.port}"
        for user in (":wr0ng@", "some:wr0ng@", ""):
            with pytest.raises(StoreUnusable, match=f"Redis at {place} does not accept") as caught:
                await RedisBatchStore.open(f"redis://{user}{place}/0")
            assert "wr0ng" not in str(caught.value)
        async with opened(f"redis://:open%20sesame@{place}/0") as store:
            await store.check()


async def test_server_that_cannot_be_reached_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(StoreUnusable, match=f"Redis at 127.0.0.1:{port} cannot be used: .*failed"):
        await RedisBatchStore.open(f"redis://:hush@127.0.0.1:{port}/0")


@pytest.mark.parametrize("url", ["redis://:a/hush@there:6379", "http://:hush@there", "hush"])
async def test_address_that_is_none_is_not_repeated(url: str) -> None:
    with pytest.raises(StoreUnusable, match="address of Redis is not like") as caught:
        await RedisBatchStore.open(url)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_server_with_a_newer_format_is_left_as_it_is(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with administering(shared_redis) as admin:
        for found in ("2", "what?"):
            await admin.set(f"{prefix}format", found)
            with pytest.raises(StoreUnusable, match="newer version of Slideloom"):
                await RedisBatchStore.open(shared_redis.url, prefix=prefix)
            assert await admin.keys(f"{prefix}*") == [f"{prefix}format"]


async def test_check_leaves_the_format_of_a_newer_version(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with (
        opened(shared_redis.url, prefix=prefix) as store,
        administering(shared_redis) as admin,
    ):
        await store.check()
        assert await admin.get(f"{prefix}format") == "1"
        await admin.set(f"{prefix}format", 2)
        await store.check()
        assert await admin.get(f"{prefix}format") == "2"


async def test_order_that_a_stalled_server_reads_too_late_is_not_taken(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "_ANSWER_S", 0.2)
    async with opened(own_redis.url) as store:
        await store.create("a", submitted())  # so the server has the script
        time = store.link.client.time

        async def stall_then(**_: object) -> tuple[int, int]:
            server_s, rest = await time()
            own_redis.send(signal.SIGSTOP)
            return server_s - 4, rest  # as if it had been sent so long ago

        monkeypatch.setattr(store.link.client, "time", stall_then)
        with pytest.raises(StoreError):
            await store.create("b", submitted())
        own_redis.send(signal.SIGCONT)
        await asyncio.sleep(0.3)
        assert await store.read("b") == []
        assert await store.find_unfinished() == ["a"]


async def test_batch_that_is_in_the_index_alone_is_looked_for_once(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with (
        opened(shared_redis.url, prefix=prefix) as store,
        administering(shared_redis) as admin,
    ):
        await admin.zadd(f"{prefix}unfinished", {"ghost": 1})
        assert await store.find_unfinished() == ["ghost"]
        with pytest.raises(UnknownBatch):
            await store.lease("ghost")
        assert await store.find_unfinished() == []


# Servers that take no more.


async def test_server_out_of_memory_is_storage_full_and_writes_nothing_by_halves(
    own_redis: RedisServer,
) -> None:
    async with opened(own_redis.url) as store, administering(own_redis) as admin:
        await store.create("b", submitted())
        await store.append("b", 1, [BatchFinished(at_s=2, total_time_s=1)])
        await store.create("c", submitted())
        await store.put("k", result())
        before = {name: await admin.dump(name) for name in await admin.keys("*")}
        await admin.config_set("maxmemory", 1)
        for ask in (
            store.check,
            lambda: store.create("d", submitted()),
            lambda: store.append("c", 1, [BatchStarted(at_s=2)]),
            lambda: store.lease("c"),
            lambda: store.put("l", result()),
        ):
            with pytest.raises(StorageFull, match="takes no more"):
                await ask()
        assert {name: await admin.dump(name) for name in await admin.keys("*")} == before
        assert await store.read("c") == [submitted()]
        assert await store.forget_finished(before_s=10, now_s=10) == 1  # makes room
        assert await store.forget_results(before_s=10) == 1
        await admin.config_set("maxmemory", 0)
        assert await store.append("c", 1, [BatchStarted(at_s=2)]) == 2


async def test_server_whose_disk_fails_is_storage_full(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    async with opened(own_redis.url) as store, administering(own_redis) as admin:
        await admin.config_set("save", "3600 1")
        shutil.rmtree(tmp_path / "redis")
        await admin.bgsave()
        while (await admin.info("persistence"))["rdb_last_bgsave_status"] != "err":
            await asyncio.sleep(0.02)
        with pytest.raises(StorageFull, match="MISCONF"):
            await store.check()


async def test_replica_is_a_store_error(own_redis: RedisServer) -> None:
    async with opened(own_redis.url) as store, administering(own_redis) as admin:
        await store.create("b", submitted())
        await admin.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreError, match="read only replica") as caught:
            await store.append("b", 1, [BatchStarted(at_s=2)])
        assert not isinstance(caught.value, StorageFull)
        await admin.replicaof("NO", "ONE")
        assert await store.append("b", 1, [BatchStarted(at_s=2)]) == 2


# What is kept.


async def test_damaged_log_hides_no_other(shared_redis: RedisServer, prefix: str) -> None:
    async with (
        opened(shared_redis.url, prefix=prefix) as store,
        administering(shared_redis) as admin,
    ):
        for number in range(5):
            await store.create(f"b{number}", submitted(number))
        for number, body in ((1, '{"event": "new"}'), (3, b"\xff")):
            await admin.xadd(f"{prefix}{{batch:b{number}}}:events", {"event": body})
        await admin.delete(f"{prefix}{{batch:b2}}:events")
        page = await store.list_batches(limit=9)
        assert [line.batch_id for line in page.batches] == ["b4", "b0"]
        for number in (1, 3):
            with pytest.raises(UnreadableLog, match=f"batch b{number} cannot be read"):
                await store.read(f"b{number}")


async def test_damaged_result_is_none(shared_redis: RedisServer, prefix: str) -> None:
    async with (
        opened(shared_redis.url, prefix=prefix) as store,
        administering(shared_redis) as admin,
    ):
        for body in ("{}", "", b"\xff\xfe"):
            await store.put("k", result())
            await admin.hset(f"{prefix}results", "k", body)
            assert await store.find_many(["k"], after_s=0) == {}
        await store.put("k", result())
        assert await store.find_many(["k"], after_s=0) == {"k": result()}


async def test_sum_of_results_is_right_after_a_put_that_failed(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with (
        opened(shared_redis.url, prefix=prefix) as store,
        administering(shared_redis) as admin,
    ):
        with pytest.raises(StoreError):
            await store.put("k", result(made_at_s=float("nan")))
        assert await admin.keys(f"{prefix}results*") == []
        await store.put("k", result())
        await store.put("k", result(2, size_bytes=70))
        await store.put("l", result(size_bytes=50 * 1024**3 - 70))
        assert await admin.get(f"{prefix}results-bytes") == str(50 * 1024**3)


async def test_forgotten_batches_leave_nothing(shared_redis: RedisServer, prefix: str) -> None:
    async with (
        opened(shared_redis.url, prefix=prefix) as store,
        administering(shared_redis) as admin,
    ):
        for number in range(250):
            until_s = 100.0 if number % 2 else 1000.0
            key = OnceKey(text=f"k{number}", digest="d", until_s=until_s)
            await store.create(f"b{number}", submitted(), key=key)
            ended = BatchFinished(at_s=number, total_time_s=1)
            await store.append(f"b{number}", 1, [ended])
        assert await store.forget_finished(before_s=1000, now_s=500) == 125
        assert await store.forget_finished(before_s=1000, now_s=500) == 0
        assert len(await admin.keys(f"{prefix}{{batch:*")) == 3 * 125
        assert await store.forget_finished(before_s=1000, now_s=1000) == 125
        assert await admin.keys(f"{prefix}*") == []


async def test_result_cache_drops_any_number_of_old_entries(
    shared_redis: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_results, "_AT_ONCE", 20)
    async with opened(shared_redis.url, prefix=prefix) as store:
        await asyncio.gather(*(store.put(f"k{n}", result(n)) for n in range(210)))
        assert await store.forget_results(before_s=160) == 160
        assert len(await store.find_many([f"k{n}" for n in range(210)], after_s=0)) == 50
