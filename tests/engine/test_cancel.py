"""A cancelled batch: no new call, those under way given up, what was made stays."""

import asyncio
import contextlib

import pytest

from slideloom.clock import monotonic_s
from slideloom.domain.batch import BatchState, fold
from slideloom.domain.events import BatchCancelled, SlideFailed
from slideloom.engine.timeline import Timeline
from slideloom.errors import RateLimited, StoreError, UnknownBatch, UpstreamDown
from tests.support.orders import order
from tests.support.parts import MemoryDraft, ScriptedProvider, Workshop
from tests.support.shops import codes


async def begin(shop: Workshop, slides: int = 4, *, after_s: float, **changes: object) -> Timeline:
    """A batch that has been made for a while."""
    timeline = await shop.engine.submit(order(slides, **changes))
    await asyncio.sleep(after_s)
    return timeline


async def cancel(shop: Workshop, timeline: Timeline) -> BatchState:
    assert await shop.engine.cancel(timeline.state.batch_id) is timeline
    return timeline.state


async def test_cancel_gives_up_calls_under_way_and_begins_no_new_one() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await begin(shop, 5, after_s=15, max_workers=2)
        started_s = monotonic_s()
        state = await cancel(shop, timeline)
        assert monotonic_s() == started_s
        assert shop.provider.under_way == 0
        await asyncio.sleep(600)
        assert len(shop.provider.calls) == 4
        assert fold(state.batch_id, shop.store.logs[state.batch_id]) == timeline.state == state
        kinds = [type(event) for event in shop.store.logs[state.batch_id]]
        # In front: a crash in between leaves a batch that is cancelled as a whole.
        assert kinds.index(BatchCancelled) < kinds.index(SlideFailed)
    assert codes(state) == [None, None, "cancelled", "cancelled", "cancelled"]
    assert [slide.possibly_billed for slide in state.slides] == [0, 0, 1, 1, 0]
    assert (state.status, state.is_cancelled) == ("completed", True)


async def test_batch_cancelled_before_anything_was_done_is_failed() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        state = await cancel(shop, await begin(shop, after_s=5))
    assert (state.status, state.is_cancelled) == ("failed", True)
    assert codes(state) == ["cancelled"] * 4


async def test_calls_given_up_at_a_free_provider_are_not_counted_as_billed() -> None:
    async with Workshop(ScriptedProvider(seconds=10, bills=False)) as shop:
        state = await cancel(shop, await begin(shop, after_s=5))
    assert codes(state) == ["cancelled"] * 4
    assert [slide.possibly_billed for slide in state.slides] == [0] * 4


async def test_slide_that_waits_out_a_pause_is_cancelled_at_once() -> None:
    script = [UpstreamDown(), RateLimited(retry_after_s=300)]
    async with Workshop(ScriptedProvider(*script)) as shop:
        timeline = await begin(shop, 2, after_s=1.1)
        state = await cancel(shop, timeline)
        assert state.is_final
        await asyncio.sleep(600)
    assert len(shop.provider.calls) == 2
    assert [slide.possibly_billed for slide in state.slides] == [0, 0]


async def test_picture_that_is_just_being_kept_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    keep = MemoryDraft.keep

    async def keep_slowly(draft: MemoryDraft) -> str:
        await asyncio.sleep(2)
        return await keep(draft)

    monkeypatch.setattr(MemoryDraft, "keep", keep_slowly)
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        state = await cancel(shop, await begin(shop, 2, after_s=11, max_workers=1))
    assert codes(state) == [None, "cancelled"]
    assert (state.status, state.slides[0].cost_usd) == ("completed", 0.04)


async def test_cancel_answers_though_a_picture_takes_its_time_to_be_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep = MemoryDraft.keep

    async def keep_slowly(draft: MemoryDraft) -> str:
        await asyncio.sleep(60)
        return await keep(draft)

    monkeypatch.setattr(MemoryDraft, "keep", keep_slowly)
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await begin(shop, 2, after_s=11, max_workers=1)
        started_s = monotonic_s()
        state = await cancel(shop, timeline)
        assert monotonic_s() - started_s < 10
        assert (state.status, state.is_cancelled) == ("running", True)
        assert await timeline.wait_finished(timeout_s=60)
    assert codes(timeline.state) == [None, "cancelled"]


async def test_batch_that_waits_for_its_turn_is_cancelled_at_once() -> None:
    async with Workshop(ScriptedProvider(seconds=10), concurrency=1) as shop:
        running = await begin(shop, after_s=0)
        waiting = await begin(shop, after_s=5)
        state = await cancel(shop, waiting)
        assert (state.status, codes(state)) == ("failed", ["cancelled"] * 4)
        assert shop.engine.active_count() == 1
        assert await running.wait_finished(timeout_s=60)
        await asyncio.sleep(60)  # its turn comes, and finds nothing to do
        assert waiting.state == state
    assert len(shop.provider.calls) == 4
    assert len(shop.log.of("batch_generate_complete")) == 2


async def test_other_batches_go_on() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        first, second = [await begin(shop, after_s=2) for _ in range(2)]
        await cancel(shop, first)
        assert await second.wait_finished(timeout_s=60)
    assert second.state.count("done") == 4
    assert not second.state.is_cancelled


async def test_cancelling_again_changes_nothing() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await begin(shop, after_s=5)
        states = await asyncio.gather(*(cancel(shop, timeline) for _ in range(5)))
        again = await cancel(shop, timeline)
    assert all(state == again for state in states)
    assert len(shop.log.of("batch_generate_complete")) == 1


async def test_cancelling_a_finished_batch_changes_nothing() -> None:
    async with Workshop() as shop:
        timeline = await begin(shop, after_s=60)
        before = timeline.state
        assert await cancel(shop, timeline) == before
        (log,) = shop.store.logs.values()
    assert not any(isinstance(event, BatchCancelled) for event in log)
    assert (before.status, before.is_cancelled) == ("completed", False)


async def test_batch_that_is_cancelled_as_it_ends_is_whole_all_the_same() -> None:
    for steps in range(0, 40, 2):
        async with Workshop(ScriptedProvider(seconds=10)) as shop:
            timeline = await begin(shop, 2, after_s=10)
            for _ in range(steps):
                await asyncio.sleep(0)
            state = await cancel(shop, timeline)
            assert state.is_final
            assert fold(state.batch_id, shop.store.logs[state.batch_id]) == state
            kept = {slide.picture.image for slide in state.slides if slide.picture}
            assert kept == shop.images.kept.keys()


async def test_unknown_batch_cannot_be_cancelled() -> None:
    async with Workshop() as shop:
        with pytest.raises(UnknownBatch):
            await shop.engine.cancel("nope")


async def test_cancelled_batch_runs_again_when_it_is_retried() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await begin(shop, 4, after_s=15, max_workers=1)
        await cancel(shop, timeline)
        again = await shop.engine.retry(timeline.state.batch_id)
        assert (again.state.status, again.state.is_cancelled) == ("running", False)
        assert await again.wait_finished(timeout_s=60)
    assert codes(again.state) == [None] * 4
    assert [slide.attempts for slide in again.state.slides] == [1, 2, 1, 1]
    assert (again.state.status, again.state.is_cancelled) == ("completed", False)


async def test_retry_while_a_batch_is_being_cancelled_comes_after_it() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await begin(shop, after_s=5)
        batch_id = timeline.state.batch_id
        cancelling = asyncio.create_task(shop.engine.cancel(batch_id))
        await asyncio.sleep(0)
        again = await shop.engine.retry(batch_id)
        await cancelling
        assert await again.wait_finished(timeout_s=60)
    assert again.state.count("done") == 4
    assert not again.state.is_cancelled
    assert len(shop.provider.calls) == 3 + 4


async def test_reopened_batch_can_be_cancelled_again() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await begin(shop, after_s=5)
        await cancel(shop, timeline)
        again = await shop.engine.retry(timeline.state.batch_id)
        state = await cancel(shop, again)
        assert (state.status, state.is_cancelled) == ("failed", True)
        await asyncio.sleep(600)
        assert again.state == state
        assert shop.engine.active_count() == 0


async def test_caller_of_a_cancel_that_goes_away_leaves_it_whole() -> None:
    for steps in range(8):
        async with Workshop(ScriptedProvider(seconds=10)) as shop:
            timeline = await begin(shop, after_s=5)
            cancelling = asyncio.create_task(shop.engine.cancel(timeline.state.batch_id))
            for _ in range(steps):
                await asyncio.sleep(0)
            cancelling.cancel()
            await asyncio.gather(cancelling, return_exceptions=True)
            await asyncio.sleep(60)
            # Before the first step nobody has asked for anything.
            assert timeline.state.is_cancelled == (steps > 0)
            assert timeline.state.is_final


async def test_cancel_while_the_store_fails_gives_calls_up_and_holds_once_it_is_back() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await begin(shop, 6, after_s=5, max_workers=2)
        shop.store.fails = StoreError("disk gone")
        with pytest.raises(StoreError):  # in a while: nobody waits for ever
            await asyncio.wait_for(shop.engine.cancel(timeline.state.batch_id), 60)
        assert shop.provider.under_way == 0
        await asyncio.sleep(60)
        assert not timeline.state.is_cancelled, "nothing is announced that is not written"
        shop.store.fails = None
        assert await timeline.wait_finished(timeout_s=10)
        await asyncio.sleep(60)
    assert len(shop.provider.calls) == 2
    assert (timeline.state.status, timeline.state.is_cancelled) == ("failed", True)
    assert codes(timeline.state) == ["cancelled"] * 6


async def test_cancel_that_could_not_be_written_can_be_repeated() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await begin(shop, after_s=5)
        shop.store.fails = StoreError("disk gone")
        for _ in range(2):
            with pytest.raises(StoreError):
                await shop.engine.cancel(timeline.state.batch_id)
        shop.store.fails = None
        state = await cancel(shop, timeline)
    assert (state.is_final, state.is_cancelled) == (True, True)


@pytest.mark.timeout(10)
async def test_cancelled_batch_that_another_run_has_taken_is_let_go() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await begin(shop, after_s=5)
        await shop.store.lease(timeline.state.batch_id)
        with contextlib.suppress(StoreError):  # it is not ours to cancel any more
            await shop.engine.cancel(timeline.state.batch_id)
        await asyncio.sleep(60)
        assert shop.engine.active_count() == 0
    assert len(shop.provider.calls) == 3
    assert timeline.is_closed


async def test_led_slides_are_cancelled_with_their_lead() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        state = await cancel(shop, await begin(shop, after_s=5, reference_place=1))
        await asyncio.sleep(60)
    assert codes(state) == ["cancelled"] * 4
    assert len(shop.provider.calls) == 1


async def test_batch_whose_like_slides_are_made_elsewhere_is_cancelled_at_once() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        first = await begin(shop, 2, after_s=1, cache=True)
        twin = await begin(shop, 2, after_s=1, cache=True)
        state = await cancel(shop, twin)
        assert codes(state) == ["cancelled"] * 2
        assert [slide.possibly_billed for slide in state.slides] == [0, 0]
        assert await first.wait_finished(timeout_s=60)
    assert first.state.count("done") == 2
    assert len(shop.provider.calls) == 2


async def test_batch_that_waits_for_money_is_cancelled_at_once() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        # The price is not known: one call finds it out, the others wait.
        state = await cancel(shop, await begin(shop, 3, after_s=5, max_cost_usd=1.0))
    assert codes(state) == ["cancelled"] * 3
    assert len(shop.provider.calls) == 1
