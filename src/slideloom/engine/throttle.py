"""How many calls a lane may have under way, learned from the upstream's answers.

An image takes ten seconds, a rejection a tenth of one. So the lane grows on the clock of
rejections: while none comes, one more call goes out every moment, and ever faster. A rejection
tells how many calls were under way and accepted: that is the width, and the next probe above it
waits. Retry-After shuts the lane; rejected at another number in flight each time, it meets a rate,
and paces its calls by what was accepted between two rejections. Plain decisions, no method waits.
"""

import math

from msgspec import Struct, field

from slideloom.engine.pace import Crowd, Pace, Span
from slideloom.engine.retry import backoff_s

_CLOCK_S = 0.5
"""A call this old was accepted, unless rejections have been seen to take longer."""
_CLOCK_MARGIN = 1.25
"""A rejection may take this much longer than the slowest one lately."""
_MAX_CLOCK_S = 30.0
_CLOCK_DECAY = 0.9
"""What each quicker rejection takes off."""
_HOLD_S = 2.0
"""From a rejected probe to the next one; doubles while probes are rejected."""
_MAX_HOLD_S = 8.0
_HINT_HOLDS = 8.0
"""A probe that costs a Retry-After is tried only after this many times as long."""
_MAX_HINT_HOLD_S = 60.0
_CROWD_HOLD_S = 15.0
"""From a narrowing for long answers to the next probe: its effect takes several images to see."""

_HINT_S = 0.5
"""A shorter Retry-After is no hint: the lane backs off as if there were none."""
_MIN_PAUSE_S = 0.1
"""A pause shorter than this would only be the same rejection again."""
_MAX_PAUSE_S = 900.0
"""A provider that says "tomorrow" is asked again after this: a rejection costs nothing."""
_BACKOFF_BASE_S = 1.0
_MAX_DRAIN_S = 4.0
"""The longest back-off while calls are under way: each answer may have made room."""
_WINDOW = 4
"""Accepted calls that make a rate known, where no Retry-After says that it is one."""

_OUTAGE_FAILURES = 5
"""So many failed calls in a row are an outage."""
_MAX_TRIAL_S = 8.0
"""At most between two trials in an outage, so that its end is noticed soon."""


class Sent(Struct, frozen=True):
    """One call under way."""

    number: int
    """Counted from 1 in the order of sending."""
    at_s: float
    ahead: int
    """Calls under way when it was sent."""
    is_probe: bool
    """Whether it went above the width, to see."""


class Throttle(Struct, eq=False, kw_only=True):
    """The width and the pace of one lane; times are on the monotonic clock.

    All it knows stands in its fields, so that it can be written down for other processes.
    """

    start: int
    """The first width."""
    ceiling: int = 1000
    in_flight: int = 0
    """Calls under way."""
    _width: int = 0
    _streak: int = 0
    """Probes accepted since the last rejection; the lane grows the faster."""
    _hold_s: float = _HOLD_S
    _grow_at_s: float | None = None
    """When the next probe may go; `None` until the width was used."""
    _clock_s: float = _CLOCK_S
    _open_at_s: float = -math.inf
    _pace: Pace = field(default_factory=Pace)
    _crowd: Crowd = field(default_factory=Crowd)
    _sent: int = 0
    """Calls in all."""
    _refused: int = 0
    """Of these rejected or failed."""
    _burst_end: int = 0
    """The last call sent when a rejection came; those before it say nothing new."""
    _accepted: int = 0
    """Calls accepted before the last rejection."""
    _refusals: int = 0
    """Rejections in a row, none accepted between."""
    _hinted_at: int = -1
    """Calls ahead of the last rejected one that got a Retry-After."""
    _failures: int = 0
    """In a row."""
    _trials: int = 0
    """Failed in this outage."""
    _trial_from: int = 0
    """Calls after this one were sent knowing of the outage."""

    def __post_init__(self) -> None:
        if not self._width:  # a new one, not one that was read
            self._width = self._streak = self._crowd.least = self.start

    @property
    def is_full(self) -> bool:
        """Whether the next call is a probe."""
        return self.in_flight >= self._width

    def pause_s(self, now_s: float) -> float:
        """Seconds until the pause after a rejection is over."""
        return max(0.0, self._open_at_s - now_s)

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more call may be sent; `inf`: not before an answer."""
        if self.in_flight >= self.ceiling:
            return math.inf
        free_at_s = max(self._open_at_s, self._pace.next_s)
        if self.is_full:
            free_at_s = max(free_at_s, self._grow_at_s or now_s)
        return max(0.0, free_at_s - now_s)

    def send(self, now_s: float) -> Sent:
        """One more call is under way."""
        sent = Sent(self._sent + 1, now_s, self.in_flight, self.is_full)
        self._sent += 1
        self.in_flight += 1
        self._pace.count(now_s, self._clock_s)
        if sent.is_probe:
            self._widen(now_s)
        elif self._grow_at_s is None and self.in_flight == self._width:
            self._grow_at_s = now_s + self._clock_s / self._streak
        return sent

    def succeed(self, sent: Sent, now_s: float) -> None:
        """The call was answered: a picture, or a refusal that is not about load."""
        self.in_flight -= 1
        if sent.number > self._trial_from:
            self._failures = self._trials = 0
        width = self._crowd.judge(sent.at_s, now_s, in_flight=self.in_flight + 1, width=self._width)
        if width < self._width:
            self._streak, self._grow_at_s = 0, now_s + _CROWD_HOLD_S
        self._width = width

    def drop(self, sent: Sent, now_s: float) -> None:
        """The call was cut off by us; nothing is known."""
        del sent, now_s
        self.in_flight -= 1

    def reject(
        self, sent: Sent, now_s: float, *, retry_after_s: float | None, jitter: float
    ) -> None:
        """The upstream takes no call for now; `jitter` is in [0, 1)."""
        accepted = sent.number - 1 - self._refused
        self.in_flight -= 1
        self._refused += 1
        slowest_s = (now_s - sent.at_s) * _CLOCK_MARGIN
        self._clock_s = min(_MAX_CLOCK_S, max(_CLOCK_S, slowest_s, self._clock_s * _CLOCK_DECAY))
        opened_s, hint_s = self._open_at_s, min(retry_after_s or 0.0, _MAX_PAUSE_S)
        if hint_s >= _HINT_S:
            self.shut(now_s + hint_s)
        if sent.number <= self._burst_end:
            return
        self._burst_end = self._sent
        self._refusals = 1 if accepted > self._accepted else self._refusals + 1
        self._accepted = accepted
        span = Span(sent.at_s, opened_s, accepted, hint_s)
        if hint_s >= _HINT_S:
            self._heed(sent, now_s, span, jitter)
        else:
            self._back_off(sent, now_s, span, jitter)

    def fail(self, sent: Sent, now_s: float, *, jitter: float) -> None:
        """The call broke (5xx, no connection): many in a row are an outage."""
        self.in_flight -= 1
        self._refused += 1
        self._failures += 1
        is_trial = self._trials > 0 and sent.number > self._trial_from
        if self._failures < _OUTAGE_FAILURES or (self._trials and not is_trial):
            return
        # A trial that lived longer than the last one that failed is taken for accepted.
        lived_s = (now_s - sent.at_s) * _CLOCK_MARGIN if is_trial else 0.0
        self._trials += 1
        self._trial_from = self._sent
        self._pace.guess(1 / min(_MAX_CLOCK_S, max(self._clock_s, lived_s)))
        pause_s = backoff_s(self._trials, _BACKOFF_BASE_S, jitter)
        self._pace.hold(now_s + min(_MAX_TRIAL_S, max(_MIN_PAUSE_S, pause_s)))

    def shut(self, until_s: float) -> None:
        """Send nothing before that."""
        self._open_at_s = max(self._open_at_s, until_s)
        self._pace.hold(self._open_at_s)

    def divide(self, parts: int, now_s: float) -> None:
        """Keep to one part of the width, and go on at one part of the pace."""
        self._width = self.ceiling = max(1, self._width // parts)
        self._streak, self._grow_at_s = 0, now_s + self._hold_s
        self._pace.divide(parts)

    def shift(self, by_s: float) -> None:
        """Tell all times on a clock that is ahead by that much."""
        self._open_at_s += by_s
        if self._grow_at_s is not None:
            self._grow_at_s += by_s
        self._pace.shift(by_s)
        self._crowd.shift(by_s)

    def _widen(self, now_s: float) -> None:
        """A probe goes out: the one before it was accepted, unless this is the first."""
        self._width = self.in_flight
        if self._streak:
            self._hold_s = _HOLD_S
        self._streak += 1
        self._grow_at_s = now_s + self._clock_s / self._streak

    def _narrow(self, sent: Sent, now_s: float, hold_s: float) -> None:
        self._width = max(1, sent.ahead)
        self._streak = 0
        self._grow_at_s = now_s + hold_s
        self._hold_s = min(_MAX_HOLD_S, self._hold_s * 2)

    def _heed(self, sent: Sent, now_s: float, span: Span, jitter: float) -> None:
        """A limit rejects at the same number in flight each time, a rate at any.

        And a rate has room for one call after its Retry-After; a lowered limit has not.
        """
        is_limit = self._refusals > 1 or sent.ahead == self._hinted_at
        self._hinted_at = sent.ahead
        if self._refusals > 1:
            self.shut(now_s + self._own_pause_s(sent, jitter))
        if not is_limit:
            self._pace.measure(span)
            self._streak = max(self._streak, self._width)
            self._grow_at_s = now_s
            return
        if self._refusals > 1 or sent.is_probe:
            self._pace.guess()
        else:
            self._pace.measure(span)
            self._pace.doubt()
        hold_s = min(_MAX_HINT_HOLD_S, _HINT_HOLDS * span.hint_s)
        self._narrow(sent, now_s, max(self._hold_s, hold_s))

    def _back_off(self, sent: Sent, now_s: float, span: Span, jitter: float) -> None:
        """Only probes wait, unless a call within the width was rejected too."""
        if not sent.is_probe or sent.ahead == 0:
            self.shut(now_s + max(span.hint_s, self._own_pause_s(sent, jitter)))
            self._pace.measure(span, least=_WINDOW)
        self._narrow(sent, now_s, self._hold_s)

    def _own_pause_s(self, sent: Sent, jitter: float) -> float:
        pause_s = max(_MIN_PAUSE_S, backoff_s(self._refusals, _BACKOFF_BASE_S, jitter))
        return min(_MAX_DRAIN_S, pause_s) if sent.ahead else pause_s
