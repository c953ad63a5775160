"""The engine: orders in, pictures and truthful states out."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from slideloom.clock import monotonic_s
from slideloom.domain.batch import BatchState, SlideState, fold
from slideloom.domain.events import SlideCharged, SlideStarted
from slideloom.errors import (
    ContentBlocked,
    Stopping,
    StorageFull,
    StoreError,
    UnknownBatch,
    UpstreamDown,
)
from slideloom.providers.base import Drawn, DrawOrder
from slideloom.stores.image_base import Draft
from tests.support.orders import order
from tests.support.parts import MemoryDraft, ScriptedProvider, Workshop


async def finish(shop: Workshop, slides: int = 3, **changes: object) -> BatchState:
    timeline = await shop.engine.submit(order(slides, **changes))
    assert await timeline.wait_finished(timeout_s=36000)
    return timeline.state


async def test_never_more_than_max_workers_slides_are_under_way() -> None:
    async with Workshop() as shop:
        started_s = monotonic_s()
        state = await finish(shop, 20, max_workers=4)
        assert state.count("done") == 20
        assert shop.provider.most_under_way == 4
        assert monotonic_s() - started_s == pytest.approx(5.0, abs=0.1)


async def test_two_batches_at_once_take_as_long_as_one() -> None:
    async with Workshop() as shop:
        started_s = monotonic_s()
        await asyncio.gather(finish(shop, 6, max_workers=3), finish(shop, 6, max_workers=3))
        assert monotonic_s() - started_s == pytest.approx(2.0, abs=0.1)


async def test_batches_beyond_the_limit_wait_as_pending() -> None:
    async with Workshop(concurrency=1) as shop:
        first = await shop.engine.submit(order(3))
        second = await shop.engine.submit(order(3))
        await asyncio.sleep(0.5)
        assert (first.state.status, second.state.status) == ("running", "pending")
        assert shop.engine.active_count() == 2
        await second.wait_finished(timeout_s=10)
        assert shop.engine.active_count() == 0


async def test_one_failed_slide_leaves_the_others_alone() -> None:
    async with Workshop(ScriptedProvider(ContentBlocked("IMAGE_SAFETY"))) as shop:
        state = await finish(shop, 3, max_workers=1)
    assert [s.status for s in state.slides] == ["error", "done", "done"]
    assert state.status == "completed"
    assert state.slides[0].picture is None


async def test_unforeseen_error_in_one_slide_is_internal_and_logged_with_its_traceback() -> None:
    async with Workshop(ScriptedProvider(ZeroDivisionError("bug"))) as shop:
        state = await finish(shop, 2, max_workers=1)
    assert [s.error_code for s in state.slides] == ["internal", None]
    assert isinstance(shop.log.of("slide_crashed")[0]["exc_info"], ZeroDivisionError)


async def test_providers_word_that_is_no_text_fails_its_own_slide_alone() -> None:
    class Odd(ScriptedProvider):
        async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
            drawn = await super().draw(order, draft)
            odd = "caf\udce9" if order.slide.page_num == 2 else "cafe"
            return replace(drawn, request_id=odd)

    async with Workshop(Odd()) as shop:
        state = await finish(shop, 4)
    assert [s.error_code for s in state.slides] == [None, "internal", None, None]
    assert state.slides[1].possibly_billed == 1


async def test_attempt_is_written_down_before_the_call() -> None:
    seen: list[object] = []

    class Spy(ScriptedProvider):
        async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
            (log,) = shop.store.logs.values()
            seen.append(log[-1])
            return await super().draw(order, draft)

    shop = Workshop(Spy())
    async with shop:
        await finish(shop, 1)
    assert isinstance(seen[0], SlideStarted)


async def test_attempt_takes_no_longer_than_its_limit() -> None:
    async with Workshop(ScriptedProvider(seconds=500), slide_timeout_s=120.0) as shop:
        started_s = monotonic_s()
        state = await finish(shop, 1)
        assert monotonic_s() - started_s == pytest.approx(120, abs=0.1)
    assert (state.slides[0].error_code, state.slides[0].possibly_billed) == ("timeout", 1)


async def test_waiting_for_a_worker_does_not_count_as_attempt_time() -> None:
    async with Workshop(ScriptedProvider(seconds=100), slide_timeout_s=120.0) as shop:
        state = await finish(shop, 4, max_workers=1)
    assert state.count("done") == 4


async def test_what_is_not_done_at_the_batchs_deadline_fails_with_batch_timeout() -> None:
    provider = ScriptedProvider(seconds=100)
    async with Workshop(provider, batch_timeout_s=150.0) as shop:
        state = await finish(shop, 3, max_workers=1)
    assert [s.error_code for s in state.slides] == [None, "batch_timeout", "batch_timeout"]
    assert [s.possibly_billed for s in state.slides] == [0, 1, 0]  # the second was under way
    assert state.status == "completed"


async def test_automatic_deadline_grows_with_the_rounds_of_workers() -> None:
    async with Workshop(ScriptedProvider(seconds=119), slide_timeout_s=120.0) as shop:
        state = await finish(shop, 10, max_workers=1)  # 1,190 s, beyond the 600 s floor
    assert state.count("done") == 10


async def test_full_disk_fails_without_a_call() -> None:
    async with Workshop() as shop:
        shop.images.full = True
        state = await finish(shop, 2)
        assert shop.provider.calls == []
    assert {s.error_code for s in state.slides} == {"storage_full"}
    assert {s.attempts for s in state.slides} == {0}


async def test_picture_that_cannot_be_kept_is_not_done() -> None:
    async with Workshop() as shop:
        shop.images.keep_fails = StorageFull("disk full")
        state = await finish(shop, 1)
    assert (state.slides[0].status, state.slides[0].error_code) == ("error", "storage_full")
    assert (state.slides[0].possibly_billed, state.slides[0].cost_usd) == (1, 0.04)
    assert shop.images.discarded == 1


async def test_bytes_that_are_no_picture_are_never_done() -> None:
    async with Workshop(ScriptedProvider(b"<html>", b"<html>")) as shop:
        state = await finish(shop, 1)
    assert (state.slides[0].error_code, state.slides[0].attempts) == ("invalid_image", 2)


async def test_live_status_does_not_touch_the_store() -> None:
    async with Workshop() as shop:
        timeline = await shop.engine.submit(order(3))
        shop.store.logs.clear()
        assert await shop.engine.get(timeline.state.batch_id) is timeline


async def test_unknown_batch_is_said_so() -> None:
    async with Workshop() as shop:
        with pytest.raises(UnknownBatch):
            await shop.engine.get("nope")


async def test_log_tells_the_same_story_as_the_live_state() -> None:
    async with Workshop(ScriptedProvider(ContentBlocked())) as shop:
        state = await finish(shop, 5)
        assert fold(state.batch_id, shop.store.logs[state.batch_id]) == state


async def test_stop_leaves_what_runs_to_the_next_start_and_takes_no_more() -> None:
    shop = Workshop(ScriptedProvider(seconds=100))
    async with shop:
        timeline = await shop.engine.submit(order(3, max_workers=2))
        waiting = asyncio.create_task(timeline.wait_finished(timeout_s=None))
        await asyncio.sleep(1)
        await shop.engine.stop(grace_s=10)
        assert await waiting  # those who wait are let go, and told the truth
        with pytest.raises(Stopping):
            await shop.engine.submit(order(1))
        with pytest.raises(Stopping):
            await shop.engine.retry(timeline.state.batch_id)
    assert timeline.is_closed
    assert timeline.state.status == "running"
    assert [s.status for s in timeline.state.slides] == ["generating", "generating", "pending"]
    assert [s.in_flight_bills for s in timeline.state.slides] == [True, True, False]
    assert shop.log.of("batch_generate_complete") == []


async def test_stop_lets_running_slides_end_within_the_grace() -> None:
    async with Workshop(ScriptedProvider(seconds=5)) as shop:
        timeline = await shop.engine.submit(order(3))
        await asyncio.sleep(1)
        await shop.engine.stop(grace_s=30)
    assert timeline.state.count("done") == 3


async def test_stop_begins_no_new_call() -> None:
    async with Workshop(ScriptedProvider(seconds=5), concurrency=1) as shop:
        running = await shop.engine.submit(order(20, max_workers=2))
        pending = await shop.engine.submit(order(3))
        await asyncio.sleep(1)
        await shop.engine.stop(grace_s=30)
        assert len(shop.provider.calls) == 2
    assert running.state.count("done") == 2  # those under way were let end
    assert running.state.count("pending") == 18
    assert (pending.state.status, pending.state.count("pending")) == ("pending", 3)


async def test_second_stop_cuts_the_grace_short() -> None:
    async with Workshop(ScriptedProvider(seconds=100)) as shop:
        timeline = await shop.engine.submit(order(2))
        await asyncio.sleep(1)
        first = asyncio.create_task(shop.engine.stop(grace_s=30))
        await asyncio.sleep(1)
        started_s = monotonic_s()
        await shop.engine.stop(grace_s=0)
        await first
        assert monotonic_s() - started_s < 1
    assert timeline.state.count("generating") == 2
    assert shop.provider.under_way == 0


async def test_stop_waits_for_single_slides_and_says_of_one_cut_off_that_it_was() -> None:
    async def make(shop: Workshop) -> SlideState:
        return (await shop.engine.make_single(order(1, is_single=True))).slides[0]

    async with Workshop(ScriptedProvider(seconds=5)) as shop:
        single = asyncio.create_task(make(shop))
        await asyncio.sleep(1)
        await shop.engine.stop(grace_s=30)
        assert (await single).status == "done"
    async with Workshop(ScriptedProvider(seconds=100)) as shop:
        single = asyncio.create_task(make(shop))
        await asyncio.sleep(1)
        await shop.engine.stop(grace_s=2)
        end = await single
    assert (end.error_code, end.possibly_billed) == ("interrupted", 1)
    assert shop.log.of("slide_failed")[0]["action"] == "slide_generate"


async def test_caller_that_goes_away_while_an_order_is_taken_leaves_a_whole_order() -> None:
    async with Workshop() as shop:
        for steps in range(6):
            taking = asyncio.create_task(shop.engine.submit(order(1)))
            for _ in range(steps):
                await asyncio.sleep(0)
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
        await asyncio.sleep(10)
        states = [fold(key, log) for key, log in shop.store.logs.items()]
    assert states
    assert {state.status for state in states} == {"completed"}


async def test_order_taken_while_the_service_stops_makes_no_call() -> None:
    async with Workshop() as shop:
        taking = asyncio.create_task(shop.engine.submit(order(2)))
        await asyncio.sleep(0)
        await shop.engine.stop(grace_s=5)
        timeline = await taking
    assert shop.provider.calls == []
    assert timeline.state.status == "pending"
    assert shop.store.logs  # the next start goes on with it


async def test_crash_before_a_call_counts_no_bill() -> None:
    async with Workshop(ScriptedProvider(UpstreamDown())) as shop:
        real = shop.images.open_draft
        opened = 0

        async def fail_second(*, page_num: int | None) -> MemoryDraft:
            nonlocal opened
            opened += 1
            if opened == 2:
                raise ZeroDivisionError
            return await real(page_num=page_num)

        shop.images.open_draft = fail_second  # type: ignore[method-assign]
        state = await finish(shop, 1)
    assert (state.slides[0].error_code, state.slides[0].possibly_billed) == ("internal", 0)
    (failed,) = shop.log.of("slide_failed")
    assert [a.error_code for a in failed["document"]["attempts"]] == ["upstream_unavailable"]


@pytest.mark.parametrize(
    ("provider", "changes", "code"),
    [
        (ScriptedProvider(seconds=300), {}, "timeout"),
        (ScriptedProvider(seconds=300), {"batch_timeout_s": 50.0}, "batch_timeout"),
        (ScriptedProvider(ZeroDivisionError()), {}, "internal"),
        (ScriptedProvider(ContentBlocked()), {}, "content_blocked"),
        (ScriptedProvider(StorageFull()), {}, "storage_full"),
    ],
)
async def test_every_outcome_closes_its_attempt_in_the_slides_log(
    provider: ScriptedProvider, changes: dict[str, Any], code: str
) -> None:
    async with Workshop(provider, **changes) as shop:
        state = await finish(shop, 1)
    (attempt,) = shop.log.of("slide_failed")[0]["document"]["attempts"]
    assert attempt.error_code == state.slides[0].error_code == code
    assert attempt.possibly_billed == bool(state.slides[0].possibly_billed)
    assert attempt.traceback


async def test_free_provider_is_never_counted_as_billed() -> None:
    async with Workshop(ScriptedProvider(seconds=300, bills=False)) as shop:
        timeline = await shop.engine.submit(order(2))
        await timeline.wait_finished(timeout_s=500)
    assert [s.possibly_billed for s in timeline.state.slides] == [0, 0]


async def test_store_that_fails_for_a_while_only_holds_the_batch_up() -> None:
    async with Workshop(ScriptedProvider(seconds=5)) as shop:
        timeline = await shop.engine.submit(order(6, max_workers=3))
        await asyncio.sleep(1)
        shop.store.fails = StoreError("disk gone")
        await asyncio.sleep(60)
        assert timeline.state.count("done") == 0  # nothing is announced that is not written
        assert len(shop.provider.calls) == 3  # and nothing new is paid
        shop.store.fails = None
        assert await timeline.wait_finished(timeout_s=60)
        assert fold(timeline.state.batch_id, shop.store.logs[timeline.state.batch_id])
    assert timeline.state.count("done") == 6
    assert shop.log.of("store_failed")


async def test_stop_does_not_wait_for_ever_for_a_store_that_fails() -> None:
    async with Workshop(ScriptedProvider(seconds=5)) as shop:
        timeline = await shop.engine.submit(order(3))
        await asyncio.sleep(1)
        shop.store.fails = StoreError("disk gone")
        started_s = monotonic_s()
        await shop.engine.stop(grace_s=10)
        assert monotonic_s() - started_s < 20
    assert not timeline.state.is_final
    assert timeline.is_closed
    assert shop.log.of("batch_not_written")


async def test_fenced_run_writes_only_what_its_late_answers_cost() -> None:
    async with Workshop(ScriptedProvider(seconds=5)) as shop:
        timeline = await shop.engine.submit(order(3))
        await asyncio.sleep(1)
        batch_id = timeline.state.batch_id
        await shop.store.lease(batch_id)  # another process has taken the batch
        before = list(shop.store.logs[batch_id])
        await asyncio.sleep(60)
        late = shop.store.logs[batch_id][len(before) :]
        assert [(type(one), one.cost_usd) for one in late] == [(SlideCharged, 0.04)] * 3  # type: ignore[union-attr]
        assert fold(batch_id, shop.store.logs[batch_id]).count("done") == 0
        assert timeline.state.count("done") == 0
        assert shop.engine.active_count() == 0
    assert not shop.log.of("batch_generate_complete")


async def test_records_of_old_batches_are_cleaned_up_but_pictures_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Workshop(keep_finished_s=3600.0) as shop:
        state = await finish(shop, 1)
        pictures = dict(shop.images.kept)
        monkeypatch.setattr("slideloom.engine.batches.wall_s", lambda: 4e9)
        await asyncio.sleep(1200)
        with pytest.raises(UnknownBatch):
            await shop.engine.get(state.batch_id)
        assert shop.images.kept == pictures
        assert shop.images.forgotten_s == []


async def test_old_pictures_go_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slideloom.engine.batches.wall_s", lambda: 4e9)
    async with Workshop(keep_pictures_s=1e9) as shop:
        await asyncio.sleep(1)
        assert shop.images.forgotten_s == [3e9]


async def test_single_slide_answers_while_batches_run() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await shop.engine.submit(order(10, max_workers=3))
        await asyncio.sleep(1)
        started_s = monotonic_s()
        end = await shop.engine.make_single(order(1, is_single=True))
        assert end.count("done") == 1
        assert monotonic_s() - started_s == pytest.approx(10, abs=0.1)
        assert not timeline.state.is_final


async def test_single_slide_that_fails_says_why() -> None:
    async with Workshop(ScriptedProvider(ContentBlocked("IMAGE_SAFETY"))) as shop:
        state = await shop.engine.make_single(order(1, is_single=True))
        assert (await shop.engine.list_batches(limit=9, cursor=None)).batches == ()
    end = state.slides[0]
    assert (end.error_code, end.error_detail) == ("content_blocked", "IMAGE_SAFETY")


async def test_events_are_announced_in_the_logs_order_whatever_order_writers_finish_in() -> None:
    async with Workshop(ScriptedProvider(seconds=0.0)) as shop:
        state = await finish(shop, 50, max_workers=50)
        assert state.seq == len(shop.store.logs[state.batch_id])


async def test_picture_paid_for_is_kept_though_the_deadline_passes_meanwhile() -> None:
    async with Workshop(
        ScriptedProvider(seconds=149.9), batch_timeout_s=150.0, slide_timeout_s=200.0
    ) as shop:
        real = shop.images.open_draft

        async def slow_draft(*, page_num: int | None) -> object:
            draft = await real(page_num=page_num)
            inspect = draft.inspect

            async def slow() -> object:
                await asyncio.sleep(1)
                return await inspect()

            draft.inspect = slow  # type: ignore[method-assign]
            return draft

        shop.images.open_draft = slow_draft  # type: ignore[method-assign]
        state = await finish(shop, 1)
    assert state.slides[0].status == "done"
