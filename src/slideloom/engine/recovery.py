"""What becomes of work that was cut off: what the log says against what is there."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from slideloom.clock import wall_s
from slideloom.domain.batch import BatchState, SlideState
from slideloom.domain.events import (
    BatchFinished,
    BatchResumed,
    Event,
    SlideDone,
    SlideFailed,
    SlideRetrying,
)
from slideloom.domain.ratio import parse_ratio
from slideloom.errors import SlideErrorCode
from slideloom.stores.image_base import ImageStore

InFlightPolicy = Literal["fail", "retry"]
"""What becomes of a slide whose paid attempt was under way. Source: contract section 5."""
_MOST_CUT_OFFS = 3
"""Crashes in a row in the middle of one slide: it may well be what crashes us."""


def plan_resume(
    state: BatchState, *, found: Mapping[int, SlideDone], policy: InFlightPolicy, at_s: float
) -> list[Event]:
    """What is to be written when another process takes up an unfinished batch.

    `found` are the pictures that a crash left unrecorded, by place. A batch that nobody
    wants any more is ended instead: a cancelled one, or a single slide, whose caller is gone.
    """
    if state.is_cancelled or state.order.is_single:
        code: SlideErrorCode = "cancelled" if state.is_cancelled else "interrupted"
        took_s = state.logged_s
        return end_unfinished(state, code=code, at_s=at_s, total_time_s=took_s, found=found)
    closed = [
        found.get(place) or _close_attempt(place, slide, policy=policy, at_s=at_s)
        for place, slide in enumerate(state.slides)
        if slide.in_flight is not None
    ]
    return [BatchResumed(at_s=at_s, spent_s=round(state.logged_s, 3)), *closed]


def _close_attempt(
    place: int, slide: SlideState, *, policy: InFlightPolicy, at_s: float
) -> SlideFailed | SlideRetrying:
    """A paid attempt is made again only where the operator wants that, a free one always."""
    bills = slide.in_flight_bills
    if slide.cut_offs + 1 >= _MOST_CUT_OFFS or (bills and policy == "fail"):
        return SlideFailed(at_s=at_s, place=place, error_code="interrupted", possibly_billed=bills)
    return SlideRetrying(
        at_s=at_s,
        place=place,
        attempt=slide.attempts,
        error_code="interrupted",
        error_detail="",
        delay_s=0.0,
        possibly_billed=bills,
    )


async def find_left_behind(state: BatchState, images: ImageStore) -> dict[int, SlideDone]:
    """The pictures of attempts in flight that were kept, but not written down, by place.

    What they cost is not known any more.

    Raises:
        StoreError: the pictures cannot be looked at.
    """
    found: dict[int, SlideDone] = {}
    ratio = parse_ratio(state.order.aspect_ratio)
    for place, slide in enumerate(state.slides):
        attempt = slide.in_flight
        kept = attempt and attempt.image_stem and await images.find_kept(attempt.image_stem)
        if not attempt or not kept:
            continue
        image, facts = kept
        found[place] = SlideDone(
            at_s=wall_s(),
            place=place,
            image=image,
            width=facts.width_px,
            height=facts.height_px,
            aspect_ratio_ok=ratio.fits(width_px=facts.width_px, height_px=facts.height_px),
            generation_time_s=max(0.0, round(state.latest_at_s - attempt.at_s, 3)),
            provider=attempt.provider,
            model=attempt.model,
            possibly_billed=attempt.bills,
        )
    return found


def end_unfinished(
    state: BatchState,
    *,
    code: SlideErrorCode,
    at_s: float,
    total_time_s: float,
    found: Mapping[int, SlideDone] = MappingProxyType({}),
) -> list[Event]:
    """The events that end a batch truthfully: no slide stays open, no paid call is hidden.

    `found` are the pictures that are there all the same, by place.
    """
    ends: list[Event] = [
        found.get(place)
        or SlideFailed(
            at_s=at_s, place=place, error_code=code, possibly_billed=slide.in_flight_bills
        )
        for place, slide in enumerate(state.slides)
        if not slide.is_final
    ]
    return [*ends, BatchFinished(at_s=at_s, total_time_s=round(total_time_s, 3))]
