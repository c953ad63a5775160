"""Every result cache keeps the same promises: one test file for all of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from slideloom.errors import StoreError
from slideloom.stores.base import CachedResult, ResultCache
from slideloom.stores.redis import RedisBatchStore
from slideloom.stores.sqlite import SqliteBatchStore
from tests.support.parts import MemoryBatchStore

Open = Callable[[int], Awaitable[ResultCache]]


@pytest.fixture(params=["sqlite", "redis", "memory"])
async def open_cache(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[SqliteBatchStore | RedisBatchStore | MemoryBatchStore] = []

    async def open_with(cache_max_bytes: int) -> ResultCache:
        made: SqliteBatchStore | RedisBatchStore | MemoryBatchStore
        match request.param:
            case "sqlite":
                path = tmp_path / "s.sqlite3"
                made = await SqliteBatchStore.open(path, cache_max_bytes=cache_max_bytes)
            case "redis":
                url = request.getfixturevalue("shared_redis").url
                made = await RedisBatchStore.open(
                    url, prefix=f"{uuid4().hex}:", cache_max_bytes=cache_max_bytes
                )
            case _:
                made = MemoryBatchStore(cache_max_bytes=cache_max_bytes)
        opened.append(made)
        return made

    yield open_with
    for made in opened:
        await made.close()


@pytest.fixture
async def cache(open_cache: Open) -> ResultCache:
    return await open_cache(10**12)


async def find(cache: ResultCache, key: str, *, after_s: float) -> CachedResult | None:
    return (await cache.find_many([key], after_s=after_s)).get(key)


def result(number: int = 1, **changes: Any) -> CachedResult:
    facts: dict[str, Any] = {
        "image": f"slide_001_{number:032x}.png",
        "width": 1376,
        "height": 768,
        "aspect_ratio_ok": True,
        "size_bytes": 100,
        "provider": "images",
        "model": "a/model",
        "made_at_s": float(number),
        "revised_prompt": "calmer",
    }
    return CachedResult(**facts | changes)


async def test_result_is_found_again_under_its_key_alone(cache: ResultCache) -> None:
    await cache.put("k", result())
    assert await find(cache, "k", after_s=0) == result()
    assert await find(cache, "other", after_s=0) is None


async def test_result_that_is_too_old_does_not_count(cache: ResultCache) -> None:
    await cache.put("k", result(made_at_s=100.0))
    assert await find(cache, "k", after_s=100.0) is not None
    assert await find(cache, "k", after_s=100.1) is None
    assert await cache.find_many(["k"], after_s=100.1) == {}


async def test_many_keys_are_one_question(cache: ResultCache) -> None:
    await asyncio.gather(*(cache.put(f"k{n}", result(n)) for n in range(300)))
    asked = [f"k{n}" for n in range(200, 400)] + ["k200"]
    found = await cache.find_many(asked, after_s=250)
    assert found == {f"k{n}": result(n) for n in range(250, 300)}
    assert await cache.find_many([], after_s=0) == {}


async def test_newest_result_wins_whichever_comes_first(cache: ResultCache) -> None:
    for numbers in ((1, 2), (2, 1)):
        for number in numbers:
            await cache.put("k", result(number))
        assert await find(cache, "k", after_s=0) == result(2)


async def test_putting_again_changes_nothing(open_cache: Open) -> None:
    cache = await open_cache(250)
    await cache.put("a", result(1))
    for _ in range(5):
        await cache.put("b", result(2))
    assert set(await cache.find_many(["a", "b"], after_s=0)) == {"a", "b"}


async def test_oldest_results_go_beyond_the_size(open_cache: Open) -> None:
    cache = await open_cache(250)
    for number in (3, 1, 2):
        await cache.put(f"k{number}", result(number))
    assert set(await cache.find_many(["k1", "k2", "k3"], after_s=0)) == {"k2", "k3"}
    await cache.put("k4", result(4, size_bytes=200))  # takes the room of two
    assert set(await cache.find_many(["k2", "k3", "k4"], after_s=0)) == {"k4"}


async def test_result_that_grows_counts_with_its_new_size(open_cache: Open) -> None:
    cache = await open_cache(250)
    await cache.put("a", result(1))
    await cache.put("b", result(2))
    await cache.put("b", result(3, size_bytes=200))
    assert set(await cache.find_many(["a", "b"], after_s=0)) == {"b"}
    await cache.put("b", result(4, size_bytes=10))
    await cache.put("a", result(5, size_bytes=240))
    assert set(await cache.find_many(["a", "b"], after_s=0)) == {"a", "b"}


async def test_result_larger_than_the_cache_is_not_kept(open_cache: Open) -> None:
    cache = await open_cache(250)
    await cache.put("k", result(size_bytes=251))
    assert await find(cache, "k", after_s=0) is None
    await cache.put("k", result(size_bytes=250))
    assert await find(cache, "k", after_s=0) is not None


async def test_results_are_forgotten_after_their_time_and_leave_room(open_cache: Open) -> None:
    cache = await open_cache(400)
    for number in range(1, 5):
        await cache.put(f"k{number}", result(number))
    assert await cache.forget_results(before_s=3) == 2
    assert await cache.forget_results(before_s=3) == 0
    for number in (5, 6):
        await cache.put(f"k{number}", result(number))
    keys = [f"k{number}" for number in range(1, 7)]
    assert set(await cache.find_many(keys, after_s=0)) == set(keys[2:])


async def test_result_that_is_no_text_is_refused_alone(cache: ResultCache) -> None:
    ends = await asyncio.gather(
        cache.put("a", result()),
        cache.put("b", result(revised_prompt="\ud800")),
        cache.put("c", result()),
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [type(None), UnicodeEncodeError, type(None)]
    assert set(await cache.find_many(["a", "b", "c"], after_s=0)) == {"a", "c"}


async def test_results_are_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    store = await SqliteBatchStore.open(path, cache_max_bytes=250)
    for number in (1, 2):
        await store.put(f"k{number}", result(number))
    store._lock.release()  # the first is never closed: a crash
    again = await SqliteBatchStore.open(path, cache_max_bytes=250)
    await again.put("k3", result(3))  # the sum outlived the crash too
    assert set(await again.find_many(["k1", "k2", "k3"], after_s=0)) == {"k2", "k3"}
    await again.close()
    await store.close()


async def test_sum_is_right_after_writes_that_were_taken_back(tmp_path: Path) -> None:
    store = await SqliteBatchStore.open(tmp_path / "s.sqlite3")
    with pytest.raises(StoreError):
        await store.put("k", result(made_at_s=float("nan")))
    with pytest.raises(StoreError):
        await store._ask(_add_then_fail)
    await store.put("k", result())
    assert await store._ask(_sums) == (100, 100)
    await store.close()


async def test_entry_written_differently_is_no_entry(tmp_path: Path) -> None:
    store = await SqliteBatchStore.open(tmp_path / "s.sqlite3")
    await store.put("k", result())
    await store._ask(lambda db: db.execute("update result set body = '{}'"))
    assert await find(store, "k", after_s=0) is None
    await store.put("k", result())
    assert await find(store, "k", after_s=0) == result()
    await store.close()


async def test_oldest_entry_is_found_without_a_walk_through_the_table(tmp_path: Path) -> None:
    store = await SqliteBatchStore.open(tmp_path / "s.sqlite3")
    sql = "explain query plan select key from result order by made_at_s limit 1"
    plan = await store._ask(lambda db: db.execute(sql).fetchall())
    assert [row[3] for row in plan] == ["SCAN result USING COVERING INDEX result_by_age"]
    await store.close()


def _add_then_fail(db: Any) -> None:
    db.execute("insert into result values ('x', 1, 5000, '{}')")
    raise ZeroDivisionError


def _sums(db: Any) -> tuple[int, int]:
    kept = db.execute("select size_bytes from result_total").fetchone()[0]
    return kept, db.execute("select sum(size_bytes) from result").fetchone()[0]
