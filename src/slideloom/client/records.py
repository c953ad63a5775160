"""What the client gives back: the service's own answers, and the events of a batch."""

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from slideloom.domain.feed import BatchNews
from slideloom.domain.status import BatchSummary, SlideResult

BatchEventName = Literal["batch.started", "batch.progress", "batch.finished"]
SlideEventName = Literal["slide.started", "slide.retrying", "slide.done", "slide.failed"]


class BatchEvent(Struct, frozen=True):
    """Something happened to the whole batch."""

    id: int
    """Counts up from 1 within the batch."""
    name: BatchEventName
    batch: BatchNews
    """How the batch was then."""


class SlideEvent(Struct, frozen=True, kw_only=True):
    """Something happened to one slide."""

    id: int
    """Counts up from 1 within the batch."""
    name: SlideEventName
    batch_id: str
    slide: SlideResult
    """How the slide was then."""
    retry_reason: str | None = None
    """Of `slide.retrying`: the code of the attempt that gave no picture."""
    retry_in: float | None = None
    """Of `slide.retrying`: seconds until the next attempt."""


Event = BatchEvent | SlideEvent


class BatchPage(Struct, frozen=True):
    """Some of the batches, newest first."""

    batches: tuple[BatchSummary, ...]
    next_cursor: str | None
    """Pass it as `cursor` for the next page; `None` at the end."""


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether new work is welcome, and who makes the pictures."""

    ready: bool
    provider: str
    model: str
    checks: dict[str, str]
    """Each part: `ok`, or what is wrong."""


class Exported(Struct, frozen=True):
    """A deck that was taken home."""

    path: Path
    missing: tuple[int, ...]
    """Page numbers of the slides that have no picture, and are not in it."""


class _SlideData(Struct, frozen=True):
    batch_id: str
    retry_reason: str | None = None
    retry_in: float | None = None


def parse_event(number: int, name: str, data: bytes) -> Event | None:
    """The event of a frame; `None` for one that a newer service may send.

    Raises:
        msgspec.DecodeError: its data are of another shape.
    """
    match name:
        case "batch.started" | "batch.progress" | "batch.finished":
            return BatchEvent(number, name, msgspec.json.decode(data, type=BatchNews))
        case "slide.started" | "slide.retrying" | "slide.done" | "slide.failed":
            more = msgspec.json.decode(data, type=_SlideData)
            return SlideEvent(
                id=number,
                name=name,
                batch_id=more.batch_id,
                slide=msgspec.json.decode(data, type=SlideResult),
                retry_reason=more.retry_reason,
                retry_in=more.retry_in,
            )
        case _:
            return None


def find_ended(event: Event) -> SlideResult | None:
    """The slide that ended with `event`, with a picture or without; mostly none."""
    if isinstance(event, SlideEvent) and event.name in {"slide.done", "slide.failed"}:
        return event.slide
    return None
