"""What readers are told of each thing that can happen to a batch."""

import msgspec

from slideloom.domain.batch import BatchState, apply, fold
from slideloom.domain.events import (
    BatchCancelled,
    BatchFinished,
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
from slideloom.domain.feed import FeedItem, to_feed
from tests.support.orders import order


def tell(*events: Event) -> tuple[list[FeedItem], BatchState]:
    """Everything readers are told of a batch of two slides."""
    first = BatchSubmitted(at_s=1.0, order=order(2))
    state = fold("b", [first])
    feed = to_feed(state, first, after=0)
    for event in events:
        state = apply(state, event)
        feed += to_feed(state, event, after=len(feed))
    return feed, state


def started(place: int = 0) -> SlideStarted:
    return SlideStarted(
        at_s=2.0, place=place, attempt=1, provider="p", model="m", bills=True, final_prompt="draw"
    )


def done(place: int = 0, image: str = "slide_a.png") -> SlideDone:
    return SlideDone(
        at_s=4.0,
        place=place,
        image=image,
        width=16,
        height=9,
        aspect_ratio_ok=True,
        generation_time_s=2.0,
        provider="p",
        model="m",
        cost_usd=0.04,
    )


WHOLE: tuple[Event, ...] = (
    BatchStarted(at_s=1.5),
    started(0),
    SlideRetrying(
        at_s=3.0,
        place=0,
        attempt=1,
        error_code="upstream_unavailable",
        error_detail="502",
        delay_s=1.5,
        possibly_billed=False,
    ),
    started(0),
    done(0),
    SlideFailed(at_s=5.0, place=1, error_code="content_blocked"),
    BatchFinished(at_s=6.0, total_time_s=5.0),
)


def read(item: FeedItem) -> dict[str, object]:
    data: dict[str, object] = msgspec.json.decode(item.to_json("en"))
    return data


def test_events_are_numbered_from_one_without_a_gap_and_named_as_the_contract_says() -> None:
    feed, _ = tell(*WHOLE)
    assert [item.number for item in feed] == list(range(1, len(feed) + 1))
    assert [item.name for item in feed] == [
        "batch.started",
        "slide.started",
        "slide.retrying",
        "slide.started",
        "slide.done",
        "batch.progress",
        "slide.failed",
        "batch.progress",
        "batch.finished",
    ]
    assert {read(item)["batch_id"] for item in feed} == {"b"}


def test_slides_event_is_its_result_item_as_it_was_then() -> None:
    feed, _ = tell(*WHOLE)
    begun, retrying, made, failed = (read(feed[place]) for place in (1, 2, 4, 6))
    assert (begun["slide_id"], begun["status"], begun["image_url"]) == (
        "slide-1",
        "generating",
        None,
    )
    assert (retrying["retry_reason"], retrying["retry_in"]) == ("upstream_unavailable", 1.5)
    assert (made["status"], made["image_url"]) == ("done", "/assets/slide_a.png")
    assert (failed["slide_id"], failed["error_code"]) == ("slide-2", "content_blocked")
    assert "provider" in str(failed["error_message"])


def test_progress_counts_what_has_ended_and_what_it_cost() -> None:
    feed, _ = tell(*WHOLE)
    first, second, end = (read(feed[place]) for place in (5, 7, 8))
    assert (first["progress"], first["completed_slides"], first["cost_usd"]) == (0.5, 1, 0.04)
    assert (second["progress"], second["failed"]) == (1.0, 1)
    assert (end["status"], end["total_time"]) == ("completed", 5.0)


def test_changes_are_told_too() -> None:
    feed, _ = tell(
        *WHOLE,
        SlidesReopened(at_s=7.0, places=(1,)),
        SlideCharged(at_s=7.5, place=0, cost_usd=0.01),
        BatchCancelled(at_s=8.0),
    )
    again, charged, cancelled = (read(item) for item in feed[-3:])
    assert (again["status"], again["progress"], again["total_time"]) == ("running", 0.5, None)
    assert charged["cost_usd"] == 0.05
    assert cancelled["cancelled"] is True


def test_restored_version_is_told_as_the_slides_picture() -> None:
    ended = BatchFinished(at_s=6.0, total_time_s=5.0)
    again = SlidesReopened(at_s=7.0, places=(0,), anew=True)
    feed, _ = tell(
        started(0), done(0), ended, again, started(0), done(0, "slide_b.png"),
        SlideRestored(at_s=9.0, place=0, version=1),
    )  # fmt: skip
    shown = [read(item)["image_url"] for item in feed if item.name == "slide.done"]
    assert shown == ["/assets/slide_a.png", "/assets/slide_b.png", "/assets/slide_a.png"]


def test_message_is_in_the_readers_language() -> None:
    feed, _ = tell(*WHOLE)
    failed = feed[6]
    assert "服务商" in failed.to_json("zh").decode()
    assert failed.to_json("en") != failed.to_json("zh")
