"""State folded from a log."""

from typing import Any

import pytest
from msgspec.structs import replace

from slideloom.domain.batch import BatchState, SlideState, fold
from slideloom.domain.events import (
    BatchCancelled,
    BatchFinished,
    BatchResumed,
    BatchStarted,
    BatchSubmitted,
    Event,
    SlideCharged,
    SlideDone,
    SlideFailed,
    SlideRestored,
    SlideRetrying,
    SlidesReopened,
    SlideStarted,
)
from slideloom.domain.status import estimate_remaining_s, to_status, to_summary
from slideloom.errors import SlideErrorCode, UnreadableLog
from tests.support.orders import images, order


def log(slides: int = 4, workers: int = 2) -> list[Event]:
    return [
        BatchSubmitted(at_s=0, order=order(slides, max_workers=workers)),
        BatchStarted(at_s=1),
    ]


def started(place: int, at_s: float = 1) -> SlideStarted:
    return SlideStarted(
        at_s=at_s, place=place, attempt=1, provider="p", model="m", bills=True, final_prompt="f"
    )


def done(place: int, seconds: float = 10, **changes: Any) -> SlideDone:
    facts: dict[str, Any] = {"image": f"slide_{place}.png"} | changes
    return SlideDone(
        at_s=1 + seconds,
        place=place,
        width=160,
        height=90,
        aspect_ratio_ok=True,
        final_prompt="f",
        generation_time_s=seconds,
        provider="p",
        model="m",
        cost_usd=0.05,
        **facts,
    )


def failed(place: int, **changes: Any) -> SlideFailed:
    facts: dict[str, Any] = {"at_s": 2, "error_code": "timeout", "error_detail": "slow"} | changes
    return SlideFailed(place=place, **facts)


def cut_off(place: int = 0, code: SlideErrorCode = "interrupted") -> SlideRetrying:
    return SlideRetrying(
        at_s=2,
        place=place,
        attempt=1,
        error_code=code,
        error_detail="",
        delay_s=0,
        possibly_billed=True,
    )


def reopened(*places: int, anew: bool = False) -> SlidesReopened:
    return SlidesReopened(at_s=100, places=places, anew=anew)


ENDED: list[Event] = [
    *log(3),
    done(0),
    failed(1, retry_after_s=9, generation_time_s=4, possibly_billed=True),
    failed(2),
    BatchFinished(at_s=20, total_time_s=19.5),
]
"""A deck of three that has ended: one done, two not."""


def after(*events: Event, log: list[Event] = ENDED) -> BatchState:
    return fold("b", [*log, *events])


def first_after(*events: Event) -> SlideState:
    """The first slide of a batch that is being made, after `events`."""
    return fold("b", [*log(), *events]).slides[0]


def test_log_without_its_order_cannot_be_folded() -> None:
    with pytest.raises(UnreadableLog, match="does not begin"):
        fold("b", [BatchStarted(at_s=1)])


def test_batch_with_one_picture_is_completed_and_with_none_failed() -> None:
    failed = [SlideFailed(at_s=2, place=place, error_code="timeout") for place in range(1, 4)]
    end = BatchFinished(at_s=3, total_time_s=3)
    assert fold("b", [*log(), done(0), *failed, end]).status == "completed"
    none = SlideFailed(at_s=2, place=0, error_code="timeout")
    assert fold("b", [*log(), none, *failed, end]).status == "failed"


def test_status_counts_what_is_finished() -> None:
    failure = SlideFailed(at_s=2, place=1, error_code="timeout", possibly_billed=True)
    state = fold("b", [*log(), started(0), done(0), failure, started(2)])
    status = to_status(state, last_event=3, elapsed_s=12, now_s=12, language="en")
    assert (status.progress, status.completed_slides) == (0.5, 2)
    assert (status.successful, status.failed, status.possibly_billed) == (1, 1, 1)
    assert status.cost_usd == 0.05
    assert [result.status for result in status.results] == [
        "done",
        "error",
        "generating",
        "pending",
    ]
    assert status.results[1].error_message
    assert status.results[0].image_url == "/assets/slide_0.png"


def test_estimate_is_unknown_until_a_slide_is_done_and_when_nothing_remains() -> None:
    assert estimate_remaining_s(fold("b", [*log(), started(0)]), now_s=5) is None
    ends = [done(place) for place in range(4)]
    whole = fold("b", [*log(), *ends, BatchFinished(at_s=9, total_time_s=9)])
    assert estimate_remaining_s(whole, now_s=9) is None


def test_estimate_deals_the_rest_to_the_workers() -> None:
    # 2 workers, 10 s a slide: one done; one half done, then two more: 5 s + 10 s.
    state = fold("b", [*log(), started(0), done(0), started(1, at_s=6)])
    assert estimate_remaining_s(state, now_s=11) == pytest.approx(15)


def test_quick_refusal_does_not_promise_quick_slides() -> None:
    # Refused after 0.1 s; one has been drawn for 5 s since: two more, one after the other.
    refusal = SlideFailed(at_s=2, place=0, error_code="content_blocked", generation_time_s=0.1)
    state = fold("b", [*log(), started(0), refusal, started(1, at_s=6)])
    assert estimate_remaining_s(state, now_s=11) == pytest.approx(5)


def test_summary_shows_the_first_title() -> None:
    assert to_summary(fold("b", log())).title == "Title 1"


def test_log_with_two_orders_cannot_be_folded() -> None:
    with pytest.raises(UnreadableLog, match="twice"):
        after(BatchSubmitted(at_s=3, order=order(3)))


def test_reopened_slides_wait_again_and_their_batch_runs() -> None:
    state = after(reopened(1, 2))
    assert (state.status, state.total_time_s) == ("running", None)
    assert [slide.status for slide in state.slides] == ["done", "pending", "pending"]
    again = state.slides[1]
    assert (again.error_code, again.error_detail, again.retry_after_s) == (None, "", None)
    assert (again.generation_time_s, again.started_at_s) == (None, None)
    assert again.possibly_billed == 1, "what was spent stays spent"
    assert not again.is_anew


def test_reopening_for_a_retry_leaves_done_slides_alone() -> None:
    state = after(reopened(0))
    assert (state.status, state.slides[0].status) == ("completed", "done")
    assert state.total_time_s == 19.5


def test_slide_reopened_anew_has_no_picture_until_the_next_one_is_made() -> None:
    state = after(reopened(0, anew=True))
    assert state.slides[0].is_anew
    assert images(state)[0] is None
    made = after(reopened(0, anew=True), started(0), done(0, image="second.png"))
    assert [version.image for version in made.slides[0].versions] == ["slide_0.png", "second.png"]
    assert images(made)[0] == "second.png"
    assert made.slides[0].cost_usd == pytest.approx(0.1)


def test_slide_under_way_is_not_reopened() -> None:
    state = after(reopened(1), started(1), reopened(1, anew=True))
    assert (state.slides[1].status, state.slides[1].is_anew) == ("generating", False)


def test_time_of_earlier_runs_counts_and_the_pause_between_them_does_not() -> None:
    state = after(reopened(1), replace(started(1), at_s=130))
    assert (state.spent_s, state.wanted_at_s) == (19.5, 100)
    assert state.logged_s == pytest.approx(19.5 + 30)
    assert after().logged_s == 19.5


def test_wall_clock_that_goes_back_takes_no_time_away() -> None:
    assert after(reopened(1), replace(started(1), at_s=50)).logged_s == 19.5


def test_restored_picture_counts_again_and_clears_the_error() -> None:
    state = after(reopened(0, anew=True), failed(0), SlideRestored(at_s=200, place=0, version=1))
    slide = state.slides[0]
    assert (slide.status, slide.error_code, slide.error_detail) == ("done", None, "")
    assert images(state)[0] == "slide_0.png"


def test_restored_picture_may_complete_a_batch_that_had_failed() -> None:
    end = BatchFinished(at_s=300, total_time_s=30)
    lost: list[Event] = [reopened(0, anew=True), failed(0), end]
    assert after(*lost).status == "failed"
    assert after(*lost, SlideRestored(at_s=301, place=0, version=1)).status == "completed"


def test_late_charge_changes_the_cost_and_nothing_else() -> None:
    before, later = after(), after(SlideCharged(at_s=21, place=1, cost_usd=0.04))
    assert later.slides[1].cost_usd == 0.04
    assert later.slides[1].possibly_billed == before.slides[1].possibly_billed == 1
    assert later.slides[1].error_code == before.slides[1].error_code == "timeout"
    assert (later.status, later.total_time_s) == (before.status, before.total_time_s)
    twice = after(*[SlideCharged(at_s=21, place=0, cost_usd=0.04)] * 2)
    assert twice.slides[0].cost_usd == pytest.approx(0.05 + 0.08)


def test_batch_that_had_ended_is_not_cancelled() -> None:
    assert not after(BatchCancelled(at_s=21)).is_cancelled


def test_cancelled_batch_ends_by_what_was_done_until_a_retry() -> None:
    end = BatchFinished(at_s=3, total_time_s=3)
    rest = [failed(place, error_code="cancelled") for place in range(1, 4)]
    cancelled: list[Event] = [*log(), done(0), BatchCancelled(at_s=2), *rest, end]
    state = fold("b", cancelled)
    assert (state.status, state.is_cancelled) == ("completed", True)
    none = fold("b", [*log(), BatchCancelled(at_s=2), failed(0), *rest, end])
    assert (none.status, none.is_cancelled) == ("failed", True)
    assert not after(reopened(1), log=cancelled).is_cancelled
    assert not to_status(
        after(reopened(1), log=cancelled), last_event=9, elapsed_s=4, now_s=4, language="en"
    ).cancelled


def test_slide_that_is_made_again_while_its_batch_is_being_cancelled_keeps_it_cancelled() -> None:
    state = fold("b", [*log(), failed(0), BatchCancelled(at_s=2), reopened(0)])
    assert (state.status, state.is_cancelled) == ("running", True)


def test_cut_offs_count_crashes_in_a_row() -> None:
    assert first_after(started(0), cut_off(), started(0), cut_off()).cut_offs == 2
    failure = cut_off(code="upstream_unavailable")
    assert first_after(started(0), cut_off(), started(0), failure).cut_offs == 0
    assert first_after(started(0), cut_off(), started(0), done(0)).cut_offs == 0
    again = first_after(started(0), cut_off(), started(0), failed(0), reopened(0))
    assert again.cut_offs == 0, "a person wants it once more"


def test_attempts_and_possible_bills_are_summed_over_all_runs() -> None:
    slide = first_after(
        started(0), cut_off(), started(0), failed(0, possibly_billed=True), reopened(0), started(0)
    )
    assert (slide.attempts, slide.possibly_billed, slide.in_flight_bills) == (3, 2, True)


def test_time_until_another_process_goes_on_counts_for_nothing() -> None:
    running = [*log(), started(0, at_s=10)]
    resumed = fold("b", [*running, BatchResumed(at_s=90_000, spent_s=10)])
    assert (resumed.status, resumed.logged_s) == ("running", 10)
    assert resumed.slides == fold("b", running).slides
    later = fold("b", [*running, BatchResumed(at_s=90_000, spent_s=10), started(1, at_s=90_005)])
    assert later.logged_s == 15


def test_calls_nobody_priced_are_counted_until_a_late_charge_tells() -> None:
    maybe = failed(0, possibly_billed=True)
    assert first_after(started(0), cut_off(), started(0), maybe).unpriced == 2
    assert first_after(started(0), replace(maybe, cost_usd=0.01)).unpriced == 0
    assert first_after(started(0), failed(0)).unpriced == 0
    charged = SlideCharged(at_s=9, place=0, cost_usd=0.04)
    slide = first_after(started(0), maybe, charged)
    assert (slide.unpriced, slide.possibly_billed, slide.cost_usd) == (0, 1, 0.04)
    assert first_after(started(0), failed(0), charged).unpriced == 0


def test_new_version_is_wanted_until_it_is_made_or_an_old_one_restored() -> None:
    wanted: list[Event] = [reopened(0, anew=True), started(0), failed(0)]
    assert after(*wanted, reopened(0)).slides[0].is_anew
    assert not after(*wanted, reopened(0), started(0), done(0)).slides[0].is_anew
    assert not after(*wanted, SlideRestored(at_s=200, place=0, version=1)).slides[0].is_anew
