"""What a batch's session files and log lines say. Source: contract section 8."""

from collections.abc import Sequence
from typing import Any

from slideloom.clock import to_iso
from slideloom.domain.batch import BatchState, SlideState
from slideloom.domain.events import (
    Event,
    SlideDone,
    SlideFailed,
    SlideRetrying,
    SlidesReopened,
    SlideStarted,
)
from slideloom.domain.slide import Slide
from slideloom.domain.status import cost_usd, possibly_billed
from slideloom.engine.attempt import AttemptLog
from slideloom.logs import Log
from slideloom.metrics import Metrics


def _name(state: BatchState) -> dict[str, str]:
    """Whose document it is, of which batch."""
    names = {"batch_id": state.batch_id, "session_id": state.order.session_id}
    return {**names, "owner": state.order.owner} if state.order.owner else names


def log_batch_start(log: Log, state: BatchState, *, places: Sequence[int] = ()) -> None:
    """The order was taken; or the slides at `places` are made once more."""
    order = state.order
    if order.is_single:
        return
    log.info(
        "batch_generate_start",
        batch_id=state.batch_id,
        session_id=order.session_id,
        total_slides=len(order.slides),
        max_workers=order.max_workers,
        aspect_ratio=order.aspect_ratio,
        action="batch_generate_start",
        document={
            **_name(state),
            "created_at": to_iso(state.created_at_s),
            "request": order,
            "made_again": [order.slides[place].id for place in places],
        },
    )


def log_slide_end(
    log: Log,
    state: BatchState,
    *,
    place: int,
    end: SlideDone | SlideFailed,
    prompt: str | None,
    attempts: Sequence[AttemptLog],
) -> None:
    """A slide of the batch has ended."""
    order, slide = state.order, state.order.slides[place]
    facts = _done_details(end) if isinstance(end, SlideDone) else _failed_details(end)
    details = {
        "slide_id": slide.id,
        "page_num": slide.page_num,
        "attempts": len(attempts),
        "generation_time": end.generation_time_s,
        **facts,
    }
    write = log.info if isinstance(end, SlideDone) else log.warning
    write(
        "slide_completed" if isinstance(end, SlideDone) else "slide_failed",
        batch_id=state.batch_id,
        session_id=order.session_id,
        details=details,
        action="slide_generate" if order.is_single else f"slide_{place + 1:03d}",
        document={
            **_name(state),
            "status": "done" if isinstance(end, SlideDone) else "error",
            "slide": slide,
            "final_prompt": prompt,
            "result": details,
            "attempts": list(attempts),
        },
    )


def count_slide_end(
    metrics: Metrics, end: SlideDone | SlideFailed, attempts: Sequence[AttemptLog]
) -> None:
    """A slide has ended: count it, and the calls it took."""
    for entry in attempts:
        metrics.note_call(entry.error_code or "ok", entry.cost_usd)
    if isinstance(end, SlideFailed):
        provider, model = (attempts[-1].provider, attempts[-1].model) if attempts else (None, None)
        metrics.note_slide(provider=provider, model=model, outcome=end.error_code, seconds=None)
        return
    metrics.note_slide(
        provider=end.provider,
        model=end.model,
        outcome="cached" if end.cached else "done",
        seconds=None if end.cached else end.generation_time_s,
    )


def log_cut_off(
    log: Log, state: BatchState, ends: Sequence[Event], events: Sequence[Event]
) -> None:
    """The slides that `ends` ended; their attempts are told from the batch's `events`."""
    for end in ends:
        if isinstance(end, SlideDone | SlideFailed):
            log_slide_end(
                log,
                state,
                place=end.place,
                end=end,
                prompt=state.slides[end.place].final_prompt,
                attempts=_rebuild_attempts(events, end),
            )


def log_batch_end(log: Log, state: BatchState) -> None:
    """Every slide has ended."""
    if state.order.is_single:
        return
    summary = {
        "total_slides": len(state.slides),
        "successful": state.count("done"),
        "failed": state.count("error"),
        "total_time": state.total_time_s,
        "cost_usd": cost_usd(state),
        "possibly_billed": possibly_billed(state),
    }
    log.info(
        "batch_generate_complete",
        batch_id=state.batch_id,
        session_id=state.order.session_id,
        status=state.status,
        summary=summary,
        action="batch_generate_complete",
        document={
            **_name(state),
            "status": state.status,
            "summary": summary,
            "slides": [
                _outline(order, slide)
                for order, slide in zip(state.order.slides, state.slides, strict=True)
            ],
        },
    )


def _rebuild_attempts(events: Sequence[Event], end: SlideDone | SlideFailed) -> list[AttemptLog]:
    """What a batch's log still knows of a slide's attempts in this run; the last was cut off.

    A log that lost its end may know of none.
    """
    attempts: list[AttemptLog] = []
    for event in events:
        match event:
            case SlidesReopened():
                if end.place in event.places:
                    attempts = []
            case SlideStarted() if event.place == end.place:
                attempts.append(
                    AttemptLog(
                        attempt=event.attempt,
                        provider=event.provider,
                        model=event.model,
                        started_at=to_iso(event.at_s),
                    )
                )
            case SlideRetrying() if event.place == end.place and attempts:
                attempts[-1].error_code = event.error_code
                attempts[-1].error_detail = event.error_detail
                attempts[-1].http_status = event.http_status
                attempts[-1].possibly_billed = event.possibly_billed
            case _:
                pass
    if attempts and end.possibly_billed:
        attempts[-1].possibly_billed = True
        if isinstance(end, SlideFailed):
            attempts[-1].error_code = end.error_code
    return attempts


def _outline(order: Slide, slide: SlideState) -> dict[str, Any]:
    return {
        "slide_id": order.id,
        "page_num": order.page_num,
        "status": slide.status,
        "image": slide.picture and slide.picture.image,
        "error_code": slide.error_code,
        "generation_time": slide.generation_time_s,
    }


def _done_details(end: SlideDone) -> dict[str, Any]:
    return {
        "image": end.image,
        "provider": end.provider,
        "model": end.model,
        "cached": end.cached,
        "cost_usd": end.cost_usd,
        "width": end.width,
        "height": end.height,
        "aspect_ratio_ok": end.aspect_ratio_ok,
        "text_cut": end.text_cut,
    }


def _failed_details(end: SlideFailed) -> dict[str, Any]:
    return {
        "error_code": end.error_code,
        "error_detail": end.error_detail,
        "http_status": end.http_status,
        "possibly_billed": end.possibly_billed,
    }
