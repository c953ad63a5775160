"""What was written of every batch, kept beside the store, and the laws of what may be written."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct, field

from slideloom.domain.batch import BatchState, apply, fold
from slideloom.domain.events import (
    BatchCancelled,
    BatchFinished,
    BatchOrder,
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
from slideloom.domain.keys import OnceKey
from slideloom.engine.recovery import InFlightPolicy
from tests.support.histories.upstream import Call

_CUT_SHORT = ("interrupted", "cancelled")
_CUT_OFFS = 3
"""A slide in flight at so many crashes in a row is not tried again."""


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
    late_costs: int = 0
    """Written by a run that another one had taken the batch from."""


class Situation(Struct, frozen=True, kw_only=True):
    """Under which rules an event is written."""

    life: int
    hears_all: bool
    """Whether every answer of the upstream reaches the service."""
    policy: InFlightPolicy
    bills: bool
    retry_no_image: int
    is_kept: Callable[[str], bool]
    """Whether there is a picture of that stem."""


EventLaw = Callable[[BatchTrack, Event, Situation], bool]


def attempt_begins_alone(batch: BatchTrack, event: Event, _: Situation) -> bool:
    """No attempt begins on a slide that has one, or has ended; each has the next number."""
    if not isinstance(event, SlideStarted):
        return True
    slide = batch.slides[event.place]
    return slide.open is None and not slide.is_final and event.attempt == slide.attempts + 1


def no_attempt_begins_in_a_cancelled_or_ended_batch(
    batch: BatchTrack, event: Event, _: Situation
) -> bool:
    """Somebody wanted no more of it."""
    return not isinstance(event, SlideStarted) or not (batch.is_cancelled or batch.is_final)


def retry_closes_its_attempt(batch: BatchTrack, event: Event, _: Situation) -> bool:
    """An attempt is closed once, by its own number."""
    if not isinstance(event, SlideRetrying):
        return True
    attempt = batch.slides[event.place].open
    return attempt is not None and attempt.attempt == event.attempt


def slide_ends_once(batch: BatchTrack, event: Event, _: Situation) -> bool:
    """A late answer never overwrites a newer state."""
    return not isinstance(event, SlideDone | SlideFailed) or not batch.slides[event.place].is_final


def picture_needs_an_attempt_or_the_cache(batch: BatchTrack, event: Event, _: Situation) -> bool:
    """A failure is never dressed up as done."""
    if not isinstance(event, SlideDone):
        return True
    return event.cached == (batch.slides[event.place].open is None)


def batch_finishes_when_all_slides_have_ended(
    batch: BatchTrack, event: Event, _: Situation
) -> bool:
    """And once."""
    if not isinstance(event, BatchFinished):
        return True
    return not batch.is_final and all(slide.is_final for slide in batch.slides)


def ended_batch_only_changes_by_a_wish(batch: BatchTrack, event: Event, _: Situation) -> bool:
    """Or by what a late answer cost. A cancel that comes just too late changes nothing."""
    wishes = SlidesReopened | SlideRestored | SlideCharged | BatchCancelled
    return not batch.is_final or isinstance(event, wishes)


def reopened_slides_had_ended(batch: BatchTrack, event: Event, _: Situation) -> bool:
    """What is under way is not taken away from who makes it; what is done only anew."""
    if not isinstance(event, SlidesReopened):
        return True
    return all(
        batch.slides[place].is_final and (event.anew or batch.state.slides[place].status == "error")
        for place in event.places
    )


def only_a_version_that_is_there_is_restored(batch: BatchTrack, event: Event, _: Situation) -> bool:
    """And not while another one is made."""
    if not isinstance(event, SlideRestored):
        return True
    slide = batch.slides[event.place]
    return slide.is_final and 1 <= event.version <= len(slide.images)


def only_policy_retry_tries_a_cut_off_paid_call_again(
    batch: BatchTrack, event: Event, situation: Situation
) -> bool:
    """With `fail`, a slide in flight at a crash waits for its user's word."""
    if not isinstance(event, SlideRetrying) or event.error_code != "interrupted":
        return True
    attempt = batch.slides[event.place].open
    return attempt is not None and (situation.policy == "retry" or not attempt.bills)


def third_cut_off_in_a_row_ends_the_slide(batch: BatchTrack, event: Event, _: Situation) -> bool:
    """It may well be what crashes us."""
    if not isinstance(event, SlideRetrying) or event.error_code != "interrupted":
        return True
    return batch.slides[event.place].cut_offs + 1 < _CUT_OFFS


def maybe_paid_call_is_retried_as_often_as_the_policy_says(
    batch: BatchTrack, event: Event, situation: Situation
) -> bool:
    """Once, for one wish; crashes between do not make it more."""
    if not isinstance(event, SlideRetrying) or event.error_code == "interrupted":
        return True
    most = max(1, situation.retry_no_image)
    return not event.possibly_billed or batch.slides[event.place].maybe_paid_again < most


def call_that_says_its_cost_is_written_with_it(
    batch: BatchTrack, event: Event, situation: Situation
) -> bool:
    """To the cent, whatever came of it."""
    if not isinstance(event, SlideRetrying | SlideDone | SlideFailed) or not situation.hears_all:
        return True
    slide = batch.slides[event.place]
    call = slide.call
    if call is None or slide.open is None or call.life != situation.life:
        return True
    return call.attempt != slide.attempts or call.told_usd in {None, event.cost_usd}


def new_version_is_never_from_the_cache(batch: BatchTrack, event: Event, _: Situation) -> bool:
    """Whoever regenerates has seen what there is."""
    if not isinstance(event, SlideDone) or not event.cached:
        return True
    return not batch.slides[event.place].is_anew


def picture_that_was_kept_is_not_given_up(
    batch: BatchTrack, event: Event, situation: Situation
) -> bool:
    """A crash between keeping and recording loses nothing."""
    if not isinstance(event, SlideRetrying | SlideFailed) or event.error_code not in _CUT_SHORT:
        return True
    attempt = batch.slides[event.place].open
    return attempt is None or not situation.is_kept(attempt.image_stem)


def free_provider_is_never_counted_as_billed(
    _: BatchTrack, event: Event, situation: Situation
) -> bool:
    """What costs nothing costs nothing when it is cut off either."""
    if not isinstance(event, SlideRetrying | SlideDone | SlideFailed):
        return True
    return situation.bills or not event.possibly_billed


EVENT_LAWS: Final[Sequence[EventLaw]] = (
    attempt_begins_alone,
    no_attempt_begins_in_a_cancelled_or_ended_batch,
    retry_closes_its_attempt,
    slide_ends_once,
    picture_needs_an_attempt_or_the_cache,
    batch_finishes_when_all_slides_have_ended,
    ended_batch_only_changes_by_a_wish,
    reopened_slides_had_ended,
    only_a_version_that_is_there_is_restored,
    only_policy_retry_tries_a_cut_off_paid_call_again,
    third_cut_off_in_a_row_ends_the_slide,
    maybe_paid_call_is_retried_as_often_as_the_policy_says,
    call_that_says_its_cost_is_written_with_it,
    new_version_is_never_from_the_cache,
    picture_that_was_kept_is_not_given_up,
    free_provider_is_never_counted_as_billed,
)


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
        case SlideCharged():
            batch.late_costs += 1
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
