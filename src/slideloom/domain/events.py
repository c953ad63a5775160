"""What can happen to a batch, as its log keeps it.

A batch is its log: `domain.batch.fold` turns these into the state. Places are
0-based positions in the request; times are wall-clock seconds since 1970,
durations are measured on the monotonic clock.
"""

from typing import Any

from msgspec import Struct

from slideloom.domain.slide import Slide
from slideloom.errors import SlideErrorCode


class _Event(Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    at_s: float
    """When, on the wall clock."""


class BatchOrder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was ordered, every default filled in and every limit applied."""

    session_id: str
    """Names the log files of this batch."""
    slides: tuple[Slide, ...]
    style_prompt: str
    max_workers: int
    """Slides under way at once, at most."""
    aspect_ratio: str
    """`W:H` as it was sent."""
    model: str | None = None
    cache: bool = True
    """Whether pictures made for like requests will do."""
    max_cost_usd: float | None = None
    """No attempt begins that could take the batch over it."""
    reference_place: int | None = None
    """The slide that is made first, and whose style the others are to have."""
    reference_file: str | None = None
    """Instead: a picture that was sent along, by the name it is kept under."""
    is_single: bool = False
    """One slide that somebody waits for: in no list, and ended by a restart."""
    owner: str = ""
    """Whose token ordered it; empty: nobody's, as no tokens were in use."""
    names_pages: bool = True
    """Whether page numbers stand in the pictures' names."""


class BatchSubmitted(_Event, frozen=True, tag="batch.submitted"):
    """The order was taken: always the first event of a log."""

    order: BatchOrder


class BatchStarted(_Event, frozen=True, tag="batch.started"):
    """A run of the batch began."""


class BatchResumed(_Event, frozen=True, tag="batch.resumed"):
    """Another process goes on with it, after a stop or a crash."""

    spent_s: float
    """Seconds it has taken before; those in between count for nothing."""


class BatchCancelled(_Event, frozen=True, tag="batch.cancelled"):
    """Somebody wants no more of it: no attempt begins any more, those under way are given up."""


class SlidesReopened(_Event, frozen=True, tag="slides.reopened"):
    """Somebody wants slides that had ended once more; the batch runs again."""

    places: tuple[int, ...]
    anew: bool = False
    """Also those that are done, and none from the cache: as new versions."""


class SlideStarted(_Event, frozen=True, tag="slide.started"):
    """An attempt is about to be made; without an end it may have been billed."""

    place: int
    attempt: int
    """1-based, over all runs."""
    provider: str
    model: str
    bills: bool
    """Whether the call may cost money."""
    final_prompt: str
    image_stem: str = ""
    """What its picture will be called, the ending apart: a crash may leave it unrecorded."""


class SlideRetrying(_Event, frozen=True, tag="slide.retrying"):
    """An attempt gave no picture, and another one follows."""

    place: int
    attempt: int
    error_code: SlideErrorCode
    error_detail: str
    delay_s: float
    possibly_billed: bool
    cost_usd: float | None = None
    """What the provider charged all the same, where it says so."""
    http_status: int | None = None
    request_id: str | None = None


class SlideDone(_Event, frozen=True, tag="slide.done"):
    """A picture was kept."""

    place: int
    image: str
    """Its file name."""
    width: int
    height: int
    aspect_ratio_ok: bool
    generation_time_s: float
    provider: str
    model: str
    cached: bool = False
    final_prompt: str | None = None
    """Only where no attempt was begun: it stands with the attempt."""
    possibly_billed: bool = False
    """Whether a crash hid what its call cost."""
    cost_usd: float | None = None
    """Of the last attempt."""
    http_status: int | None = None
    request_id: str | None = None
    revised_prompt: str | None = None
    usage: dict[str, Any] | None = None
    text_cut: bool = False
    """Whether something of the texts is known not to be on the picture; paid models don't tell."""


class SlideFailed(_Event, frozen=True, tag="slide.failed"):
    """The slide ends without a picture."""

    place: int
    error_code: SlideErrorCode
    error_detail: str = ""
    final_prompt: str | None = None
    """Only where no attempt was begun."""
    generation_time_s: float | None = None
    possibly_billed: bool = False
    cost_usd: float | None = None
    """Of the last attempt, as in `SlideRetrying`."""
    http_status: int | None = None
    request_id: str | None = None
    retry_after_s: float | None = None


class SlideRestored(_Event, frozen=True, tag="slide.restored"):
    """An earlier picture of the slide is shown again."""

    place: int
    version: int
    """1-based."""


class SlideCharged(_Event, frozen=True, tag="slide.charged"):
    """A call that had been given up was answered all the same: only its cost counts."""

    place: int
    cost_usd: float


class BatchFinished(_Event, frozen=True, tag="batch.finished"):
    """Every slide has ended."""

    total_time_s: float
    """Of all its runs."""


SlideEvent = SlideStarted | SlideRetrying | SlideDone | SlideFailed | SlideRestored | SlideCharged
"""What concerns one slide, at its `place`."""
Event = (
    BatchSubmitted
    | BatchStarted
    | BatchResumed
    | BatchCancelled
    | SlidesReopened
    | SlideEvent
    | BatchFinished
)
