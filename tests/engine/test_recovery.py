"""After a crash: what is there stays, what was cut off is told, the rest goes on."""

import asyncio
from typing import Any

import pytest

from slideloom.domain.batch import BatchState, fold
from slideloom.domain.events import BatchCancelled, Event, SlidesReopened
from slideloom.errors import ContentBlocked, NoImage, StorageFull, StoreError, UnreadableLog
from tests.support.orders import are_cached, images, order
from tests.support.parts import ScriptedProvider, Workshop
from tests.support.shops import codes, end, next_process

PRICED = "google/gemini-3-pro-image-preview"
"""$0.134 to $0.24 a picture in the price list."""


async def crash(after_s: float, *, slides: int = 3, **changes: Any) -> tuple[Workshop, str]:
    """A process that takes an order, and is dead after `after_s`; each call takes 10 s."""
    shop = Workshop(ScriptedProvider(seconds=10, bills=changes.pop("bills", True)))
    async with shop:
        timeline = await shop.engine.submit(order(slides, **changes))
        await asyncio.sleep(after_s)
        dead = next_process(shop)
    return dead, timeline.state.batch_id


async def crash_again(dead: Workshop, after_s: float, **changes: Any) -> Workshop:
    """The next process goes on, and dies as well."""
    async with next_process(dead, ScriptedProvider(seconds=10), **changes) as shop:
        await asyncio.sleep(after_s)
        return next_process(shop)


async def resume(
    dead: Workshop, batch_id: str, provider: ScriptedProvider | None = None, **changes: Any
) -> tuple[BatchState, Workshop]:
    """The batch as the next process ends it."""
    async with next_process(dead, provider or ScriptedProvider(), **changes) as shop:
        return await end(shop, await shop.engine.get(batch_id)), shop


async def test_done_stays_waiting_runs_and_in_flight_is_interrupted() -> None:
    dead, batch_id = await crash(15, slides=4, max_workers=1)
    before = fold(batch_id, dead.store.logs[batch_id])
    state, shop = await resume(dead, batch_id)
    assert codes(state) == [None, "interrupted", None, None]
    assert state.slides[0] == before.slides[0]
    assert [call.slide.id for call in shop.provider.calls] == ["slide-3", "slide-4"]
    assert [slide.possibly_billed for slide in state.slides] == [0, 1, 0, 0]
    assert state.status == "completed"


async def test_process_that_goes_on_knows_how_many_slides_were_cut_off() -> None:
    dead, _ = await crash(15, slides=4, max_workers=2)
    async with next_process(dead, ScriptedProvider(seconds=10)) as shop:
        assert (shop.engine.active_count(), shop.engine.cut_off_count()) == (1, 2)
    dead, _ = await crash(15, slides=4, bills=False)
    async with next_process(dead, ScriptedProvider(seconds=10)) as shop:
        assert (shop.engine.active_count(), shop.engine.cut_off_count()) == (1, 0)


async def test_in_flight_is_made_again_where_the_operator_wants_that() -> None:
    dead, batch_id = await crash(15, slides=4, max_workers=1)
    state, shop = await resume(dead, batch_id, resume_in_flight="retry")
    assert codes(state) == [None] * 4
    assert len(shop.provider.calls) == 3
    assert (state.slides[1].attempts, state.slides[1].possibly_billed) == (2, 1)


async def test_in_flight_at_a_free_provider_is_always_made_again() -> None:
    dead, batch_id = await crash(5, bills=False)
    free = ScriptedProvider(bills=False, cost_usd=0.0)
    state, shop = await resume(dead, batch_id, free)
    assert codes(state) == [None] * 3
    assert len(shop.provider.calls) == 3
    assert [slide.possibly_billed for slide in state.slides] == [0, 0, 0]


async def test_batch_that_waited_for_its_turn_is_made_from_the_start() -> None:
    async with Workshop(ScriptedProvider(seconds=10), concurrency=1) as shop:
        await shop.engine.submit(order(3))
        waiting = await shop.engine.submit(order(2))
        await asyncio.sleep(5)
        dead = next_process(shop)
    assert waiting.state.status == "pending"
    state, _ = await resume(dead, waiting.state.batch_id)
    assert state.count("done") == 2


async def test_batch_whose_last_slide_ended_just_before_the_crash_is_ended() -> None:
    dead, batch_id = await crash(15, slides=2)
    log = dead.store.logs[batch_id]
    del log[-1:]  # the crash came before the end was written
    state, shop = await resume(dead, batch_id)
    assert (state.status, state.count("done"), shop.provider.calls) == ("completed", 2, [])


@pytest.mark.parametrize("policy", ["fail", "retry"])
async def test_picture_that_was_kept_but_not_recorded_is_found(policy: str) -> None:
    dead, batch_id = await crash_between_keeping_and_recording()
    state, shop = await resume(dead, batch_id, resume_in_flight=policy)
    assert shop.provider.calls == []
    assert state.slides[0].status == "done"
    assert images(state)[0] in shop.images.kept
    assert state.slides[0].possibly_billed == 1, "nobody knows any more what it cost"
    assert state.slides[0].cost_usd is None
    picture = state.slides[0].picture
    assert picture
    assert (picture.width, picture.height, picture.aspect_ratio_ok) == (160, 90, True)


async def crash_between_keeping_and_recording(**changes: Any) -> tuple[Workshop, str]:
    """A process that dies with a picture on the disk that its log does not know."""
    dead, batch_id = await crash(11, slides=1, **changes)
    log = dead.store.logs[batch_id]
    del log[-2:]  # the picture and the batch's end
    assert fold(batch_id, log).slides[0].in_flight
    assert dead.images.kept
    return dead, batch_id


@pytest.mark.parametrize("whose", ["a single slide", "a cancelled batch"])
async def test_found_picture_counts_though_nobody_waits_for_it_any_more(whose: str) -> None:
    is_single = whose == "a single slide"
    dead, batch_id = await crash_between_keeping_and_recording(is_single=is_single)
    if not is_single:
        dead.store.logs[batch_id].append(BatchCancelled(at_s=0))
    state, shop = await resume(dead, batch_id)
    assert (state.status, state.slides[0].status) == ("completed", "done")
    assert shop.provider.calls == []


async def test_slide_cut_off_by_three_crashes_in_a_row_is_not_tried_for_ever() -> None:
    dead, batch_id = await crash(5, slides=1)
    for _ in range(2):
        dead = await crash_again(dead, 5, resume_in_flight="retry")
    state, shop = await resume(dead, batch_id, resume_in_flight="retry")
    assert codes(state) == ["interrupted"]
    assert shop.provider.calls == []
    assert (state.slides[0].attempts, state.slides[0].possibly_billed) == (3, 3)


async def test_crashes_count_only_in_a_row_and_by_slide() -> None:
    dead, batch_id = await crash(5, slides=4, max_workers=1)
    for _ in range(3):  # each of these gets one slide done, and dies within the next
        dead = await crash_again(dead, 15, resume_in_flight="retry")
    state, _ = await resume(dead, batch_id, resume_in_flight="retry")
    assert codes(state) == [None] * 4
    assert [slide.attempts for slide in state.slides] == [2, 2, 2, 2]


async def test_cancelled_batch_is_ended_as_cancelled() -> None:
    dead, batch_id = await crash(15, slides=4, max_workers=1)
    dead.store.logs[batch_id].append(BatchCancelled(at_s=0))
    async with next_process(dead) as shop:
        state = (await shop.engine.get(batch_id)).state  # at once
        assert shop.engine.active_count() == 0
    assert (state.status, state.is_cancelled) == ("completed", True)
    assert codes(state) == [None, "cancelled", "cancelled", "cancelled"]
    assert [slide.possibly_billed for slide in state.slides] == [0, 1, 0, 0]
    assert shop.provider.calls == []
    assert len(shop.log.of("batch_generate_complete")) == 1


async def test_single_slide_is_ended_as_interrupted_for_its_caller_is_gone() -> None:
    dead, batch_id = await crash(5, slides=1, is_single=True)
    state, shop = await resume(dead, batch_id, resume_in_flight="retry")
    assert (codes(state), state.slides[0].possibly_billed) == (["interrupted"], 1)
    assert shop.provider.calls == []
    assert shop.log.of("slide_failed")[0]["action"] == "slide_generate"


@pytest.mark.parametrize("damage", ["unreadable", "empty", "ordered twice"])
async def test_one_unreadable_record_keeps_no_other_from_being_served(
    damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, batch_id = await crash(5)
    whole = dead.store.logs[batch_id]
    dead.store.logs["bad"] = {"empty": [], "ordered twice": whole[:1] * 2}.get(damage, whole)
    dead.store.epochs["bad"] = 1
    shop = next_process(dead)
    left_open, read = ["bad", batch_id], shop.store.read

    async def read_some(asked: str, *, after: int = 0) -> list[Event]:
        if asked == "bad" and damage == "unreadable":
            raise UnreadableLog(asked)
        return await read(asked, after=after)

    async def find_unfinished() -> list[str]:
        return left_open

    monkeypatch.setattr(shop.store, "read", read_some)
    monkeypatch.setattr(shop.store, "find_unfinished", find_unfinished)
    async with shop:
        assert (await end(shop, await shop.engine.get(batch_id))).is_final
        again = await shop.engine.submit(order(1))
        assert await again.wait_finished(timeout_s=60)
        await asyncio.sleep(60)  # it is not tried again: it will not become better
    assert [line["batch_id"] for line in shop.log.of("batch_not_resumed")] == ["bad"]


@pytest.mark.parametrize("fault", [StoreError("locked"), StorageFull("disk full")])
async def test_batch_is_resumed_as_soon_as_the_store_gives_it(fault: StoreError) -> None:
    dead, batch_id = await crash(15, slides=4, max_workers=1)
    shop = next_process(dead)
    shop.store.fails = fault
    async with shop:
        await asyncio.sleep(60)
        for change in (shop.engine.retry(batch_id), shop.engine.cancel(batch_id)):
            with pytest.raises(StoreError):
                await change
        assert shop.provider.calls == []
        shop.store.fails = None
        await asyncio.sleep(10)
        state = await end(shop, await shop.engine.get(batch_id))
    assert codes(state) == [None, "interrupted", None, None]


async def test_resumed_batch_has_its_whole_time_again() -> None:
    dead, batch_id = await crash(95, slides=20, max_workers=1, bills=False)
    assert fold(batch_id, dead.store.logs[batch_id]).count("done") == 9
    slow = ScriptedProvider(seconds=10, bills=False)
    # 11 slides of 10 s remain, 115 s in all would not do for 20.
    state, _ = await resume(dead, batch_id, slow, batch_timeout_s=115.0)
    assert state.count("done") == 20


async def test_time_the_service_was_down_is_in_no_duration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    down_s, loop = 0.0, asyncio.get_running_loop()
    monkeypatch.setattr("slideloom.clock.time.time", lambda: 1.7e9 + down_s + loop.time())
    dead, batch_id = await crash(15, slides=6, max_workers=1)  # its last sign is at 10 s
    down_s = 86400.0
    dead = await crash_again(dead, 15)  # and another 10 s
    down_s = 2 * 86400.0
    state, _ = await resume(dead, batch_id)
    assert codes(state) == [None, "interrupted", None, "interrupted", None, None]
    assert state.total_time_s == pytest.approx(10 + 10 + 2, abs=0.5)


async def test_reopened_slides_go_on_and_those_wanted_anew_take_none_from_the_cache() -> None:
    first = Workshop(ScriptedProvider(seconds=10))
    async with first as shop:
        timeline = await shop.engine.submit(order(3, cache=True, max_workers=1))
        batch_id = timeline.state.batch_id
        await timeline.wait_finished(timeout_s=60)
        old = images(timeline.state)
        await shop.engine.regenerate(batch_id, "slide-1")
        await shop.engine.regenerate(batch_id, "slide-2")
        await asyncio.sleep(5)  # the first is in flight, the second waits
        dead = next_process(shop)
    assert any(isinstance(event, SlidesReopened) for event in dead.store.logs[batch_id])
    state, shop = await resume(dead, batch_id)
    assert [call.slide.id for call in shop.provider.calls] == ["slide-2"]
    assert codes(state) == ["interrupted", None, None]
    assert are_cached(state) == [False, False, False]
    assert images(state)[1] not in old
    assert [len(slide.versions) for slide in state.slides] == [1, 2, 1]
    (told,) = shop.log.of("slide_failed")
    assert [one.attempt for one in told["document"]["attempts"]] == [2], "those of this run"


async def test_retry_that_a_crash_cut_off_is_gone_on_with() -> None:
    provider = ScriptedProvider(*[ContentBlocked() for _ in range(3)], seconds=10)
    async with Workshop(provider) as shop:
        timeline = await shop.engine.submit(order(3))
        batch_id = timeline.state.batch_id
        await timeline.wait_finished(timeout_s=60)
        await shop.engine.retry(batch_id, ["slide-1", "slide-3"])
        dead = next_process(shop)
    state, shop = await resume(dead, batch_id)
    assert codes(state) == [None, "content_blocked", None]
    assert len(shop.provider.calls) == 2


async def test_deck_with_a_style_reference_goes_on_with_its_lead_first() -> None:
    dead, batch_id = await crash(5, slides=4, reference_place=2)
    state, shop = await resume(dead, batch_id, resume_in_flight="retry")
    assert state.count("done") == 4
    calls = shop.provider.calls
    assert calls[0].slide.id == "slide-3"
    assert [call.reference is None for call in calls] == [True, False, False, False]


async def test_led_slides_go_on_with_the_lead_that_was_made_before_the_crash() -> None:
    dead, batch_id = await crash(15, slides=5, reference_place=0, max_workers=2)
    state, shop = await resume(dead, batch_id)
    assert codes(state) == [None, "interrupted", "interrupted", None, None]
    assert all(call.reference for call in shop.provider.calls)


async def test_led_slides_are_not_paid_when_their_lead_was_interrupted() -> None:
    dead, batch_id = await crash(5, slides=3, reference_place=0)
    state, shop = await resume(dead, batch_id)
    assert codes(state) == ["interrupted"] * 3
    assert shop.provider.calls == []
    assert [slide.possibly_billed for slide in state.slides] == [1, 0, 0]


async def test_session_files_tell_of_every_slide_once_and_of_the_batchs_end_once() -> None:
    provider = ScriptedProvider(seconds=10)
    async with Workshop(provider) as first:
        timeline = await first.engine.submit(order(4, max_workers=1))
        await asyncio.sleep(15)
        dead, told = next_process(first), list(first.log.lines)
    _, shop = await resume(dead, timeline.state.batch_id)
    actions = [line["action"] for line in told + shop.log.lines if "action" in line]
    assert actions == [
        "batch_generate_start",
        *(f"slide_{number:03d}" for number in (1, 2, 3, 4)),
        "batch_generate_complete",
    ]
    interrupted = shop.log.of("slide_failed")[0]["document"]
    assert [attempt.error_code for attempt in interrupted["attempts"]] == ["interrupted"]
    assert interrupted["attempts"][0].possibly_billed
    summary = shop.log.of("batch_generate_complete")[0]["summary"]
    assert (summary["successful"], summary["possibly_billed"]) == (3, 1)


async def test_budget_counts_what_earlier_runs_spent() -> None:
    priced: dict[str, Any] = {"model": PRICED, "max_cost_usd": 0.5}
    dead, batch_id = await crash(15, slides=4, max_workers=1, **priced)
    log = dead.store.logs[batch_id]
    log[:] = [event for event in log if getattr(event, "place", 0) == 0]  # before the second call
    state, _ = await resume(dead, batch_id, ScriptedProvider(cost_usd=0.24))
    assert codes(state) == [None, None, "budget_exceeded", "budget_exceeded"]
    assert sum(slide.cost_usd or 0.0 for slide in state.slides) == pytest.approx(0.28)


async def test_budget_counts_what_earlier_runs_may_have_been_charged() -> None:
    priced: dict[str, Any] = {"model": PRICED, "max_cost_usd": 0.4}
    dead, batch_id = await crash(5, slides=1, **priced)
    state, shop = await resume(dead, batch_id, resume_in_flight="retry")
    # 0.24 may be charged for the call that was cut off: 0.16 are left, 0.24 needed.
    assert codes(state) == ["budget_exceeded"]
    assert shop.provider.calls == []


async def test_restart_between_two_attempts_gives_no_further_call() -> None:
    first = Workshop(ScriptedProvider(NoImage(), seconds=1), policy={"backoff_base_s": 1000.0})
    async with first as shop:
        timeline = await shop.engine.submit(order(1))
        while not timeline.state.slides[0].possibly_billed:  # then it waits for its next call
            await asyncio.sleep(0.5)
        dead = next_process(shop)
    stubborn = ScriptedProvider(NoImage(), NoImage(), NoImage(), seconds=1)
    state, shop = await resume(dead, timeline.state.batch_id, stubborn)
    assert codes(state) == ["no_image"]
    assert len(shop.provider.calls) == 1
    assert state.slides[0].possibly_billed == 2
