"""`python -m tests.bench.stores`: the stores side by side, and the doorbell. Needs redis-server.

The same appends to SQLite (every commit synced), to Redis that syncs each write and to Redis that
syncs each second, one after the other in one run, on the disk of `TMPDIR`. Writer and readers of
the doorbell are one process.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from slideloom.domain.events import BatchSubmitted, SlideCharged
from slideloom.stores.base import BatchStore
from slideloom.stores.redis import RedisBatchStore
from slideloom.stores.sqlite import SqliteBatchStore
from tests.support.followers import Followers
from tests.support.orders import order
from tests.support.redis_server import redis_server

_BATCHES = 20
_APPENDS = 5000
_FOLLOWERS = 200
_FOLLOWED = 20
"""Events each follower waits for."""


async def measure_appends(store: BatchStore) -> tuple[float, list[float]]:
    """So many appends by batches side by side, each after the one before: a second, and each."""
    names = [f"b{n}" for n in range(_BATCHES)]
    for name in names:
        await store.create(name, BatchSubmitted(at_s=1, order=order(20)))
    took_s: list[float] = []
    numbers = count()

    async def write(name: str) -> None:
        while (number := next(numbers)) < _APPENDS:
            began_s = time.perf_counter()
            await store.append(name, 1, [SlideCharged(at_s=number, place=0, cost_usd=0.04)])
            took_s.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    await asyncio.gather(*map(write, names))
    return _APPENDS / (time.perf_counter() - began_s), took_s


async def measure_list(store: BatchStore) -> float:
    """Seconds for the first page, of the batches just written."""
    began_s = time.perf_counter()
    await store.list_batches(limit=_BATCHES)
    return time.perf_counter() - began_s


async def measure_followers(url: str) -> list[float]:
    """Seconds from an append until a follower has the event, one append after another."""
    writer = await RedisBatchStore.open(url, prefix="followed:")
    reader = await RedisBatchStore.open(url, prefix="followed:")
    names = [f"b{n}" for n in range(_FOLLOWERS)]
    for name in names:
        await writer.create(name, BatchSubmitted(at_s=1, order=order(20)))
    followers = Followers(reader, names)
    await followers.follow(writer, events=_FOLLOWED)
    await writer.close()
    await reader.close()
    return followers.took_s


def to_ms(took_s: Sequence[float]) -> str:
    """Median and 99th percentile."""
    p99_s = statistics.quantiles(took_s, n=100)[98]
    return f"p50 {statistics.median(took_s) * 1000:6.2f} ms  p99 {p99_s * 1000:6.2f} ms"


async def print_store(name: str, store: BatchStore) -> None:
    """One line."""
    rate, took_s = await measure_appends(store)
    list_s = await measure_list(store)
    print(f"{name:15} {rate:8.0f} appends/s  {to_ms(took_s)}  list of {_BATCHES}: {list_s:.3f} s")
    await store.close()


async def main(folder: Path) -> None:
    """Both stores, then the doorbell."""
    print(f"{_APPENDS} appends, {_BATCHES} batches at once")
    await print_store("SQLite", await SqliteBatchStore.open(folder / "s.sqlite3"))
    for fsync in ("always", "everysec"):
        (folder / fsync).mkdir()
        with redis_server(folder / fsync, appendfsync=fsync) as server:
            await print_store(f"Redis, {fsync}", await RedisBatchStore.open(server.url))
            took_s = await measure_followers(server.url)
            print(f"{_FOLLOWERS} followers, {len(took_s)} events: {to_ms(took_s)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        asyncio.run(main(Path(made)))
