"""What the engine asks of whoever makes the batches: this process, or workers elsewhere."""

import asyncio
from typing import Protocol

from slideloom.domain.batch import BatchState
from slideloom.domain.events import BatchSubmitted
from slideloom.engine.timeline import Timeline
from slideloom.engine.wishes import Choice


class BatchWork(Protocol):
    """The making of batches that stand in the store.

    Its wishes (`cancel`, `reopen`, `restore`) wait until they are written down.
    """

    @property
    def stopping(self) -> asyncio.Event:
        """Set once this process shuts down: then every wish raises `Stopping`."""
        ...

    async def start(self) -> None:
        """Go on with what was left open.

        Raises:
            StoreError: what was left open cannot be read.
        """
        ...

    def close(self) -> None:
        """Begin nothing new; calls under way go on."""
        ...

    async def end(self, *, grace_s: float) -> None:
        """Give calls under way `grace_s`, then leave the rest to the next run; let readers go."""
        ...

    async def begin(self, batch_id: str, submitted: BatchSubmitted) -> Timeline:
        """Have the batch made whose log was begun just now."""
        ...

    async def get(self, batch_id: str) -> Timeline:
        """A batch's timeline, up to date.

        Raises:
            UnknownBatch: there is none, or its record has been cleaned up.
        """
        ...

    async def get_told(self, batch_id: str) -> Timeline:
        """The same, certain to tell the batch's end.

        Raises:
            NotTakenUp: nobody makes it yet.
            UnknownBatch: as `get`.
        """
        ...

    async def cancel(self, batch_id: str) -> Timeline:
        """Begin no more attempts, give up those under way; wait for the end a while.

        Raises:
            UnknownBatch: there is none.
        """
        ...

    async def reopen(self, batch_id: str, choose: Choice, *, anew: bool) -> Timeline:
        """Make the chosen slides once more, as far as they have ended and need it.

        Raises:
            UnknownBatch, UnknownSlide: there is none.
        """
        ...

    async def restore(self, batch_id: str, slide_id: str, version: int) -> Timeline:
        """Show an earlier version of a slide again; `version` is 1-based.

        Raises:
            SlideUnderWay: it is being made.
            UnknownBatch, UnknownSlide: there is none.
        """
        ...

    def find_live(self, batch_id: str) -> BatchState | None:
        """How far a batch is that is made in this process."""
        ...

    def list_live(self) -> list[BatchState]:
        """All batches that are made in this process."""
        ...

    async def count_active(self, *, owner: str | None = None) -> int:
        """How many batches have not ended, all or an owner's; single slides apart."""
        ...

    def forget_ended(self) -> None:
        """Let the store answer for every batch that has ended."""
        ...

    def mean_slide_s(self) -> float | None:
        """How long a slide took lately; `None` before the first."""
        ...
