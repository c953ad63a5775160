"""A heap of events in virtual time: decks, one lane, one upstream."""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from msgspec import Struct

from slideloom.engine.retry import backoff_s
from tests.bench.lanes.upstream import Scenario, Upstream, Verdict

_SOON_S = 1e-9
"""Added to a wait, so that a rounding error does not ask twice."""
_CALLS = 4
"""A slide whose calls failed (5xx) that often is lost; as in `engine/retry.py`."""

_PATIENCE = 3
"""A slide rejected that often lets the others go first, so that none is always the probe."""


class Law(Protocol):
    """How a lane decides; see `slideloom.engine.throttle`."""

    in_flight: int

    def wait_s(self, now_s: float) -> float: ...
    def send(self, now_s: float) -> Any: ...
    def succeed(self, sent: Any, now_s: float) -> None: ...
    def reject(
        self, sent: Any, now_s: float, *, retry_after_s: float | None, jitter: float
    ) -> None: ...
    def fail(self, sent: Any, now_s: float, *, jitter: float) -> None: ...


class Outcome(Struct, frozen=True, kw_only=True):
    """What a law did in one run."""

    makespan_s: float
    rejected: int
    """Calls in all."""
    worst_rejected: int
    """Calls of the slide that was rejected most."""
    lost: int
    """Slides never made."""
    failed: int
    """Calls in all that failed (5xx)."""
    widest: int
    """Calls in flight at most."""
    slowest_s: float
    """Longest a single accepted call took."""


class World:
    """One run of a scenario under a law."""

    def __init__(
        self, scenario: Scenario, seed: int, make_law: Callable[[Scenario, Upstream], Law]
    ) -> None:
        self._scenario = scenario
        self._upstream = Upstream(scenario, seed)
        self._law = make_law(scenario, self._upstream)
        self._alone = getattr(self._law, "each_slide_waits_alone", False)
        self._dice = random.Random(seed)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._now_s = 0.0
        self._asleep_until_s = math.inf
        self._waiting: list[tuple[int, int]] = []
        """A heap: slides in their order, those rejected often behind the others."""
        self._deck_of = [
            deck for deck, (_, count) in enumerate(scenario.decks) for _ in range(count)
        ]
        self._parked: list[deque[int]] = [deque() for _ in scenario.decks]
        """Slides that their deck's workers have not come to."""
        self._rejections = [0] * scenario.slide_count
        self._failures = [0] * scenario.slide_count
        self._widest, self._slowest_s, self._last_s, self._lost = 0, 0.0, 0.0, 0

    def run(self) -> Outcome:
        """Until nothing is left to do."""
        for deck, (at_s, _) in enumerate(self._scenario.decks):
            self._at(at_s, partial(self._arrive, deck))
        while self._heap:
            self._now_s, _, act = heapq.heappop(self._heap)
            act()
            self._pump()
        if self._waiting or any(self._parked):
            raise AssertionError(f"{self._scenario.name}: the lane never opened again")
        return Outcome(
            makespan_s=self._last_s,
            rejected=sum(self._rejections),
            worst_rejected=max(self._rejections),
            lost=self._lost,
            failed=sum(self._failures),
            widest=self._widest,
            slowest_s=self._slowest_s,
        )

    def _at(self, at_s: float, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at_s, self._count, act))

    def _arrive(self, deck: int) -> None:
        first = sum(count for _, count in self._scenario.decks[:deck])
        slides = range(first, first + self._scenario.decks[deck][1])
        for slide in slides[: self._scenario.workers]:
            self._ask(slide)
        self._parked[deck].extend(slides[self._scenario.workers :])

    def _pump(self) -> None:
        """Send what the law lets through; else come back when it says."""
        while self._waiting:
            wait_s = self._law.wait_s(self._now_s)
            if wait_s > 0:
                self._sleep(wait_s)
                return
            self._call(heapq.heappop(self._waiting)[1])

    def _sleep(self, wait_s: float) -> None:
        at_s = self._now_s + wait_s + _SOON_S
        if at_s < self._asleep_until_s:
            self._asleep_until_s = at_s
            self._at(at_s, self._wake)

    def _wake(self) -> None:
        if self._now_s >= self._asleep_until_s:
            self._asleep_until_s = math.inf

    def _call(self, slide: int) -> None:
        sent = self._law.send(self._now_s)
        self._widest = max(self._widest, self._law.in_flight)
        verdict = self._upstream.call(slide, self._now_s)
        self._at(self._now_s + verdict.seconds, partial(self._answer, slide, sent, verdict))

    def _answer(self, slide: int, sent: Any, verdict: Verdict) -> None:
        match verdict.kind:
            case "accepted":
                self._upstream.busy -= 1
                self._slowest_s = max(self._slowest_s, verdict.seconds)
                self._law.succeed(sent, self._now_s)
                self._end(slide)
            case "rejected":
                self._reject(slide, sent, verdict)
            case "failed":
                self._law.fail(sent, self._now_s, jitter=self._dice.random())
                self._failures[slide] += 1
                if self._failures[slide] >= _CALLS:
                    self._lost += 1
                    self._end(slide)
                else:
                    pause_s = backoff_s(self._failures[slide], 1.0, self._dice.random())
                    self._again(slide, pause_s)

    def _reject(self, slide: int, sent: Any, verdict: Verdict) -> None:
        self._rejections[slide] += 1
        hint_s, jitter = verdict.retry_after_s, self._dice.random()
        self._law.reject(sent, self._now_s, retry_after_s=hint_s, jitter=jitter)
        if self._alone:
            own_s = backoff_s(self._rejections[slide], 1.0, jitter)
            self._again(slide, own_s if hint_s is None else hint_s)
        else:
            self._ask(slide)

    def _ask(self, slide: int) -> None:
        heapq.heappush(
            self._waiting, (self._rejections[slide] // _PATIENCE + self._failures[slide], slide)
        )

    def _again(self, slide: int, pause_s: float) -> None:
        self._at(self._now_s + pause_s, partial(self._ask, slide))

    def _end(self, slide: int) -> None:
        self._last_s = self._now_s
        parked = self._parked[self._deck_of[slide]]
        if parked:
            self._ask(parked.popleft())
