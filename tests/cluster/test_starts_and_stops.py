"""Processes that are asked to stop, and such as cannot start."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slideloom.domain.events import BatchResumed
from slideloom.stores.redis import RedisBatchStore
from tests.support.cluster import Cluster, running_cluster
from tests.support.process import SLIDELOOM, serve_environ
from tests.support.redis_server import redis_server
from tests.support.upstream import Plan
from tests.support.upstream.plan import Uniform

_PLAN = Plan(seed=6, latency_s=Uniform(0.4, 0.8), record_bodies=False)
_HANDED_OVER_S = 5.0


@pytest.mark.slow
async def test_stopped_worker_hands_its_batches_over(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    async with running_cluster(tmp_path, plan=_PLAN) as cluster:
        await cluster.start(workers=2)
        cluster.begin_watch()
        for _ in range(6):
            await cluster.order(cluster.press.make(slides=8, workers=2))
        await cluster.wait_calls(12)
        asked_s, asked_wall_s = time.monotonic(), time.time()
        assert await cluster.workers[0].stop() == 0
        ended_s = time.monotonic() - asked_s
        await cluster.settle()
        resumed_s = [at_s - asked_wall_s for at_s in await list_resumed_s(cluster)]
        tally = await cluster.finish(calls_once=True)
    tell(
        f"worker stopped in order: ended after {ended_s:.1f} s, {len(resumed_s)} decks taken over"
        f" within {max(resumed_s):.1f} s; {tally.slides} slides, {tally.done} done"
    )
    assert "\n".join(cluster.faults) == ""
    assert tally.done == tally.slides == tally.calls
    assert max(resumed_s) <= _HANDED_OVER_S


@pytest.mark.slow
async def test_stopped_api_lets_its_waiting_caller_go_and_the_batch_goes_on(
    tmp_path: Path,
) -> None:
    async with running_cluster(tmp_path, plan=_PLAN) as cluster:
        await cluster.start(apis=2, workers=1)
        deck = cluster.press.make(slides=8, workers=2)
        path = "/api/slide/batch/generate"
        waiting = asyncio.create_task(cluster.ask("POST", path, body=deck.body))
        await cluster.wait_calls(1, tag=deck.tags[0])
        assert await cluster.apis[0].stop() == 0
        answer = await waiting
        assert (answer.status, answer.body["status"]) == (200, "running")
        body = await cluster.wait_final(answer.body["batch_id"], api=1)
        assert body["successful"] == 8
        assert (await cluster.upstream.fetch_report()).billed_count == 8


async def list_resumed_s(cluster: Cluster) -> list[float]:
    """When batches were taken over, on the wall clock."""
    store = await RedisBatchStore.open(cluster.redis.url)
    try:
        return [
            event.at_s
            for batch_id in cluster.customer.accepted
            for event in await store.read(batch_id)
            if isinstance(event, BatchResumed)
        ]
    finally:
        await store.close()


@pytest.fixture(scope="module")
def refusing_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that wants another password."""
    with redis_server(tmp_path_factory.mktemp("redis"), requirepass="right") as server:
        yield server.url.replace("//", "//:wr0ng-pa55@")


@pytest.fixture(scope="module")
def dead_url() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"redis://127.0.0.1:{taken.getsockname()[1]}/0"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["dead", "refusing"])
async def test_redis_that_cannot_be_used_is_named_in_one_line(
    tmp_path: Path, which: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(f"{which}_url")
    for code, out, err in await asyncio.gather(
        *(run_to_end(name, tmp_path, url) for name in ("serve", "worker"))
    ):
        assert (code, out) == (2, "")
        assert err.startswith("slideloom: ")
        assert err.count("\n") == 1
        assert "127.0.0.1" in err
        assert "wr0ng-pa55" not in err


async def run_to_end(name: str, folder: Path, url: str) -> tuple[int | None, str, str]:
    """Its exit code, and what it said on both channels."""
    process = await asyncio.create_subprocess_exec(
        *(SLIDELOOM, name),
        cwd=folder,
        env=serve_environ(STORE=url, QUEUE=url, PORT=0),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
