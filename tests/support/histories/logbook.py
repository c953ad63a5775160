"""What was written of every batch, kept beside the store."""

from msgspec import Struct, field

from slideloom.domain.batch import BatchState, apply, fold
from slideloom.domain.events import (
    BatchCancelled,
    BatchFinished,
    BatchOrder,
    BatchStarted,
    BatchSubmitted,
    Event,
    SlideDone,
    SlideFailed,
    SlideRestored,
    SlideRetrying,
    SlidesReopened,
    SlideStarted,
)
from slideloom.domain.keys import OnceKey
from tests.support.histories.upstream import Call


class SlideTrack(Struct, eq=False):
    """One slide, by the events that were written."""

    open: SlideStarted | None = None
    """The attempt that has begun and not ended."""
    is_final: bool = False
    attempts: int = 0
    called: int = 0
    """The last attempt that a call was made for."""
    call: Call | None = None
    """The last one."""
    cut_offs: int = 0
    """In a row."""
    is_anew: bool = False
    """Whether somebody wants a new version that has not come yet."""
    maybe_paid_again: int = 0
    """Retries, since somebody wanted the slide, after a call that may have been paid."""
    images: list[str] = field(default_factory=list)
    shown: str = ""
    """The image that counts while the slide is done."""


class BatchTrack(Struct, eq=False, kw_only=True):
    """One batch, by the events that were written."""

    order: BatchOrder
    state: BatchState
    """Folded from them."""
    slides: list[SlideTrack]
    log: list[Event]
    life: int
    """Which of the service's lives took the order."""
    key: OnceKey | None = None
    """Under which it was ordered."""
    is_final: bool = False
    is_cancelled: bool = False
    is_given_up: bool = False
    """Whether somebody was told that it is cancelled, and nobody has wanted it since."""
    since_s: float = 0.0
    """When this run, or the last wish to make slides again, was written: on the loop's clock."""
    reopened: int = 0


def open_track(
    batch_id: str, submitted: BatchSubmitted, *, life: int, key: OnceKey | None
) -> BatchTrack:
    """A batch whose order was written."""
    return BatchTrack(
        order=submitted.order,
        state=fold(batch_id, [submitted]),
        slides=[SlideTrack() for _ in submitted.order.slides],
        log=[submitted],
        life=life,
        key=key,
    )


def follow(batch: BatchTrack, event: Event, *, now_s: float) -> None:
    """One more event was written."""
    batch.log.append(event)
    batch.state = apply(batch.state, event)
    match event:
        case BatchStarted():
            batch.since_s = now_s
        case BatchCancelled():
            batch.is_cancelled = not batch.is_final
        case BatchFinished():
            batch.is_final = True
        case SlidesReopened():
            _reopen(batch, event, now_s)
        case SlideStarted() | SlideRetrying() | SlideDone() | SlideFailed() | SlideRestored():
            _follow_slide(batch.slides[event.place], event)
        case _:
            pass


def _reopen(batch: BatchTrack, event: SlidesReopened, now_s: float) -> None:
    batch.since_s = now_s
    batch.reopened += 1
    if batch.is_final:  # else the wish was there before the cancel, and goes with it
        batch.is_final = batch.is_cancelled = batch.is_given_up = False
    for place in event.places:
        slide = batch.slides[place]
        slide.is_final, slide.cut_offs, slide.maybe_paid_again = False, 0, 0
        slide.is_anew = slide.is_anew or event.anew


def _follow_slide(
    slide: SlideTrack,
    event: SlideStarted | SlideRetrying | SlideDone | SlideFailed | SlideRestored,
) -> None:
    match event:
        case SlideStarted():
            slide.open, slide.attempts = event, event.attempt
        case SlideRetrying():
            is_cut_off = event.error_code == "interrupted"
            slide.open, slide.cut_offs = None, slide.cut_offs + 1 if is_cut_off else 0
            slide.maybe_paid_again += event.possibly_billed and not is_cut_off
        case SlideDone():
            slide.open, slide.is_final, slide.is_anew = None, True, False
            slide.images.append(event.image)
            slide.shown = event.image
        case SlideFailed():
            slide.open, slide.is_final = None, True
        case SlideRestored():
            slide.is_anew, slide.shown = False, slide.images[event.version - 1]
