"""Live events of a batch that another process makes: how soon readers have them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from slideloom.domain.batch import apply, fold
from slideloom.domain.feed import to_feed
from slideloom.stores.redis import RedisBatchStore
from tests.support.cluster import Cluster, running_cluster
from tests.support.readers import hear_out, open_readers
from tests.support.upstream import Plan
from tests.support.upstream.plan import Uniform

_READERS = 200
_SLIDES = 20
_LATE_MS = 50.0
"""From the event's own time, before it is written, to a reader: of 99 in 100."""
_MOST_CONNECTIONS = 5
_SLOW = Plan(seed=6, latency_s=2.0, record_bodies=False)
"""So long nothing happens: time for all readers to come."""
_PLAN = Plan(seed=6, latency_s=Uniform(0.1, 0.3), record_bodies=False)


async def list_published_s(cluster: Cluster, batch_id: str) -> dict[int, float]:
    """When each of a batch's public events happened, by its number, on the wall clock."""
    store = await RedisBatchStore.open(cluster.redis.url)
    log = await store.read(batch_id)
    await store.close()
    state, published_s = fold(batch_id, log[:1]), dict[int, float]()
    for event in log[1:]:
        state = apply(state, event)
        for item in to_feed(state, event, after=len(published_s)):
            published_s[item.number] = event.at_s
    return published_s


def count_connections(cluster: Cluster, most: dict[str, int]) -> None:
    """Keep the most that an API and a worker have; none is closed before its process ends."""
    for role, sites in (("api", cluster.apis), ("worker", cluster.workers)):
        most[role] = max([most.get(role, 0), *map(cluster.count_connections, sites)])


async def hear_deck(cluster: Cluster) -> list[float]:
    """Make a deck; how late each reader had each event, but for those before all had come."""
    await cluster.upstream.send_plan(_SLOW)
    batch_id = await cluster.order(cluster.press.make(slides=_SLIDES, workers=3))
    path = f"/api/slide/batch/{batch_id}/events"
    sockets = await asyncio.to_thread(open_readers, cluster.apis[1].url, path, _READERS)
    await cluster.upstream.send_plan(_PLAN)
    heard = await asyncio.to_thread(hear_out, sockets)
    for one in sockets:
        one.close()
    published_s = await list_published_s(cluster, batch_id)
    assert [one.number for one in heard] == sorted(published_s)
    assert {one.readers for one in heard} == {_READERS}
    first = next(place for place, one in enumerate(heard) if one.name == "slide.done")
    return [(at_s - published_s[one.number]) * 1000 for one in heard[first:] for at_s in one.at_s]


@pytest.mark.parametrize(
    ("decks", "limit_ms"),
    [
        # CI's processors may have other work.
        pytest.param(1, 2 * _LATE_MS, id="small", marks=pytest.mark.slow),
        pytest.param(10, _LATE_MS, id="full", marks=[pytest.mark.long, pytest.mark.timeout(300)]),
    ],
)
async def test_events_reach_readers_at_another_process_soon(
    tmp_path: Path, decks: int, limit_ms: float, tell: Callable[[str], None]
) -> None:
    most: dict[str, int] = {}
    late_ms: list[float] = []
    async with running_cluster(tmp_path, plan=_SLOW) as cluster:
        await cluster.start(apis=2, workers=2)
        for _ in range(decks):
            late_ms += await hear_deck(cluster)
            count_connections(cluster, most)
    late_ms.sort()
    p50_ms, p99_ms = (late_ms[int(len(late_ms) * share)] for share in (0.5, 0.99))
    tell(
        f"{_READERS} readers at another process, {len(late_ms)} deliveries: p50 {p50_ms:.1f} ms,"
        f" p99 {p99_ms:.1f} ms, worst {late_ms[-1]:.1f} ms; connections to Redis at most:"
        f" API {most['api']}, worker {most['worker']}"
    )
    assert p99_ms <= limit_ms
    assert max(most.values()) <= _MOST_CONNECTIONS
