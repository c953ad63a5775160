"""Slides that are not done are wanted once more: retry."""

import asyncio

import pytest

from slideloom.clock import monotonic_s
from slideloom.domain.batch import BatchState
from slideloom.domain.events import SlideStarted
from slideloom.errors import (
    NoAnswerInTime,
    StoreError,
    UnknownBatch,
    UnknownSlide,
)
from tests.support.orders import images, order
from tests.support.parts import ScriptedProvider, Workshop
from tests.support.shops import asked, codes, end, failing, make

PRICED = "google/gemini-3-pro-image-preview"
"""$0.134 to $0.24 a picture in the price list."""


async def retry(shop: Workshop, batch_id: str, *slide_ids: str) -> BatchState:
    return await end(shop, await shop.engine.retry(batch_id, slide_ids or None))


async def test_retry_makes_only_what_is_not_done() -> None:
    async with Workshop(failing(2, 3)) as shop:
        first = (await make(shop)).state
        state = await retry(shop, first.batch_id)
    assert asked(shop)[4:] == ["slide-2", "slide-3"]
    assert (state.batch_id, state.count("done")) == (first.batch_id, 4)
    assert [images(state)[0], images(state)[3]] == [images(first)[0], images(first)[3]]
    begun = [event for event in shop.store.logs[first.batch_id] if isinstance(event, SlideStarted)]
    assert [one.attempt for one in begun] == [1, 1, 1, 1, 2, 2]


async def test_retry_goes_back_to_running_under_the_same_id() -> None:
    async with Workshop(failing(2, 3)) as shop:
        batch_id = (await make(shop)).state.batch_id
        timeline = await shop.engine.retry(batch_id)
        assert (timeline.state.batch_id, timeline.state.status) == (batch_id, "running")
        assert await shop.engine.get(batch_id) is timeline
        assert shop.engine.active_count() == 1
        (line,) = (await shop.engine.list_batches(limit=9, cursor=None)).batches
        assert (line.status, line.failed) == ("running", 0)
        await end(shop, timeline)
        assert shop.engine.active_count() == 0


async def test_retry_of_some_slides_leaves_the_other_failures() -> None:
    async with Workshop(failing(1, 2, 3)) as shop:
        first = (await make(shop)).state
        state = await retry(shop, first.batch_id, "slide-3", "slide-1", "slide-3")
    assert codes(state) == [None, "content_blocked", None, None]
    assert asked(shop)[4:] == ["slide-1", "slide-3"]


async def test_done_slides_among_those_to_be_retried_are_left_alone() -> None:
    async with Workshop(failing(2)) as shop:
        first = (await make(shop)).state
        state = await retry(shop, first.batch_id, "slide-1", "slide-2")
    assert asked(shop)[4:] == ["slide-2"]
    assert [len(slide.versions) for slide in state.slides] == [1, 1, 1, 1]


async def test_unknown_slide_is_said_so_and_nothing_is_made() -> None:
    async with Workshop(failing(2)) as shop:
        state = (await make(shop)).state
        for change in (
            shop.engine.retry(state.batch_id, ["slide-2", "nope"]),
            shop.engine.regenerate(state.batch_id, "nope"),
            shop.engine.restore(state.batch_id, "nope", 1),
        ):
            with pytest.raises(UnknownSlide):
                await change
        assert (await shop.engine.get(state.batch_id)).state == state
        assert shop.engine.active_count() == 0
    assert len(shop.provider.calls) == 4


async def test_unknown_batch_is_said_so() -> None:
    async with Workshop() as shop:
        for change in (
            shop.engine.retry("nope"),
            shop.engine.regenerate("nope", "slide-1"),
            shop.engine.restore("nope", "slide-1", 1),
        ):
            with pytest.raises(UnknownBatch):
                await change


async def test_retry_with_nothing_to_do_answers_the_batch_as_it_is() -> None:
    async with Workshop() as shop:
        state = (await make(shop)).state
        assert (await shop.engine.retry(state.batch_id)).state == state
        assert (await shop.engine.retry(state.batch_id, [])).state == state
        assert (await shop.engine.retry(state.batch_id, ["slide-1"])).state == state
        assert await (await shop.engine.get(state.batch_id)).wait_finished(timeout_s=0.1)
        assert shop.engine.active_count() == 0
    assert len(shop.provider.calls) == 4
    assert len(shop.log.of("batch_generate_complete")) == 1


async def test_retry_of_a_running_batch_takes_in_what_failed_so_far() -> None:
    async with Workshop(failing(1)) as shop:
        timeline = await shop.engine.submit(order(4, max_workers=2))
        await asyncio.sleep(15)
        assert await shop.engine.retry(timeline.state.batch_id) is timeline
        assert timeline.state.slides[0].status == "pending"
        state = await end(shop, timeline)
    assert codes(state) == [None] * 4
    assert [slide.attempts for slide in state.slides] == [2, 1, 1, 1]
    assert len(shop.log.of("batch_generate_complete")) == 1


async def test_retry_as_a_batch_ends_is_never_lost() -> None:
    for steps in range(0, 40, 2):
        async with Workshop(failing(1)) as shop:
            timeline = await shop.engine.submit(order(2))
            await asyncio.sleep(10)
            for _ in range(steps):
                await asyncio.sleep(0)
            known = timeline.state.slides[0].status == "error"
            again = await shop.engine.retry(timeline.state.batch_id)
            state = await end(shop, again)
            assert (state.count("done") == 2) or not known
            assert shop.engine.active_count() == 0


async def test_two_retries_at_once_make_each_slide_once() -> None:
    async with Workshop(failing(1, 2)) as shop:
        batch_id = (await make(shop)).state.batch_id
        first, second = await asyncio.gather(*(shop.engine.retry(batch_id) for _ in range(2)))
        assert first is second
        state = await end(shop, first)
    assert asked(shop)[4:] == ["slide-1", "slide-2"]
    assert state.count("done") == 4


async def test_retry_has_a_clock_of_its_own() -> None:
    async with Workshop(failing(1, 2, 3), batch_timeout_s=45.0) as shop:
        first = (await make(shop)).state
        assert first.total_time_s == pytest.approx(40, abs=0.02)
        await asyncio.sleep(3600)
        state = await retry(shop, first.batch_id)
    assert codes(state) == [None] * 4
    # Of all runs, without the hour between.
    assert state.total_time_s == pytest.approx(70, abs=0.02)


async def test_what_is_not_done_in_the_retrys_own_time_fails() -> None:
    async with Workshop(failing(1, 2, 3), batch_timeout_s=45.0) as shop:
        batch_id = (await make(shop)).state.batch_id
        shop.provider._seconds = 30
        state = await retry(shop, batch_id)
    assert codes(state) == [None, "batch_timeout", "batch_timeout", None]


async def test_retry_gives_a_running_batch_its_whole_time_again() -> None:
    async with Workshop(failing(1), batch_timeout_s=46.0) as shop:
        timeline = await shop.engine.submit(order(6, max_workers=1))
        await asyncio.sleep(28)
        await shop.engine.retry(timeline.state.batch_id)  # from now on another 46 s
        state = await end(shop, timeline)
        ended_s = monotonic_s()
    # The sixth slide waits from the start until 50 s, the first is made again until 70 s.
    assert codes(state) == [None] * 6
    assert ended_s == pytest.approx(70)


async def test_retry_gives_calls_under_way_the_whole_time_again_too() -> None:
    async with Workshop(failing(1), batch_timeout_s=40.0) as shop:
        shop.provider._seconds = 30
        timeline = await shop.engine.submit(order(2, max_workers=1))
        await asyncio.sleep(35)
        await shop.engine.retry(timeline.state.batch_id)  # from now on until 75 s
        state = await end(shop, timeline)
    assert codes(state) == ["batch_timeout", None]


async def test_storage_that_was_full_needs_no_restart_but_a_retry() -> None:
    async with Workshop() as shop:
        shop.images.full = True
        first = (await make(shop)).state
        assert codes(first) == ["storage_full"] * 4
        assert codes(await retry(shop, first.batch_id)) == ["storage_full"] * 4
        assert shop.provider.calls == []
        shop.images.full = False
        state = await retry(shop, first.batch_id)
    assert state.count("done") == 4
    assert len(shop.provider.calls) == 4


async def test_retry_of_a_batch_of_an_earlier_process_works() -> None:
    async with Workshop(failing(2)) as shop:
        first = (await make(shop)).state
    async with Workshop(store=shop.store, images=shop.images) as shop:
        state = await retry(shop, first.batch_id)
    assert state.count("done") == 4
    assert asked(shop) == ["slide-2"]


async def test_retry_waits_for_its_turn_as_any_batch_does() -> None:
    async with Workshop(failing(1), concurrency=1) as shop:
        batch_id = (await make(shop, 1)).state.batch_id
        other = await shop.engine.submit(order(2, max_workers=1))
        await asyncio.sleep(1)
        again = await shop.engine.retry(batch_id)
        await asyncio.sleep(15)
        assert again.state.count("pending") == 1
        assert other.state.count("done") == 1
        assert (await end(shop, again)).count("done") == 1


async def test_retry_of_the_lead_brings_its_followers_along() -> None:
    async with Workshop(failing(1)) as shop:
        first = (await make(shop, reference_place=1)).state
        assert codes(first) == ["content_blocked"] * 4
        state = await retry(shop, first.batch_id)
    assert state.count("done") == 4
    assert asked(shop)[1] == "slide-2"
    assert all(call.reference for call in shop.provider.calls[2:])


async def test_followers_retried_without_their_lead_are_not_paid() -> None:
    async with Workshop(failing(1)) as shop:
        first = (await make(shop, reference_place=1)).state
        state = await retry(shop, first.batch_id, "slide-1", "slide-4")
    assert codes(state) == ["content_blocked"] * 4
    assert len(shop.provider.calls) == 1


async def test_retry_spends_no_more_than_the_batchs_budget() -> None:
    async with Workshop(ScriptedProvider(cost_usd=0.134)) as shop:
        first = (await make(shop, model=PRICED, max_cost_usd=0.5)).state
        assert codes(first)[2:] == ["budget_exceeded"] * 2
        state = await retry(shop, first.batch_id)
    assert codes(state) == codes(first)
    assert len(shop.provider.calls) == 2


@pytest.mark.parametrize("model", [PRICED, None], ids=["priced", "unpriced"])
async def test_retry_counts_what_an_earlier_run_may_have_been_charged(model: str | None) -> None:
    async with Workshop(failing(1, error=NoAnswerInTime)) as shop:
        first = (await make(shop, 1, model=model, max_cost_usd=0.4)).state
        state = await retry(shop, first.batch_id)
    # The first call may be charged 0.24, of 0.4, or nobody knows how much.
    assert codes(state) == ["budget_exceeded"]
    assert len(shop.provider.calls) == 1


async def test_caller_that_goes_away_leaves_a_whole_retry() -> None:
    for steps in range(8):
        async with Workshop(failing(1)) as shop:
            batch_id = (await make(shop, 2)).state.batch_id
            retrying = asyncio.create_task(shop.engine.retry(batch_id))
            for _ in range(steps):
                await asyncio.sleep(0)
            retrying.cancel()
            await asyncio.gather(retrying, return_exceptions=True)
            await asyncio.sleep(60)
            timeline = await shop.engine.get(batch_id)
            assert timeline.state.count("done") == 1 + (steps > 0)
            assert shop.engine.active_count() == 0


async def test_retry_that_the_store_does_not_take_starts_nothing() -> None:
    async with Workshop(failing(1)) as shop:
        state = (await make(shop)).state
        shop.store.fails = StoreError("disk gone")
        with pytest.raises(StoreError):
            await shop.engine.retry(state.batch_id)
        shop.store.fails = None
        assert (await shop.engine.get(state.batch_id)).state == state
        assert (await retry(shop, state.batch_id)).count("done") == 4


async def test_each_attempt_at_a_slide_is_another_take() -> None:
    async with Workshop() as shop:
        first = (await make(shop)).state
        await end(shop, await shop.engine.regenerate(first.batch_id, "slide-2"))
    assert [(call.slide.id, call.take) for call in shop.provider.calls][-1] == ("slide-2", 2)
    assert {call.take for call in shop.provider.calls[:-1]} == {1}
