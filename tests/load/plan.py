"""How much load, and what must come of it."""

import os
from collections import Counter

from msgspec import Struct, field

from tests.support.upstream import LogNormal, Plan


class LoadPlan(Struct, frozen=True, kw_only=True):
    """Who comes, for how long. The default is issue 7's."""

    seconds: float = 300.0
    """How long new batches are ordered; then all come to their end."""
    pollers: int = 1000
    """At 1 Hz each, POST and GET with the last `ETag` in turns, on kept connections."""
    batches: int = 50
    """Being made at once; another is ordered when one has ended."""
    slides: int = 20
    workers: int = 3
    readers: int = 200
    """Of event streams, from their first event to the last; they break off and resume at times."""
    idle: int = 500
    """Connections: half of them silent, the others slow with their head or their body."""
    image_s: float = 8.0
    """Median of what a picture takes."""
    image_kib: int = 256

    def to_upstream(self) -> Plan:
        """What the provider does."""
        return Plan(
            latency_s=LogNormal(self.image_s, most_s=4 * self.image_s),
            image_bytes=self.image_kib * 1024,
            record_bodies=False,
        )


def read_plan() -> LoadPlan:
    """The issue's plan, but for what `LOAD_SECONDS`, `LOAD_POLLERS`, ... say otherwise."""
    said = {
        name: type(default)(os.environ[variable])
        for name, default in zip(
            LoadPlan.__struct_fields__, LoadPlan.__struct_defaults__, strict=True
        )
        if (variable := f"LOAD_{name.upper()}") in os.environ
    }
    return LoadPlan(**said)


class Tally(Struct):
    """What the clients met."""

    polls_ms: list[float] = field(default_factory=list)
    """Of each poll, from its first byte out to its last byte in."""
    errors: Counter[str] = field(default_factory=Counter)
    """Whatever was not as promised, in words."""
    unchanged: int = 0
    """Polls answered 304."""
    resumed: int = 0
    """Streams that were broken off and taken up again."""
    closed_on: int = 0
    """Idle and slow connections that the service closed; each was opened again."""
    own_lag_ms: list[float] = field(default_factory=list)
    """How late the clients' own loop came."""
    ended: dict[str, int] = field(default_factory=dict)
    """Batches that ended with every slide done, with the number of their last event."""
    heard: dict[str, list[int]] = field(default_factory=dict)
    """By batch, the last event that each of its readers had."""
