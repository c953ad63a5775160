"""The clocks of a history: a loop in virtual time, and a wall clock that may be set."""

import asyncio
import random
import selectors
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from selectors import SelectorKey

import pytest

_BEGIN_S = 1_800_000_000.0
"""Wall-clock seconds since 1970 when every history begins."""


class _Timers(selectors.DefaultSelector):
    """Nothing real is waited for: time jumps to the next timer, and the kernel is not asked."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is None:
            message = "everybody waits, and nobody will ever wake them"
            raise AssertionError(message)
        self.now_s += max(0.0, timeout)
        return []


class HistoryLoop(asyncio.SelectorEventLoop):
    """Seconds pass only while every coroutine waits for a timer."""

    def __init__(self) -> None:
        self._timers = _Timers()
        super().__init__(self._timers)

    def time(self) -> float:
        return self._timers.now_s


class WallClock:
    """Stands for the module `time` in `slideloom.clock`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ahead_s = 0.0

    def time(self) -> float:
        """Seconds since 1970."""
        return _BEGIN_S + self._loop.time() + self._ahead_s

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self._ahead_s += seconds


class _Names:
    """Stands for the module `uuid` where batches are named: the same names each time."""

    def __init__(self) -> None:
        self._numbers = random.Random(0)

    def uuid4(self) -> uuid.UUID:
        """A name."""
        return uuid.UUID(int=self._numbers.getrandbits(128), version=4)


@contextmanager
def wall_clock(loop: asyncio.AbstractEventLoop) -> Iterator[WallClock]:
    """The wall clock of all that is ours, inside; jitter and names are the same each time."""
    clock = WallClock(loop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slideloom.clock.time", clock)
        patch.setattr("slideloom.engine.slide.random", random.Random(0))
        patch.setattr("slideloom.engine.batches.uuid", _Names())
        yield clock
