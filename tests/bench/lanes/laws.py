"""The laws ours is compared with: an oracle, fixed widths, AIMD, and the first idea."""

import math
from collections import deque

from msgspec import Struct

from slideloom.engine.retry import backoff_s
from tests.bench.lanes.upstream import Upstream


class Call(Struct, eq=False):
    """A call under way."""

    at_s: float
    in_flight: int
    """When it was sent, itself included."""


class _Counting:
    """What all of them do: count."""

    each_slide_waits_alone = False
    """Whether a rejected slide sleeps by itself, as common retry libraries do."""

    def __init__(self) -> None:
        self.in_flight = 0

    def send(self, now_s: float) -> Call:
        self.in_flight += 1
        return Call(now_s, self.in_flight)

    def succeed(self, sent: Call, now_s: float) -> None:
        del sent, now_s
        self.in_flight -= 1

    def reject(
        self, sent: Call, now_s: float, *, retry_after_s: float | None, jitter: float
    ) -> None:
        del sent, now_s, retry_after_s, jitter
        self.in_flight -= 1

    def fail(self, sent: Call, now_s: float, *, jitter: float) -> None:
        del sent, now_s, jitter
        self.in_flight -= 1


class Oracle(_Counting):
    """Sends whenever the upstream would accept, and only then."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__()
        self._upstream = upstream

    def wait_s(self, now_s: float) -> float:
        return self._upstream.wait_s(now_s)


class Fixed(_Counting):
    """So many at once, come what may."""

    each_slide_waits_alone = True

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def wait_s(self, now_s: float) -> float:
        del now_s
        return math.inf if self.in_flight >= self._width else 0.0


class Aimd(_Counting):
    """One more for each round of answers, half at a rejection, which pauses the lane."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self._width = float(start)
        self._open_at_s = 0.0
        self._cut_at_s = -1.0
        self._rejections = 0

    def wait_s(self, now_s: float) -> float:
        if self.in_flight >= int(self._width):
            return math.inf
        return max(0.0, self._open_at_s - now_s)

    def succeed(self, sent: Call, now_s: float) -> None:
        if self.in_flight >= int(self._width):
            self._width += 1 / self._width
        super().succeed(sent, now_s)
        self._rejections = 0

    def reject(
        self, sent: Call, now_s: float, *, retry_after_s: float | None, jitter: float
    ) -> None:
        super().reject(sent, now_s, retry_after_s=retry_after_s, jitter=jitter)
        if sent.at_s > self._cut_at_s:
            self._cut_at_s = now_s
            self._rejections += 1
            self._width = max(1.0, self._width / 2)
        pause_s = retry_after_s or backoff_s(self._rejections, 1.0, jitter)
        self._open_at_s = max(self._open_at_s, now_s + pause_s)


class Informed(_Counting):
    """The first idea: `performance.md` section 3, taken by its words."""

    _CLOCK_S = 0.5

    def __init__(self, start: int) -> None:
        super().__init__()
        self._width = start
        self._step = start
        """What is added each half second: doubling until the first rejection, then 1, 2, 4."""
        self._first = True
        self._grow_at_s = self._CLOCK_S
        self._hold_s = 2.0
        self._space_s = 0.0
        """Between attempts while the surplus of a drop drains."""
        self._next_s = 0.0
        self._cut_at_s = -1.0
        self._rate_per_s: float | None = None
        self._recent: deque[float] = deque(maxlen=20)
        """When accepted calls were sent."""

    def wait_s(self, now_s: float) -> float:
        self._grow(now_s)
        if self.in_flight >= self._width:
            return max(0.001, self._grow_at_s - now_s)
        return max(0.0, self._next_s - now_s)

    def send(self, now_s: float) -> Call:
        gap_s = self._space_s
        if self._rate_per_s is not None:
            gap_s = max(gap_s, 1 / self._rate_per_s)
            self._rate_per_s *= 1.01
        self._next_s = max(self._next_s, now_s + gap_s)
        self._recent.append(now_s)
        return super().send(now_s)

    def succeed(self, sent: Call, now_s: float) -> None:
        super().succeed(sent, now_s)
        if sent.at_s > self._cut_at_s:
            self._space_s = 0.0

    def reject(
        self, sent: Call, now_s: float, *, retry_after_s: float | None, jitter: float
    ) -> None:
        super().reject(sent, now_s, retry_after_s=retry_after_s, jitter=jitter)
        if sent.at_s in self._recent:
            self._recent.remove(sent.at_s)
        fresh = sent.at_s > self._cut_at_s
        if retry_after_s is not None:
            self._gate(now_s, retry_after_s, fresh=fresh)
        if not fresh:
            return
        probe = sent.in_flight > self._width - self._step
        self._first, self._cut_at_s, self._step = False, now_s, 1
        self._width = max(1, min(sent.in_flight - 1, self.in_flight))
        self._grow_at_s = now_s + self._hold_s
        self._hold_s = min(8.0, self._hold_s * 2)
        if not probe:
            self._space_s = min(8.0, max(0.5, self._space_s * 2))
            self._next_s = max(self._next_s, now_s + self._space_s)

    def fail(self, sent: Call, now_s: float, *, jitter: float) -> None:
        self.reject(sent, now_s, retry_after_s=None, jitter=jitter)

    def _gate(self, now_s: float, retry_after_s: float, *, fresh: bool) -> None:
        self._next_s = max(self._next_s, now_s + retry_after_s)
        if fresh and len(self._recent) > 1:
            seconds = now_s - self._recent[0]
            self._rate_per_s = max(0.01, len(self._recent) / max(seconds, 1.0))

    def _grow(self, now_s: float) -> None:
        while now_s >= self._grow_at_s:
            self._grow_at_s = max(self._grow_at_s + self._CLOCK_S, now_s)
            if self.in_flight < self._width:
                return
            self._width += self._step
            self._hold_s = 2.0 if self._step > 1 else self._hold_s
            self._step *= 2
