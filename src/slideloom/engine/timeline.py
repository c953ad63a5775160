"""One batch while it is of interest: its state, for any number of readers."""

import asyncio
from collections.abc import Sequence

from slideloom.clock import monotonic_s
from slideloom.domain.batch import BatchState, apply
from slideloom.domain.events import Event


class Timeline:
    """What is known of one batch; only what is already written is announced here."""

    def __init__(self, state: BatchState) -> None:
        self.state = state
        self.is_closed = False
        """Whether this process does no more about it; another one may."""
        self._spent_s = state.logged_s
        self._since_s = monotonic_s()
        self._over = asyncio.Event()
        if state.is_final:
            self._over.set()

    @property
    def elapsed_s(self) -> float:
        """Seconds of work since the order was taken; until the end when it has ended."""
        if self.state.total_time_s is not None:
            return self.state.total_time_s
        return self._spent_s + monotonic_s() - self._since_s

    def announce(self, events: Sequence[Event]) -> None:
        """Take in the events written next."""
        for event in events:
            was_final = self.state.is_final
            self.state = apply(self.state, event)
            if was_final and not self.state.is_final:
                self._spent_s, self._since_s = self.state.spent_s, monotonic_s()
                self._over.clear()
        if self.state.is_final:
            self._over.set()

    def close(self) -> None:
        """Let those who wait go: nothing more will be announced here."""
        self.is_closed = True
        self._over.set()

    async def wait_finished(self, *, timeout_s: float | None) -> bool:
        """Whether the batch ended, or was closed, within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._over.wait()
        except TimeoutError:
            return False
        return True
