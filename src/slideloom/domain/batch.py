"""The state of a batch, folded from its log."""

from collections.abc import Iterable
from typing import Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from slideloom.domain.events import (
    BatchFinished,
    BatchOrder,
    BatchStarted,
    BatchSubmitted,
    Event,
    SlideDone,
    SlideFailed,
    SlideRetrying,
    SlideStarted,
)
from slideloom.errors import SlideErrorCode

BatchPhase = Literal["pending", "running", "completed", "failed"]
SlidePhase = Literal["pending", "generating", "done", "error"]


class SlideState(Struct, frozen=True, kw_only=True):
    """How far one slide is."""

    status: SlidePhase = "pending"
    attempts: int = 0
    """Paid-path calls begun."""
    possibly_billed: int = 0
    """Attempts without a picture that the provider may charge for."""
    in_flight_bills: bool = False
    """An attempt that may cost money has begun and not ended."""
    started_at_s: float | None = None
    final_prompt: str | None = None
    image: str | None = None
    width: int | None = None
    height: int | None = None
    aspect_ratio_ok: bool | None = None
    generation_time_s: float | None = None
    ended_at_s: float | None = None
    provider: str | None = None
    model: str | None = None
    cached: bool = False
    cost_usd: float | None = None
    """Of all attempts; `None` while nobody has said any."""
    error_code: SlideErrorCode | None = None
    error_detail: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it in this run."""
        return self.status in {"done", "error"}


class BatchState(Struct, frozen=True, kw_only=True):
    """How far one batch is."""

    batch_id: str
    order: BatchOrder
    created_at_s: float
    slides: tuple[SlideState, ...]
    """In request order."""
    seq: int = 1
    """Number of the last event in it."""
    status: BatchPhase = "pending"
    started_at_s: float | None = None
    total_time_s: float | None = None
    """Set once the batch has ended."""

    @property
    def is_final(self) -> bool:
        """Whether the batch has ended."""
        return self.status in {"completed", "failed"}

    def count(self, *statuses: SlidePhase) -> int:
        """How many slides have one of `statuses`."""
        return sum(slide.status in statuses for slide in self.slides)


def fold(batch_id: str, events: Iterable[Event]) -> BatchState:
    """The state after all `events`, the whole log from its start.

    Raises:
        ValueError: the log does not begin with the order.
    """
    log = iter(events)
    first = next(log, None)
    if not isinstance(first, BatchSubmitted):
        message = f"the log of batch {batch_id} does not begin with its order"
        raise ValueError(message)  # noqa: TRY004 - the log's fault, not the caller's types
    state = BatchState(
        batch_id=batch_id,
        order=first.order,
        created_at_s=first.at_s,
        slides=(SlideState(),) * len(first.order.slides),
    )
    for event in log:
        state = apply(state, event)
    return state


def apply(state: BatchState, event: Event) -> BatchState:
    """The state after one more event."""
    state = replace(state, seq=state.seq + 1)
    match event:
        case BatchSubmitted():
            message = f"batch {state.batch_id} was submitted twice"
            raise ValueError(message)
        case BatchStarted():
            return replace(state, status="running", started_at_s=event.at_s, total_time_s=None)
        case BatchFinished():
            status: BatchPhase = "completed" if state.count("done") else "failed"
            return replace(state, status=status, total_time_s=event.total_time_s)
        case SlideStarted() | SlideRetrying() | SlideDone() | SlideFailed():
            changed = _apply_to_slide(state.slides[event.place], event)
            before, after = state.slides[: event.place], state.slides[event.place + 1 :]
            slides = (*before, changed, *after)
            return replace(state, slides=slides)
        case _:
            assert_never(event)


def _apply_to_slide(
    slide: SlideState, event: SlideStarted | SlideRetrying | SlideDone | SlideFailed
) -> SlideState:
    match event:
        case SlideStarted():
            return replace(
                slide,
                status="generating",
                attempts=slide.attempts + 1,
                in_flight_bills=event.bills,
                started_at_s=event.at_s if slide.is_final else slide.started_at_s or event.at_s,
                error_code=None,
                error_detail="",
                final_prompt=event.final_prompt,
                provider=event.provider,
                model=event.model,
            )
        case SlideRetrying():
            return replace(
                slide,
                in_flight_bills=False,
                possibly_billed=slide.possibly_billed + event.possibly_billed,
                cost_usd=_add(slide.cost_usd, event.cost_usd),
            )
        case SlideDone():
            return replace(
                slide,
                status="done",
                in_flight_bills=False,
                final_prompt=event.final_prompt or slide.final_prompt,
                image=event.image,
                width=event.width,
                height=event.height,
                aspect_ratio_ok=event.aspect_ratio_ok,
                generation_time_s=event.generation_time_s,
                ended_at_s=event.at_s,
                provider=event.provider,
                model=event.model,
                cached=event.cached,
                cost_usd=_add(slide.cost_usd, event.cost_usd),
                error_code=None,
                error_detail="",
            )
        case SlideFailed():
            return replace(
                slide,
                status="error",
                in_flight_bills=False,
                possibly_billed=slide.possibly_billed + event.possibly_billed,
                cost_usd=_add(slide.cost_usd, event.cost_usd),
                final_prompt=event.final_prompt or slide.final_prompt,
                generation_time_s=event.generation_time_s,
                ended_at_s=event.at_s,
                error_code=event.error_code,
                error_detail=event.error_detail,
            )
        case _:
            assert_never(event)


def _add(spent_usd: float | None, cost_usd: float | None) -> float | None:
    return spent_usd if cost_usd is None else (spent_usd or 0.0) + cost_usd
