"""Every batch store keeps the same promises: one test file for all of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from slideloom.domain.events import (
    BatchCancelled,
    BatchFinished,
    BatchStarted,
    BatchSubmitted,
    SlideCharged,
    SlideFailed,
    SlidesReopened,
)
from slideloom.domain.keys import OnceKey
from slideloom.errors import (
    Fenced,
    KeyReused,
    LogMoved,
    StorageFull,
    StoreError,
    StoreUnusable,
    UnknownBatch,
)
from slideloom.stores.base import BatchStore, Encoded, encode_event
from slideloom.stores.redis import RedisBatchStore
from slideloom.stores.sqlite import SqliteBatchStore
from tests.support.orders import order
from tests.support.parts import MemoryBatchStore


@pytest.fixture(params=["sqlite", "redis", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BatchStore]:
    made = await open_store(request, tmp_path)
    yield made
    await made.close()


async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> BatchStore:
    match request.param:
        case "sqlite":
            return await SqliteBatchStore.open(tmp_path / "store.sqlite3")
        case "redis":
            url = request.getfixturevalue("shared_redis").url
            return await RedisBatchStore.open(url, prefix=f"{uuid4().hex}:")
        case _:
            return MemoryBatchStore()


def submitted(at_s: float = 1.0, **changes: Any) -> BatchSubmitted:
    return BatchSubmitted(at_s=at_s, order=order(2, **changes))


async def begin(store: BatchStore, batch_id: str = "b", at_s: float = 1.0) -> int:
    """A batch in the store; the epoch of its first run."""
    assert await store.create(batch_id, submitted(at_s)) == batch_id
    return 1


async def test_log_comes_back_in_order_with_numbers_from_one(store: BatchStore) -> None:
    epoch = await begin(store)
    assert await store.append("b", epoch, [BatchStarted(at_s=2)]) == 2
    assert await store.append("b", epoch, [BatchFinished(at_s=3, total_time_s=1)]) == 3
    assert await store.read("b") == [
        submitted(),
        BatchStarted(at_s=2),
        BatchFinished(at_s=3, total_time_s=1),
    ]
    assert await store.read("b", after=2) == [BatchFinished(at_s=3, total_time_s=1)]


async def test_event_that_is_encoded_already_is_written_as_it_is(store: BatchStore) -> None:
    epoch = await begin(store)
    mixed = (encode_event(BatchStarted(at_s=2)), BatchCancelled(at_s=2))
    assert await store.append("b", epoch, mixed) == 3
    assert await store.append("b", epoch, [encode_event(BatchFinished(at_s=3, total_time_s=1))])
    assert await store.read("b") == [
        submitted(),
        BatchStarted(at_s=2),
        BatchCancelled(at_s=2),
        BatchFinished(at_s=3, total_time_s=1),
    ]
    assert await store.find_unfinished() == []


async def test_event_that_cannot_be_written_takes_no_brother_with_it(store: BatchStore) -> None:
    epoch = await begin(store)
    no_text = SlideFailed(at_s=2, place=0, error_code="no_image", error_detail="\ud800")
    with pytest.raises(UnicodeEncodeError):
        encode_event(no_text)
    ends = await asyncio.gather(
        store.append("b", epoch, [BatchStarted(at_s=1)]),
        store.append("b", epoch, [BatchStarted(at_s=2), no_text]),
        store.append("b", epoch, [BatchStarted(at_s=3)]),
        return_exceptions=True,
    )
    assert isinstance(ends[1], UnicodeEncodeError)
    assert await store.read("b") == [submitted(), BatchStarted(at_s=1), BatchStarted(at_s=3)]


def test_event_is_encoded_once() -> None:
    once = encode_event(submitted())
    assert isinstance(once, Encoded)
    assert encode_event(once) is once


async def test_unknown_batch_has_an_empty_log(store: BatchStore) -> None:
    assert await store.read("nope") == []


async def test_older_epoch_is_fenced(store: BatchStore) -> None:
    old = await begin(store)
    new = await store.lease("b")
    with pytest.raises(Fenced):
        await store.append("b", old, [BatchStarted(at_s=2)])
    assert await store.append("b", new, [BatchStarted(at_s=2)]) == 2


async def test_appends_side_by_side_leave_no_gap(store: BatchStore) -> None:
    epoch = await begin(store)
    numbers = await asyncio.gather(
        *(store.append("b", epoch, [BatchStarted(at_s=n)]) for n in range(100))
    )
    assert sorted(numbers) == list(range(2, 102))


async def test_unfinished_batches_are_found(store: BatchStore) -> None:
    for name in ("done", "open"):
        epoch = await begin(store, name)
        if name == "done":
            await store.append(name, epoch, [BatchFinished(at_s=5, total_time_s=1)])
    assert await store.find_unfinished() == ["open"]


async def test_finished_batches_are_forgotten_after_their_time(store: BatchStore) -> None:
    for name, ended_s in (("old", 5.0), ("new", 50.0), ("open", None)):
        epoch = await begin(store, name)
        if ended_s is not None:
            await store.append(name, epoch, [BatchFinished(at_s=ended_s, total_time_s=1)])
    assert await store.forget_finished(before_s=10, now_s=100) == 1
    assert await store.read("old") == []
    assert await store.read("new")
    assert await store.read("open")


@pytest.fixture(params=["sqlite", "redis"])
async def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BatchStore]:
    """One that keeps what it is told, and pages through it."""
    made = await open_store(request, tmp_path)
    yield made
    await made.close()


async def test_list_is_newest_first_and_pages_without_gap_or_repeat(lasting: BatchStore) -> None:
    store = lasting
    for number in range(7):
        await begin(store, f"b{number}", number // 2)
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.list_batches(limit=3, cursor=cursor)
        seen += [line.batch_id for line in page.batches]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ["b6", "b5", "b4", "b3", "b2", "b1", "b0"]
    with pytest.raises(ValueError, match="not a cursor"):
        await store.list_batches(limit=3, cursor="x")


async def test_page_goes_on_behind_a_batch_that_was_dropped(lasting: BatchStore) -> None:
    for number in range(5):
        epoch = await begin(lasting, f"b{number}", 1.5)
        if number == 2:
            await lasting.append("b2", epoch, [BatchFinished(at_s=5, total_time_s=1)])
    page = await lasting.list_batches(limit=3)
    assert [line.batch_id for line in page.batches] == ["b4", "b3", "b2"]
    assert await lasting.forget_finished(before_s=10, now_s=10) == 1
    rest = await lasting.list_batches(limit=3, cursor=page.next_cursor)
    assert [line.batch_id for line in rest.batches] == ["b1", "b0"]
    assert rest.next_cursor is None


async def test_unfinished_batches_are_found_oldest_first(lasting: BatchStore) -> None:
    for name, at_s in (("z", 1.25), ("a", 3.0), ("m", 2.0)):
        await begin(lasting, name, at_s)
    assert await lasting.find_unfinished() == ["z", "m", "a"]


async def test_record_is_kept_as_long_after_what_came_last(lasting: BatchStore) -> None:
    epoch = await begin(lasting)
    await lasting.append("b", epoch, [BatchFinished(at_s=5, total_time_s=1)])
    await lasting.append("b", None, [SlideCharged(at_s=20, place=0, cost_usd=0.04)])
    assert await lasting.forget_finished(before_s=10, now_s=10) == 0
    assert await lasting.forget_finished(before_s=30, now_s=30) == 1


async def test_what_was_answered_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    store = await SqliteBatchStore.open(path)
    await begin(store)
    store._lock.release()  # the first is never closed: a crash
    again = await SqliteBatchStore.open(path)
    assert await again.read("b") == [submitted()]
    await again.close()
    await store.close()


async def test_run_of_an_unknown_batch_is_refused(store: BatchStore) -> None:
    with pytest.raises(UnknownBatch):
        await store.lease("nope")
    for epoch in (1, None):
        with pytest.raises(Fenced):
            await store.append("nope", epoch, [BatchStarted(at_s=2)])
    assert await store.find_unfinished() == []


async def test_to_append_nothing_changes_nothing_but_is_fenced(store: BatchStore) -> None:
    epoch = await begin(store)
    ended = await store.append("b", epoch, [BatchFinished(at_s=50, total_time_s=1)])
    assert await store.append("b", epoch, []) == ended
    assert await store.forget_finished(before_s=10, now_s=10) == 0
    with pytest.raises(Fenced):
        await store.append("b", epoch + 1, [])


async def test_cost_may_be_written_whoever_runs_the_batch(store: BatchStore) -> None:
    await begin(store)
    await store.lease("b")
    late = SlideCharged(at_s=2, place=0, cost_usd=0.04)
    assert await store.append("b", None, [late]) == 2
    assert await store.read("b", after=1) == [late]


def once(text: str = "k", digest: str = "d", until_s: float = 100.0) -> OnceKey:
    return OnceKey(text=text, digest=digest, until_s=until_s)


async def test_key_stands_for_the_first_batch_until_its_time_is_over(store: BatchStore) -> None:
    assert await store.create("first", submitted(1), key=once()) == "first"
    assert await store.create("second", submitted(99), key=once()) == "first"
    assert await store.read("second") == []
    assert await store.create("other", submitted(2), key=once("k2")) == "other"
    with pytest.raises(KeyReused):
        await store.create("third", submitted(2), key=once(digest="e"))
    assert await store.read("third") == []
    later = once(digest="e", until_s=500)
    assert await store.create("fourth", submitted(101), key=later) == "fourth"


async def test_of_many_orders_with_one_key_at_once_one_is_taken(store: BatchStore) -> None:
    taken = await asyncio.gather(
        *(store.create(f"b{n}", submitted(), key=once()) for n in range(50))
    )
    assert len(set(taken)) == 1
    assert len(await store.find_unfinished()) == 1


async def test_batch_stays_as_long_as_its_key_lives(store: BatchStore) -> None:
    await store.create("b", submitted(), key=once())
    await store.append("b", 1, [BatchFinished(at_s=5, total_time_s=1)])
    assert await store.forget_finished(before_s=10, now_s=50) == 0
    assert await store.forget_finished(before_s=10, now_s=100) == 1
    assert await store.read("b") == []


async def test_single_slides_are_in_no_list_but_are_found_and_forgotten(store: BatchStore) -> None:
    await store.create("s", submitted(is_single=True))
    assert (await store.list_batches(limit=9)).batches == ()
    assert await store.find_unfinished() == ["s"]
    await store.append("s", 1, [BatchFinished(at_s=5, total_time_s=1)])
    assert (await store.list_batches(limit=9)).batches == ()
    assert await store.forget_finished(before_s=10, now_s=50) == 1


async def test_command_that_fails_oddly_leaves_the_store_thread_alive(tmp_path: Path) -> None:
    store = await SqliteBatchStore.open(tmp_path / "s.sqlite3")
    for _ in range(3):
        with pytest.raises(StoreError):
            await asyncio.wait_for(store.list_batches(limit=10**30), 5)
    assert (await store.list_batches(limit=1)).batches == ()
    await store.close()


async def test_second_store_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    store = await SqliteBatchStore.open(tmp_path / "s.sqlite3")
    with pytest.raises(StoreUnusable, match="in use by another"):
        await SqliteBatchStore.open(tmp_path / "s.sqlite3")
    await store.close()
    await (await SqliteBatchStore.open(tmp_path / "s.sqlite3")).close()


async def test_unreadable_record_is_a_store_error(tmp_path: Path) -> None:
    store = await SqliteBatchStore.open(tmp_path / "s.sqlite3")
    await begin(store)
    await store._ask(lambda db: db.execute('update event set body = \'{"event": "new"}\''))
    with pytest.raises(StoreError, match="cannot be read"):
        await store.read("b")
    await store.close()


async def test_batch_that_runs_again_is_unfinished_again(store: BatchStore) -> None:
    epoch = await begin(store)
    failed = SlideFailed(at_s=2, place=1, error_code="no_image")
    await store.append("b", epoch, [failed, BatchFinished(at_s=2, total_time_s=1)])
    assert await store.find_unfinished() == []
    await store.append("b", epoch, [SlidesReopened(at_s=3, places=(1,))])
    assert await store.find_unfinished() == ["b"]
    assert await store.forget_finished(before_s=10, now_s=100) == 0


async def test_closed_store_refuses(tmp_path: Path) -> None:
    store = await SqliteBatchStore.open(tmp_path / "s.sqlite3")
    await asyncio.gather(store.close(), store.close())
    with pytest.raises(StoreError):
        await store.read("b")


async def test_check_changes_nothing(store: BatchStore) -> None:
    await begin(store)
    await store.check()
    assert await store.read("b") == [submitted()]


async def test_check_of_a_full_disk_is_storage_full(tmp_path: Path) -> None:
    store = await SqliteBatchStore.open(tmp_path / "s.sqlite3")
    await store._ask(lambda db: db.execute("pragma query_only = on"))
    with pytest.raises(StorageFull):
        await store.check()
    await store.close()


async def test_store_that_was_removed_under_it_takes_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    store = await SqliteBatchStore.open(path)
    await begin(store)
    path.unlink()
    for ask in (store.check, lambda: store.create("c", submitted()), lambda: store.read("b")):
        with pytest.raises(StoreError, match="removed or replaced"):
            await ask()
    await store.close()


async def test_write_behind_a_number_is_refused_once_the_log_has_moved(store: BatchStore) -> None:
    epoch = await begin(store)
    assert await store.append("b", None, [BatchStarted(at_s=2)], at=1) == 2
    with pytest.raises(LogMoved):
        await store.append("b", epoch, [BatchFinished(at_s=3, total_time_s=1)], at=1)
    assert len(await store.read("b")) == 2
    assert await store.append("b", epoch, [BatchFinished(at_s=3, total_time_s=1)], at=2) == 3
    with pytest.raises(Fenced):
        await store.append("b", epoch + 1, [BatchStarted(at_s=4)], at=3)


async def test_owner_has_a_list_and_a_count_of_its_own(store: BatchStore) -> None:
    for number, owner in enumerate(("alice", "bob", "alice", "")):
        await store.create(f"b{number}", submitted(float(number), owner=owner))
    await store.create("one slide", submitted(9.0, owner="alice", is_single=True))
    listed = {
        owner: [line.batch_id for line in (await store.list_batches(limit=9, owner=owner)).batches]
        for owner in (None, "alice", "bob", "", "nobody")
    }
    assert listed == {
        None: ["b3", "b2", "b1", "b0"],
        "alice": ["b2", "b0"],
        "bob": ["b1"],
        "": ["b3"],
        "nobody": [],
    }
    assert await store.count_active(owner="alice") == 2
    assert await store.count_active(owner="nobody") == 0


async def test_what_is_forgotten_is_in_no_owners_list(store: BatchStore) -> None:
    await store.create("b", submitted(owner="alice"))
    failed = [SlideFailed(at_s=2, place=place, error_code="timeout") for place in (0, 1)]
    await store.append("b", 1, [*failed, BatchFinished(at_s=3, total_time_s=1)])
    assert await store.forget_finished(before_s=9, now_s=9) == 1
    assert (await store.list_batches(limit=9, owner="alice")).batches == ()


async def test_spending_adds_up_by_owner_and_day_and_never_passes_a_limit(store: Any) -> None:
    day, next_day = "2026-11-26", "2026-11-27"
    assert await store.find_cost("alice", day) == 0.0
    assert [await store.add_cost("alice", day, 0.4, limit_usd=1.0) for _ in range(3)] == [
        *(True, True, False),
    ]
    assert await store.add_cost("alice", day, -0.3)
    assert await store.find_cost("alice", day) == pytest.approx(0.5)
    assert await store.add_cost("alice", day, 0.5, limit_usd=1.0)
    assert not await store.add_cost("alice", day, 0.0, limit_usd=1.0)  # reached
    assert await store.add_cost("alice", day, 2.0)  # without one
    assert await store.add_cost("bob", day, 0.4, limit_usd=1.0)
    assert await store.add_cost("alice", next_day, 0.4, limit_usd=1.0)
    assert not await store.add_cost("", day, 0.1, limit_usd=0.0)
    assert not await store.add_cost("", day, 0.0, limit_usd=0.0)


async def test_as_many_prices_fit_into_a_limit_as_people_reckon(store: Any) -> None:
    for owner, usd, limit_usd in (
        ("a", 0.24, 2.4),
        ("b", 0.4, 1.2),
        ("c", 0.003, 0.009),
        ("d", 0.1, 0.8),
    ):
        count = round(limit_usd / usd)
        taken = [
            await store.add_cost(owner, "2026-11-26", usd, limit_usd=limit_usd)
            for _ in range(count + 1)
        ]
        assert taken == [*[True] * count, False]
        assert not await store.add_cost(owner, "2026-11-26", 0.0, limit_usd=limit_usd)


async def test_many_who_spend_at_once_pass_no_limit(store: Any) -> None:
    taken = await asyncio.gather(
        *(store.add_cost("a", "2026-11-26", 0.25, limit_usd=2.0) for _ in range(40))
    )
    assert sum(taken) == 8
    assert await store.find_cost("a", "2026-11-26") == pytest.approx(2.0)


async def test_key_is_found_as_long_as_it_stands(store: BatchStore) -> None:
    key = OnceKey(text="k", digest="d", until_s=100.0)
    assert await store.find_named(key, now_s=1.0) is None
    await store.create("b", submitted(), key=key)
    assert await store.find_named(key, now_s=99.0) == "b"
    assert await store.find_named(key, now_s=100.0) is None
    with pytest.raises(KeyReused):
        await store.find_named(OnceKey(text="k", digest="other", until_s=100.0), now_s=1.0)


async def test_active_are_batches_without_an_end(store: BatchStore) -> None:
    assert await store.count_active() == 0
    await begin(store, "a")
    await begin(store, "b")
    single = BatchSubmitted(at_s=1.0, order=order(1, is_single=True))
    await store.create("one slide", single)
    assert await store.count_active() == 2
    failed = SlideFailed(at_s=2, place=0, error_code="timeout")
    await store.append("a", 1, [failed, BatchFinished(at_s=3, total_time_s=1)])
    assert await store.count_active() == 1
    await store.append("a", None, [SlidesReopened(at_s=4, places=(0,))])
    assert await store.count_active() == 2
