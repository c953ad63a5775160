"""One life of the service: what it is set up with, and what it may not hold on to at its end."""

from typing import Any

from msgspec import Struct

from slideloom.engine.batches import BatchEngine
from slideloom.engine.recovery import InFlightPolicy
from tests.support.histories.witness import Passage
from tests.support.parts import Workshop


class Setup(Struct, frozen=True, kw_only=True):
    """What does not change in one history."""

    is_sqlite: bool = False
    bills: bool = True
    concurrency: int = 50
    """Batches at once."""
    lane_start: int = 50
    retry_no_image: int = 1
    steps_before: int = 0
    """Loop steps before each effect at store and disk."""
    steps_after: int = 0
    lag_s: float = 0.0
    """Seconds before each effect."""
    seed: int = 0
    share: float = 0.0
    """Of the calls to store, disk and provider that fail."""


class Life(Struct, eq=False):
    """One process of the service."""

    number: int
    policy: InFlightPolicy
    passage: Passage
    shop: Workshop
    stopped_at_s: float | None = None
    """When it was asked to stop."""

    @property
    def engine(self) -> BatchEngine:
        """Its engine."""
        return self.shop.engine


def find_leaks(life: Life, setup: Setup) -> list[str]:
    """What a life that has nothing to do holds on to all the same."""
    return [name for name, count in _count_held(life, setup).items() if count]


def _count_held(life: Life, setup: Setup) -> dict[str, int]:
    lanes, engine, runs = life.shop.lanes, life.engine, life.shop.runs
    queue: Any = runs._queue
    return {
        "a lane's call": lanes._lanes[0].throttle.in_flight,
        "a single slide's call": lanes._lanes[0].single_count,
        "a wish before the lanes": len(lanes._parties),
        "a claim on a picture": len(life.shop.maker.results._making),
        "a run": len(runs.roster.runs),
        "an errand": len(engine._errands),
        "a run out of turn": len(runs._hurried),
        "a place in the queue": setup.concurrency - queue._slots._value,
        "a single slide's slot": runs.limits.single_workers - runs._single_slots._value,
    }
