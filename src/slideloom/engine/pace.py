"""What a lane measures: the rate an upstream accepts, and whether it is crowded."""

import math

from msgspec import Struct
from msgspec.structs import replace

_FIRST_PER_S = 2.0
"""A first guess, soon outgrown: one call each half second."""
_GUESS_SPAN = 3.0
"""Calls until a pace that is a mere guess has doubled."""
_UNSURE_SPAN = 6.0
"""The same for one measured while it rose fast."""
_SURE_SPAN = 15.0
"""The same for a measured one: about one call in eleven is then rejected."""
_RAMP = 4.0
"""How far above the average a pace that rose for long may lie."""
_FREE_PER_S = 200.0
"""A pace above this holds nothing back and is forgotten."""

_SAMPLE = 20
"""Answers that tell how long an image takes when little is under way."""
_CROWDED = 3.0
"""Images that take this many times as long wait in a queue upstream."""
_PATIENT_S = 5.0
"""Answers as quick as this are never slow."""
_ROOM = 2.0
"""How many calls for each one worked on: the queue never runs dry."""
_EASED = 0.85
"""Less than this of the former seconds, and the narrower lane has helped."""


class Span(Struct, frozen=True):
    """The time up to a rejection."""

    end_s: float
    """When the rejected call was sent."""
    opened_s: float
    """When the pause before it was over."""
    accepted: int
    """Calls in all until then."""
    hint_s: float


class Pace(Struct, eq=False, kw_only=True):
    """Calls a second, near what the upstream has been seen to accept."""

    next_s: float = -math.inf
    """When the next call may go."""
    _per_s: float | None = None
    _calls: int = 0
    """Accepted since the pace was set: it rises with their cube, slowly and then fast."""
    _young: list[float] = []
    """When those were sent that may still be rejected, in order."""
    _span: float = _SURE_SPAN
    _since: Span | None = None
    """What was measured last."""

    def hold(self, until_s: float) -> None:
        """No call before that."""
        self.next_s = max(self.next_s, until_s)

    def count(self, now_s: float, clock_s: float) -> None:
        """A call goes out: when the next may. Calls older than `clock_s` were accepted."""
        if self._per_s is None:
            return
        while self._young and self._young[0] <= now_s - clock_s:
            self._young.pop(0)
            self._calls += 1
        self._young.append(now_s)
        per_s = self._current_per_s
        if per_s > _FREE_PER_S:
            self._begin(None, _SURE_SPAN)
        else:
            self.next_s = max(self.next_s, now_s - 1 / per_s) + 1 / per_s

    def guess(self, per_s: float = _FIRST_PER_S) -> None:
        """Begin anew with a pace that is to be found out."""
        self._begin(per_s, _GUESS_SPAN)

    def doubt(self) -> None:
        """It may be far too low."""
        self._span = _GUESS_SPAN

    def measure(self, span: Span, *, least: int = 1) -> None:
        """Set the pace by what was accepted since the last time, if that were `least` calls."""
        since = self._since
        if since is None:
            self.guess()
        elif span.accepted - since.accepted >= least:
            self._set(span, since)
        else:
            return
        self._since = span

    def divide(self, parts: int) -> None:
        """Go on at one part of it."""
        if self._per_s is not None:
            self._begin(self._current_per_s / parts, self._span)

    def shift(self, by_s: float) -> None:
        """Tell all times on a clock that is ahead by that much."""
        self.next_s += by_s
        self._young = [at_s + by_s for at_s in self._young]
        if (since := self._since) is not None:
            self._since = replace(since, end_s=since.end_s + by_s, opened_s=since.opened_s + by_s)

    @property
    def _current_per_s(self) -> float:
        return (self._per_s or math.inf) * (1 + (self._calls / self._span) ** 3)

    def _set(self, span: Span, since: Span) -> None:
        """Between what all the time gave, pauses included, and what the open time gave."""
        accepted = span.accepted - since.accepted
        low_per_s = accepted / max(0.001, span.end_s - since.end_s)
        is_ramp = self._span >= _SURE_SPAN and self._calls > self._span
        if is_ramp:
            high_per_s = low_per_s * _RAMP
        else:
            begin_s = max(since.end_s, min(span.opened_s, span.end_s))
            high_per_s = accepted / max(0.001, span.end_s - begin_s)
        is_sure = not is_ramp and self._span > _GUESS_SPAN
        high_per_s = max(low_per_s, min(high_per_s, self._current_per_s))
        per_s = math.sqrt(low_per_s * high_per_s)
        # A rejection costs its Retry-After: the more calls that is, the more seldom it is risked.
        sure_span = _SURE_SPAN * max(1.0, per_s * span.hint_s)
        self._begin(per_s, sure_span if is_sure else _UNSURE_SPAN)

    def _begin(self, per_s: float | None, span: float) -> None:
        self._per_s, self._calls, self._span = per_s, 0, span
        self._young.clear()


class Crowd(Struct, eq=False, kw_only=True):
    """Whether more calls under way only wait longer, by the seconds that answers take."""

    least: int = 1
    """Never narrower than that."""
    _usual_s: float = 0.0
    """With little under way."""
    _recent_s: float = 0.0
    _answers: int = 0
    _before: tuple[float, int] | None = None
    """Recent seconds and the width when the lane was narrowed last."""
    _narrowed_at_s: float = -math.inf

    def shift(self, by_s: float) -> None:
        """Tell all times on a clock that is ahead by that much."""
        self._narrowed_at_s += by_s

    def judge(self, sent_s: float, now_s: float, *, in_flight: int, width: int) -> int:
        """One more answer: the width from now on, mostly the present one."""
        if sent_s < self._narrowed_at_s:
            return width  # it says nothing about the narrower lane
        self._answers += 1
        share = 1 / min(self._answers, _SAMPLE)
        self._recent_s += (now_s - sent_s - self._recent_s) * share
        if self._answers < _SAMPLE:
            return width
        before, self._before = self._before, None
        if before is not None and self._recent_s > before[0] * _EASED:
            # Images have become slow by themselves: that is the usual now.
            self._usual_s = self._recent_s
            return max(width, before[1])
        self._usual_s = min(self._usual_s or self._recent_s, self._recent_s)
        if self._recent_s < max(_PATIENT_S, self._usual_s * _CROWDED):
            return width
        needed = math.ceil(_ROOM * in_flight * self._usual_s / self._recent_s)
        narrower = max(self.least, needed)
        if narrower >= width:
            return width
        self._before, self._narrowed_at_s, self._answers = (self._recent_s, width), now_s, 0
        return narrower
