"""An event loop whose time is moved by hand: when everyone waits, the next timer is due."""

import asyncio
import selectors
from selectors import SelectorKey


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting, moves the loop's time."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready: list[tuple[SelectorKey, int]] = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:  # no timer at all: only a real event can go on
            return list(super().select(1))
        self.now_s += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Seconds pass only while every coroutine waits for a timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return float(self._jumping.now_s)
