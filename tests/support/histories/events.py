"""The laws of what may be written, event by event, beside what was written before."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from slideloom.domain.events import (
    BatchCancelled,
    BatchFinished,
    Event,
    SlideCharged,
    SlideDone,
    SlideFailed,
    SlideRestored,
    SlideRetrying,
    SlidesReopened,
    SlideStarted,
)
from slideloom.engine.recovery import InFlightPolicy
from tests.support.histories.logbook import BatchTrack

_CUT_SHORT = ("interrupted", "cancelled")
_CUT_OFFS = 3
"""A slide in flight at so many crashes in a row is not tried again."""


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
