"""The original service's two advice routes: is it set well, and how many workers."""

import math
from typing import Annotated

from msgspec import Meta, Struct

from slideloom.domain.request import MAX_SLIDES

_MODEL_SLIDE_S, _TYPESET_SLIDE_S = 20.0, 1.0
"""Seconds a slide takes before any was made: the middle of what image models need; typeset here."""
_ROUNDS = 4
"""A deck in about this many rounds of workers: fast, and not all at once at the provider."""


class CurrentConfig(Struct, frozen=True):
    """The limits in force."""

    batch_default_workers: int
    batch_max_workers: int
    batch_max_concurrent: int
    batch_cleanup_hours: float


class ConfigAdvice(Struct, frozen=True):
    """The answer of `config/validate`."""

    valid: bool
    issues: tuple[str, ...]
    """What keeps the service from making pictures."""
    recommendations: tuple[str, ...]
    current_config: CurrentConfig


class WorkerAdvice(Struct, frozen=True, kw_only=True):
    """The answer of `config/optimal`."""

    slides_count: Annotated[int, Meta(ge=1, le=MAX_SLIDES)]
    recommended_workers: int
    estimated_time_seconds: float
    estimated_time_formatted: str
    max_possible_workers: int
    performance_notes: tuple[str, ...]


def expect_slide_s(measured_slide_s: float | None, *, is_free: bool) -> tuple[float, str]:
    """How many seconds a slide will take, and where that comes from.

    Args:
        measured_slide_s: how long a slide took lately; `None` before the first.
        is_free: no model draws it.
    """
    if measured_slide_s is not None:
        return measured_slide_s, f"A slide took {measured_slide_s:.1f} s on average lately."
    assumed_s = _TYPESET_SLIDE_S if is_free else _MODEL_SLIDE_S
    return assumed_s, f"No slide has been made yet: {assumed_s:g} s a slide is assumed."


def advise_workers(
    *, slide_count: int, config: CurrentConfig, measured_slide_s: float | None, is_free: bool
) -> WorkerAdvice:
    """How many workers suit a deck, and how long it then takes.

    Args:
        slide_count: pages of the deck.
        config: the limits in force.
        measured_slide_s: see `expect_slide_s`.
        is_free: as there.
    """
    most = min(slide_count, config.batch_max_workers)
    workers = min(most, max(config.batch_default_workers, math.ceil(slide_count / _ROUNDS)))
    slide_s, source = expect_slide_s(measured_slide_s, is_free=is_free)
    seconds = round(math.ceil(slide_count / workers) * slide_s, 1)
    notes = [source]
    if workers < most:
        notes.append(f"Up to {most} workers are possible; a provider may limit its rate.")
    if slide_count > config.batch_max_workers:
        notes.append(
            f"The server makes at most {config.batch_max_workers} slides of a deck at once."
        )
    return WorkerAdvice(
        slides_count=slide_count,
        recommended_workers=workers,
        estimated_time_seconds=seconds,
        estimated_time_formatted=_format_duration(seconds),
        max_possible_workers=most,
        performance_notes=tuple(notes),
    )


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
