"""One time budget for a batch, handed down to everything that waits or calls for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slideloom.clock import monotonic_s
from slideloom.errors import SlideErrorCode, Stopping


class TimeUp(Exception):
    """The budget is spent, or was closed; `code` is what the slide ends in."""

    def __init__(self, code: SlideErrorCode) -> None:
        super().__init__(code)
        self.code: SlideErrorCode = code


class Deadline:
    """A moment on the monotonic clock that may be moved to now, for a reason.

    The reason is the code that slides end in; or none, when they are left for another
    run to go on with: then what waits or calls ends in `Stopping` instead of `TimeUp`.
    """

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._code: SlideErrorCode | None = "batch_timeout"
        self._is_closed = False
        self._waiting: set[asyncio.Timeout] = set()
        self._calling: set[asyncio.Timeout] = set()

    def start(self, timeout_s: float) -> None:
        """Begin the budget, or begin it anew, also for what waits or calls already."""
        self._at_s = monotonic_s() + timeout_s
        if not self._is_closed:
            _move(self._waiting | self._calling, self._at_s)

    def left_s(self) -> float:
        """Seconds left; endless before the start."""
        return float("inf") if self._at_s is None else self._at_s - monotonic_s()

    @property
    def is_closed(self) -> bool:
        """Whether nothing new is begun."""
        return self._is_closed

    @property
    def is_left(self) -> bool:
        """Whether what has not ended is left to another run."""
        return self._code is None

    def close(self, code: SlideErrorCode | None) -> None:
        """From now on nothing new is begun; calls under way go on."""
        if not self._is_closed:
            self._is_closed, self._code = True, code
        _move(self._waiting, monotonic_s())

    def cut(self, code: SlideErrorCode | None) -> None:
        """End also the calls under way."""
        self.close(code)
        self._at_s = monotonic_s()
        _move(self._calling, self._at_s)

    def leave(self) -> None:
        """Begin nothing new here, whatever it was closed for: another run has it."""
        self._is_closed, self._code = True, None
        _move(self._waiting, monotonic_s())

    def check(self) -> None:
        """Raise `TimeUp` or `Stopping` when nothing new may be begun."""
        if self._is_closed or self.left_s() <= 0:
            raise self._to_error()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Wait for something, inside; `TimeUp` when the budget is closed or spent meanwhile."""
        self.check()
        async with self._bound(self._waiting):
            yield

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Call a provider, inside; `TimeUp` when the budget is cut or spent meanwhile."""
        async with self._bound(self._calling):
            yield

    @asynccontextmanager
    async def _bound(self, timeouts: set[asyncio.Timeout]) -> AsyncIterator[None]:
        timeout = asyncio.timeout_at(self._at_s)
        try:
            async with timeout:
                timeouts.add(timeout)
                try:
                    yield
                finally:
                    # Before the timeout is left: one that is over cannot be moved.
                    timeouts.discard(timeout)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise self._to_error() from error

    def _to_error(self) -> Exception:
        return Stopping() if self._code is None else TimeUp(self._code)


def _move(timeouts: set[asyncio.Timeout], at_s: float) -> None:
    for timeout in timeouts:
        if not timeout.expired():  # one that is just expiring cannot be moved
            timeout.reschedule(at_s)
