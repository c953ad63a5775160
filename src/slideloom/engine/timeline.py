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
        self._taken_at_s = monotonic_s()
        self._finished = asyncio.Event()
        if state.is_final:
            self._finished.set()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the order was taken; until the end when it has ended."""
        if self.state.total_time_s is not None:
            return self.state.total_time_s
        return monotonic_s() - self._taken_at_s

    def announce(self, events: Sequence[Event]) -> None:
        """Take in the events written next."""
        for event in events:
            self.state = apply(self.state, event)
        if self.state.is_final:
            self._finished.set()

    async def wait_finished(self, *, timeout_s: float) -> bool:
        """Whether the batch ended within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._finished.wait()
        except TimeoutError:
            return False
        return True
