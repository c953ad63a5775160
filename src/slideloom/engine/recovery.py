"""What becomes of work that was cut off."""

from slideloom.domain.batch import BatchState
from slideloom.domain.events import BatchFinished, Event, SlideFailed
from slideloom.errors import SlideErrorCode


def end_unfinished(
    state: BatchState, *, code: SlideErrorCode, at_s: float, total_time_s: float
) -> list[Event]:
    """The events that end a batch truthfully: no slide stays open, no paid call is hidden."""
    ends: list[Event] = [
        SlideFailed(
            at_s=at_s,
            place=place,
            error_code=code,
            possibly_billed=slide.in_flight_bills,
        )
        for place, slide in enumerate(state.slides)
        if not slide.is_final
    ]
    return [*ends, BatchFinished(at_s=at_s, total_time_s=total_time_s)]
