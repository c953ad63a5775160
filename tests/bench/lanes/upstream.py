"""An image model's front door: what it lets in, when, and how long an answer takes."""

import heapq
import math
import random
from typing import Literal

from msgspec import Struct

Kind = Literal["accepted", "rejected", "failed"]


class Verdict(Struct, frozen=True):
    """What becomes of one call."""

    kind: Kind
    seconds: float
    """Until the caller knows."""
    retry_after_s: float | None = None


class Scenario(Struct, frozen=True, kw_only=True):
    """One upstream and the decks that are asked of it."""

    name: str
    decks: tuple[tuple[float, int], ...] = ((0.0, 200),)
    """`(when it comes, slides)`."""
    workers: int = 1000
    """Calls at once that a deck allows itself (BATCH_MAX_WORKERS)."""
    limits: tuple[tuple[float, int], ...] = ()
    """`(t, n)`: from t on, n calls at once; nothing means no limit."""
    limit_hint_s: float | None = None
    """Retry-After of a rejection by the limit."""
    rates: tuple[tuple[float, float], ...] = ()
    """`(t, n)`: from t on, the bucket gets n tokens a second."""
    burst: int = 1
    rate_hint: bool = True
    """Whether a rejection by the bucket says Retry-After (whole seconds, rounded up)."""
    reject_s: float = 0.1
    """How long a rejection, or a failure in an outage, takes to come."""
    outages: tuple[tuple[float, float], ...] = ()
    """`(from, to)`: every new call fails."""
    servers: int | None = None
    """Calls worked on at once; further ones wait in a queue and are never rejected."""
    slow: tuple[float, float, float] | None = None
    """`(from, to, factor)`: calls that begin then take longer, whatever the load."""
    median_s: float = 10.0
    sigma: float = 0.35
    """Spread of the logarithm of an image's seconds."""
    start: int = 8
    """LANE_START."""

    @property
    def slide_count(self) -> int:
        """All of them."""
        return sum(count for _, count in self.decks)


class Upstream:
    """One run's state of a scenario."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        dice = random.Random(f"{scenario.name} {seed}")
        # A slide takes as long under every law, so that their makespans compare.
        self._seconds = [
            scenario.median_s * math.exp(scenario.sigma * dice.gauss(0, 1))
            for _ in range(scenario.slide_count)
        ]
        self.busy = 0
        """Calls accepted and not yet answered."""
        self._tokens = float(scenario.burst)
        self._filled_s = 0.0
        self._free_s = [0.0] * (scenario.servers or 0)
        """When each server is free again; a heap."""

    def call(self, slide: int, now_s: float) -> Verdict:
        """A call comes in."""
        world = self._scenario
        if any(begin_s <= now_s < end_s for begin_s, end_s in world.outages):
            return Verdict("failed", world.reject_s)
        if self.busy >= self._limit(now_s):
            return Verdict("rejected", world.reject_s, world.limit_hint_s)
        rate = self._refill(now_s)
        if rate is not None:
            if self._tokens < 1:
                hint_s = math.ceil((1 - self._tokens) / rate) if world.rate_hint else None
                return Verdict("rejected", world.reject_s, hint_s)
            self._tokens -= 1
        self.busy += 1
        return Verdict("accepted", self._work(slide, now_s))

    def wait_s(self, now_s: float) -> float:
        """Seconds until a call would be accepted, as only an oracle knows; inf: after an answer."""
        world = self._scenario
        for begin_s, end_s in world.outages:
            if begin_s <= now_s < end_s:
                return end_s - now_s
        if self.busy >= self._limit(now_s):
            return min((t for t, _ in world.limits if t > now_s), default=math.inf) - now_s
        rate = self._refill(now_s)
        if rate is None or self._tokens >= 1:
            return 0.0
        change_s = min((t for t, _ in world.rates if t > now_s), default=math.inf) - now_s
        return min((1 - self._tokens) / rate + 1e-6, change_s)

    def _work(self, slide: int, now_s: float) -> float:
        seconds = self._seconds[slide]
        slow = self._scenario.slow
        if slow is not None and slow[0] <= now_s < slow[1]:
            seconds *= slow[2]
        if not self._free_s:
            return seconds
        begin_s = max(now_s, self._free_s[0])
        heapq.heapreplace(self._free_s, begin_s + seconds)
        return begin_s + seconds - now_s

    def _limit(self, now_s: float) -> float:
        limit = math.inf
        for since_s, value in self._scenario.limits:
            if since_s <= now_s:
                limit = value
        return limit

    def _refill(self, now_s: float) -> float | None:
        """Bring the bucket up to date; its rate now."""
        rate = None
        for since_s, value in self._scenario.rates:
            if since_s <= now_s:
                rate = value
        if rate is not None:
            gained = (now_s - self._filled_s) * rate
            self._tokens = min(float(self._scenario.burst), self._tokens + gained)
            self._filled_s = now_s
        return rate
