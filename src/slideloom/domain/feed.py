"""What readers of a batch are told: the contract's events, made from its log.

They are numbered from 1 in the order of the log, which never changes: so the
numbers never do, and a reader resumes from any of them. Source: contract section 7.
"""

from typing import Any, Literal, assert_never

import msgspec
from msgspec import Struct

from slideloom.domain.batch import BatchPhase, BatchState, SlideState
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
from slideloom.domain.messages import Language
from slideloom.domain.slide import Slide
from slideloom.domain.status import (
    SlideResult,
    cost_usd,
    estimate_remaining_s,
    possibly_billed,
    to_result,
)
from slideloom.errors import SlideErrorCode

FeedName = Literal[
    "batch.started",
    "slide.started",
    "slide.retrying",
    "slide.done",
    "slide.failed",
    "batch.progress",
    "batch.finished",
]


class BatchNews(Struct, frozen=True, kw_only=True):
    """The data of an event that concerns the whole batch."""

    batch_id: str
    status: BatchPhase
    progress: float
    """Finished slides / all."""
    total_slides: int
    completed_slides: int
    successful: int
    failed: int
    estimated_remaining_time: float | None
    """Seconds, reckoned at the event."""
    total_time: float | None
    """Seconds; `null` while the batch has not ended."""
    cost_usd: float | None
    possibly_billed: int
    cancelled: bool


class Setback(Struct, frozen=True):
    """Beside the result item, of an attempt that gave no picture and is followed by another."""

    retry_reason: SlideErrorCode
    retry_in: float
    """Seconds."""


class SlideNews(Struct, frozen=True):
    """What an event that concerns one slide is made of."""

    batch_id: str
    order: Slide
    slide: SlideState
    setback: Setback | None = None

    def to_builtins(self, language: Language) -> dict[str, Any]:
        """The slide's result item, and what else belongs to the event."""
        result: SlideResult = to_result(self.order, self.slide, language)
        more = {} if self.setback is None else msgspec.to_builtins(self.setback)
        return {"batch_id": self.batch_id, **msgspec.to_builtins(result), **more}


class BatchMoment(Struct, frozen=True):
    """What an event that concerns the whole batch is made of; reckoned only for readers."""

    state: BatchState
    at_s: float

    def to_news(self) -> BatchNews:
        """The event's data."""
        state = self.state
        finished = state.count("done", "error")
        left_s = estimate_remaining_s(state, now_s=self.at_s)
        return BatchNews(
            batch_id=state.batch_id,
            status=state.status,
            progress=finished / len(state.slides),
            total_slides=len(state.slides),
            completed_slides=finished,
            successful=state.count("done"),
            failed=state.count("error"),
            estimated_remaining_time=None if left_s is None else round(left_s, 3),
            total_time=state.total_time_s,
            cost_usd=cost_usd(state),
            possibly_billed=possibly_billed(state),
            cancelled=state.is_cancelled,
        )


class FeedItem(Struct, frozen=True, eq=False):
    """One event for readers; the same only as itself, so that what is made of it can be kept."""

    number: int
    """From 1 within the batch, without a gap."""
    name: FeedName
    news: BatchMoment | SlideNews

    def to_json(self, language: Language) -> bytes:
        """The event's data, one line of JSON; messages in that language."""
        if isinstance(self.news, BatchMoment):
            return msgspec.json.encode(self.news.to_news())
        return msgspec.json.encode(self.news.to_builtins(language))


def to_feed(state: BatchState, event: Event, *, after: int) -> list[FeedItem]:
    """What readers are told of `event`, which brought the batch to `state`.

    The first is numbered `after` + 1.
    """
    told: list[tuple[FeedName, BatchMoment | SlideNews]]
    match event:
        case BatchSubmitted() | BatchResumed():
            told = []
        case BatchStarted():
            told = [("batch.started", BatchMoment(state, event.at_s))]
        case BatchFinished():
            told = [("batch.finished", BatchMoment(state, event.at_s))]
        case BatchCancelled() | SlidesReopened() | SlideCharged():
            told = [("batch.progress", BatchMoment(state, event.at_s))]
        case SlideStarted():
            told = [("slide.started", _slide_news(state, event.place))]
        case SlideRetrying():
            setback = Setback(event.error_code, event.delay_s)
            told = [("slide.retrying", _slide_news(state, event.place, setback))]
        case SlideDone() | SlideRestored():
            told = [("slide.done", _slide_news(state, event.place))]
        case SlideFailed():
            told = [("slide.failed", _slide_news(state, event.place))]
        case _:
            assert_never(event)
    if isinstance(event, SlideDone | SlideFailed | SlideRestored):
        told.append(("batch.progress", BatchMoment(state, event.at_s)))
    return [FeedItem(number, name, news) for number, (name, news) in enumerate(told, after + 1)]


def _slide_news(state: BatchState, place: int, setback: Setback | None = None) -> SlideNews:
    return SlideNews(state.batch_id, state.order.slides[place], state.slides[place], setback)
