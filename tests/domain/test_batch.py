"""State folded from a log."""

import pytest

from slideloom.domain.batch import fold
from slideloom.domain.events import (
    BatchFinished,
    BatchStarted,
    BatchSubmitted,
    Event,
    SlideDone,
    SlideFailed,
    SlideStarted,
)
from slideloom.domain.status import estimate_remaining_s, to_status, to_summary
from slideloom.errors import UnreadableLog
from tests.support.orders import order


def log(slides: int = 4, workers: int = 2) -> list[Event]:
    return [
        BatchSubmitted(at_s=0, order=order(slides, max_workers=workers)),
        BatchStarted(at_s=1),
    ]


def started(place: int, at_s: float = 1) -> SlideStarted:
    return SlideStarted(
        at_s=at_s, place=place, attempt=1, provider="p", model="m", bills=True, final_prompt="f"
    )


def done(place: int, seconds: float = 10) -> SlideDone:
    return SlideDone(
        at_s=1 + seconds,
        place=place,
        image=f"slide_{place}.png",
        width=160,
        height=90,
        aspect_ratio_ok=True,
        final_prompt="f",
        generation_time_s=seconds,
        provider="p",
        model="m",
        cost_usd=0.05,
    )


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
    status = to_status(state, elapsed_s=12, now_s=12, language="en")
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


def test_summary_shows_the_first_title() -> None:
    assert to_summary(fold("b", log())).title == "Title 1"
