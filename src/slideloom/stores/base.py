"""What the engine asks of a store, whichever it is."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from slideloom.domain.events import Event
from slideloom.domain.images import PictureFacts
from slideloom.domain.status import BatchSummary


class Page(Struct, frozen=True):
    """Some batches of the index, newest first."""

    batches: tuple[BatchSummary, ...]
    next_cursor: str | None
    """Where the next page begins; `None` at the end."""


class BatchStore(Protocol):
    """Each batch is a log of events; `append` is the only write.

    Every method raises `StoreError` when the disk or database fails.
    """

    async def lease(self, batch_id: str) -> int:
        """Begin a run of the batch: its new epoch, which fences all earlier runs."""
        ...

    async def append(self, batch_id: str, epoch: int, events: Sequence[Event]) -> int:
        """Write `events` durably; the sequence number (from 1) of the last.

        Raises:
            Fenced: another run has leased the batch since.
        """
        ...

    async def read(self, batch_id: str, *, after: int = 0) -> list[Event]:
        """The batch's events behind number `after`, in order; empty when unknown."""
        ...

    async def list_batches(self, *, limit: int, cursor: str | None = None) -> Page:
        """The index, newest first.

        Raises:
            ValueError: the cursor is not one of ours.
        """
        ...

    async def find_unfinished(self) -> list[str]:
        """The ids of all batches whose log has no end, oldest first."""
        ...

    async def forget_finished(self, *, before_s: float) -> int:
        """Drop the logs of batches that ended before that wall-clock time; how many."""
        ...

    async def close(self) -> None:
        """Finish what was asked and let go of the disk."""
        ...


class Draft(Protocol):
    """A picture on its way to the disk, not yet visible to anyone.

    Every method raises `StorageFull` when the disk does not take it.
    """

    async def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append `piece`; give large pieces, each costs a thread hop. It is written on return."""
        ...

    async def rewind(self) -> None:
        """Drop what was written: another picture takes its place."""
        ...

    async def inspect(self) -> PictureFacts:
        """Look at what was written.

        Raises:
            NotAPicture: it is not a whole picture.
        """
        ...

    async def keep(self, *, page_num: int | None) -> str:
        """Make it durable and visible; its file name, made by us alone.

        Needs `inspect` before it: the name ends in the true type.
        """
        ...

    async def discard(self) -> None:
        """Remove what was written; nothing happens after `keep`."""
        ...


class ImageStore(Protocol):
    """Where the pictures are."""

    async def check_space(self) -> None:
        """Make sure that another picture could be kept.

        Raises:
            StorageFull: too little room, or not writable.
        """
        ...

    async def open_draft(self) -> Draft:
        """Begin a picture, after the same check.

        Raises:
            StorageFull: as `check_space`.
        """
        ...
