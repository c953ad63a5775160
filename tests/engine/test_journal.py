"""What is told of a batch in the logs."""

from slideloom.domain.batch import fold
from slideloom.domain.events import BatchSubmitted, Event, SlideFailed, SlideRetrying
from slideloom.engine.journal import log_cut_off
from slideloom.logs import Log
from tests.support.orders import order
from tests.support.parts import RecordingLog


def test_slide_whose_attempts_the_store_lost_is_told_without_them() -> None:
    told = RecordingLog()
    log: Log = told  # type: ignore[assignment]  # only what it calls
    events: list[Event] = [
        BatchSubmitted(at_s=0, order=order(1)),
        SlideRetrying(
            at_s=1,
            place=0,
            attempt=1,
            error_code="timeout",
            error_detail="",
            delay_s=1.0,
            possibly_billed=True,
        ),
    ]
    end = SlideFailed(at_s=2, place=0, error_code="cancelled", possibly_billed=True)
    log_cut_off(log, fold("b", [*events, end]), [end], events)
    assert told.of("slide_failed")[0]["document"]["attempts"] == []
