"""Wishes that reach a worker through the store: also one that hears nothing, or is not there."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from slideloom.domain.batch import fold
from slideloom.domain.events import (
    BatchFinished,
    BatchStarted,
    BatchSubmitted,
    Event,
    SlideCharged,
    SlidesReopened,
)
from slideloom.engine.batches import BatchEngine
from slideloom.engine.ending import end_over_head
from slideloom.engine.follower import Follower
from slideloom.engine.remote_work import RemoteWork
from slideloom.errors import StoreError
from slideloom.logs import Log
from slideloom.stores.base import encode_event
from tests.support.elsewhere import Elsewhere
from tests.support.orders import order
from tests.support.parts import ScriptedProvider, Workshop
from tests.support.shops import codes, failing, make


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    elsewhere = Elsewhere()
    monkeypatch.setattr(Workshop, "place", elsewhere)
    return elsewhere


@asynccontextmanager
async def second_engine(shop: Workshop) -> AsyncIterator[BatchEngine]:
    """Another process that answers for the same batches."""
    log: Log = shop.log  # type: ignore[assignment]  # only what the engine calls
    work = RemoteWork(
        store=shop.store,
        queue=shop.queue,
        follower=Follower(shop.store, shop.store, log=log),
        images=shop.images,
        log=log,
    )
    engine = BatchEngine(
        store=shop.store, work=work, maker=shop.maker, limits=shop.runs.limits, log=log
    )
    await engine.start()
    yield engine
    await engine.stop(grace_s=0.0)


async def test_batch_that_no_worker_has_is_cancelled_at_once() -> None:
    async with Workshop(concurrency=1) as shop:
        first = await shop.engine.submit(order(1))
        waiting = await shop.engine.submit(order(4))
        timeline = await shop.engine.cancel(waiting.state.batch_id)
        assert codes(timeline.state) == ["cancelled"] * 4
        await first.wait_finished(timeout_s=60)
        await asyncio.sleep(60)
        assert len(shop.provider.calls) == 1
        assert shop.log.of("batch_generate_complete")


async def test_worker_that_hears_nothing_begins_no_call_a_second_after_a_cancel(
    place: Elsewhere,
) -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        place.deafen()
        timeline = await shop.engine.submit(order(9, max_workers=3))
        await asyncio.sleep(5)
        began_s = asyncio.get_running_loop().time()
        state = (await shop.engine.cancel(timeline.state.batch_id)).state
        assert asyncio.get_running_loop().time() - began_s < 1
        assert (state.status, codes(state)) == ("failed", ["cancelled"] * 9)
        assert [slide.possibly_billed for slide in state.slides] == [1] * 3 + [0] * 6
        await asyncio.sleep(60)
        assert len(shop.provider.calls) == 3
        log = shop.store.logs[state.batch_id]
        assert sum(isinstance(event, SlideCharged) for event in log) == 3
        assert (await shop.engine.get(state.batch_id)).state.status == "failed"


async def test_wish_of_one_process_is_in_the_next_answer_of_another() -> None:
    async with Workshop(failing(1)) as shop, second_engine(shop) as other:
        batch_id = (await make(shop)).state.batch_id
        assert (await other.get(batch_id)).state.status == "completed"
        await shop.engine.retry(batch_id)
        again = await other.get(batch_id)
        assert again.state.status == "running"
        assert await other.count_active() == 1
        assert await again.wait_finished(timeout_s=60)
        assert codes(again.state) == [None] * 4


async def test_same_wish_of_two_processes_is_carried_out_once() -> None:
    async with Workshop(failing(1)) as shop, second_engine(shop) as other:
        batch_id = (await make(shop)).state.batch_id
        calls = len(shop.provider.calls)
        one, two = await asyncio.gather(shop.engine.retry(batch_id), other.retry(batch_id))
        assert await one.wait_finished(timeout_s=60)
        assert await two.wait_finished(timeout_s=60)
        assert len(shop.provider.calls) == calls + 1
        log = shop.store.logs[batch_id]
        assert sum(isinstance(event, SlidesReopened) for event in log) == 1


async def test_slide_wanted_again_just_as_the_batch_ends_is_made() -> None:
    """Whoever makes the batch sees the wish before it writes the end, or the queue brings it."""
    for delay_ms in range(0, 40, 2):
        async with Workshop(failing(1)) as shop, second_engine(shop) as other:
            timeline = await shop.engine.submit(order(4, max_workers=4))
            await asyncio.sleep(0.98 + delay_ms / 1000)
            again = await other.retry(timeline.state.batch_id)
            await asyncio.sleep(60)
            assert again.state.is_final
            log = shop.store.logs[again.state.batch_id]
            is_reopened = any(isinstance(event, SlidesReopened) for event in log)
            assert again.state.count("error") == (0 if is_reopened else 1)


async def test_batch_that_the_queue_lost_is_made_all_the_same() -> None:
    async with Workshop() as shop:
        submit = shop.queue.submit

        async def lose(batch_id: str, *, again: bool = False) -> None:
            del batch_id, again
            shop.queue.submit = submit  # type: ignore[method-assign]

        shop.queue.submit = lose  # type: ignore[method-assign]
        timeline = await shop.engine.submit(order(2))
        assert await timeline.wait_finished(timeout_s=30)
        assert timeline.state.count("done") == 2


async def test_caller_who_waits_for_what_the_store_has_lost_is_let_go() -> None:
    async with Workshop(ScriptedProvider(seconds=100)) as shop:
        timeline = await shop.engine.submit(order(2))
        single = asyncio.create_task(shop.engine.make_single(order(1, is_single=True)))
        await asyncio.sleep(1)
        shop.store.logs.clear()
        assert await timeline.wait_finished(timeout_s=30)
        assert (timeline.is_closed, timeline.state.is_final) == (True, False)
        with pytest.raises(StoreError, match="has lost the single slide"):
            await single


async def test_batch_that_nobody_could_make_is_ended_truthfully() -> None:
    async with Workshop(ScriptedProvider(seconds=100)) as shop:
        timeline = await shop.engine.submit(order(4, max_workers=2))
        await asyncio.sleep(5)
        await shop.handler.abandon(timeline.state.batch_id)
        state = (await shop.engine.get(timeline.state.batch_id)).state
        assert codes(state) == ["internal"] * 4
        assert [slide.possibly_billed for slide in state.slides] == [1, 1, 0, 0]
        await shop.handler.abandon(state.batch_id)
        assert (await shop.engine.get(state.batch_id)).state == state


async def test_deck_wanted_again_before_its_worker_knows_that_it_has_ended_is_made() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await shop.engine.submit(order(2))
        await asyncio.sleep(1)
        answer_late(shop, late_s=3)
        cancelled = await shop.engine.cancel(timeline.state.batch_id)
        assert codes(cancelled.state) == ["cancelled"] * 2
        again = await shop.engine.retry(timeline.state.batch_id)
        await asyncio.sleep(60)
        assert codes(again.state) == [None] * 2


async def test_cancel_that_comes_too_late_takes_the_batch_from_nobody() -> None:
    """Another process has ended it, and it is made again, before this one could."""
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await shop.engine.submit(order(2))
        await asyncio.sleep(1)
        batch_id = timeline.state.batch_id
        epoch = shop.store.epochs[batch_id]
        log: Log = shop.log  # type: ignore[assignment]  # only what it calls
        await end_over_head(batch_id, "cancelled", store=shop.store, images=shop.images, log=log)
        await asyncio.sleep(60)
        assert codes(timeline.state) == [None] * 2
        assert shop.store.epochs[batch_id] == epoch


async def test_batch_that_is_ended_while_a_worker_takes_it_up_is_no_fault() -> None:
    async with Workshop() as shop:
        read, batch_id = shop.store.read, str(uuid.uuid4())

        async def end_meanwhile(*args: Any, **options: Any) -> list[Event]:
            log = await read(*args, **options)
            shop.store.read = read  # type: ignore[method-assign]
            await shop.handler.abandon(batch_id)
            return log

        await shop.store.create(batch_id, BatchSubmitted(at_s=0, order=order(2)))
        await shop.store.append(batch_id, None, [BatchStarted(at_s=1)])
        shop.store.read = end_meanwhile  # type: ignore[method-assign]
        await shop.handler.make(batch_id)
        assert fold(batch_id, shop.store.logs[batch_id]).status == "failed"
        assert not [line for line in shop.log.lines if "exc_info" in line]


def answer_late(shop: Workshop, *, late_s: float) -> None:
    """Have the store's answer to the end of a batch take so long, though it is written at once."""
    append = shop.store.append

    async def write(*args: Any, **options: Any) -> int:
        seq = await append(*args, **options)
        if any(isinstance(encode_event(one).event, BatchFinished) for one in args[2]):
            await asyncio.sleep(late_s)
        return seq

    shop.store.append = write  # type: ignore[method-assign]


async def test_batch_whose_log_lost_its_end_is_taken_up_from_what_is_there() -> None:
    """A server came back without its last second, and somebody here remembers it."""
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await shop.engine.submit(order(3, max_workers=1))
        batch_id = timeline.state.batch_id
        await asyncio.sleep(15)
        remembered = shop.runs.roster.runs[batch_id].timeline
        del shop.store.logs[batch_id][-2:]
        await asyncio.sleep(60)
        assert remembered.is_closed
        state = (await shop.engine.get(batch_id)).state
        assert state.is_final
        assert all(slide.is_final for slide in state.slides)
        assert state.slides[0].picture  # whose end was lost: its picture was found
        assert fold(batch_id, shop.store.logs[batch_id]) == state


async def test_end_of_a_batch_whose_log_lost_its_end_is_not_tried_without_end() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await shop.engine.submit(order(1))
        batch_id = timeline.state.batch_id
        append, tries = shop.store.append, 0

        async def lose(*args: Any, **options: Any) -> int:
            nonlocal tries
            events = [encode_event(one).event for one in args[2]]
            if isinstance(events[-1], BatchFinished):
                tries += 1
                assert tries < 5
                if tries == 1:
                    del shop.store.logs[batch_id][-1]
            return await append(*args, **options)

        shop.store.append = lose  # type: ignore[method-assign]
        await asyncio.sleep(60)
        state = (await shop.engine.get(batch_id)).state
        assert (state.is_final, state.count("done")) == (True, 1)
        assert len(shop.provider.calls) == 1


async def test_worker_without_room_leaves_batches_to_others() -> None:
    async with Workshop() as shop:
        shop.images.full = True
        timeline = await shop.engine.submit(order(2))
        await asyncio.sleep(2.5)
        assert timeline.state.status == "pending"
        shop.images.full = False  # as where another worker takes it
        assert await timeline.wait_finished(timeout_s=30)
        assert timeline.state.count("done") == 2


async def test_batch_that_finds_room_nowhere_ends_as_it_must() -> None:
    async with Workshop() as shop:
        shop.images.full = True
        timeline = await shop.engine.submit(order(2))
        assert await timeline.wait_finished(timeout_s=60)
        assert codes(timeline.state) == ["storage_full"] * 2
        other = await shop.engine.submit(order(1))
        await shop.handler.abandon(other.state.batch_id)
        assert codes((await shop.engine.get(other.state.batch_id)).state) == ["storage_full"]
        assert not shop.provider.calls
