"""A board in memory, as far away as the case wants it."""

import asyncio
import random

from slideloom.clock import monotonic_s
from slideloom.errors import StoreError
from slideloom.stores.shared_base import Posted


class MemoryBoard:
    """A `LaneBoard` for several workers in one process."""

    def __init__(self, *, trip_s: float = 0.001, seed: int = 0) -> None:
        self.trip_s = trip_s
        """How long an answer takes, in the mean."""
        self.is_away = False
        self.swaps = 0
        self.puts = 0
        """Of the swaps, those that changed something."""
        self.bodies: dict[str, tuple[str, bytes]] = {}
        self._dice = random.Random(seed)
        self._clock_s = self._dice.uniform(0, 1e9)
        """What its clock shows at time 0."""

    async def swap(self, lane: str, *, expected: str, version: str, body: bytes) -> Posted:
        await asyncio.sleep(self._dice.expovariate(2 / self.trip_s))
        if self.is_away:
            raise StoreError("the board is away")
        self.swaps += 1
        clock_s = self._clock_s + monotonic_s()
        found, there = self.bodies.get(lane, ("", None))
        if found == expected:
            self.puts += 1
            self.bodies[lane] = version, body
            found, there = version, None
        await asyncio.sleep(self._dice.expovariate(2 / self.trip_s))
        return Posted(version=found, body=there, clock_s=clock_s)
