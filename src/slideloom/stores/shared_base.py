"""What several processes share besides their batches, wherever it is kept."""

from collections.abc import AsyncGenerator
from typing import Protocol

from msgspec import Struct

from slideloom.domain.session import SessionDocument


class Ring(Struct, frozen=True):
    """A batch's log has grown."""

    batch_id: str
    seq: int
    """The number of its last event."""


class Missed(Struct, frozen=True):
    """From now on every ring is heard; what was written before may have gone unheard."""


class Doorbell(Protocol):
    """What other processes write to a store that is shared."""

    def listen(self) -> AsyncGenerator[Ring | Missed, None]:
        """Whatever is appended to any batch, by whichever process, until the store is closed.

        The first is a `Missed`, and one follows each time rings may have been lost.
        """
        ...


class Posted(Struct, frozen=True, kw_only=True):
    """What stands on a board, and when that was."""

    version: str
    """Of the body; empty when there is none."""
    body: bytes | None
    """`None`: none, or the very one that was given."""
    clock_s: float
    """The board's own clock, the same for all who ask: seconds from some moment on."""


class LaneBoard(Protocol):
    """Where the processes that call over the same lane keep what they know of it in common."""

    async def swap(self, lane: str, *, expected: str, version: str, body: bytes) -> Posted:
        """Put `body` in the place of the version that is `expected`; else change nothing.

        What has not been changed for a day may be forgotten.

        Args:
            lane: its name.
            expected: the version it was made from; empty for none.
            version: its own, never used before.
            body: a few hundred bytes.

        Returns:
            What stands there now: it is `version` if it was put.

        Raises:
            StoreError: the board cannot be asked; the body may have been put all the same.
        """
        ...


class SessionShelf(Protocol):
    """The session files of every process, for whichever is asked."""

    async def put(self, document: SessionDocument, *, token: str) -> str:
        """Keep it, and tell the file's name: its own, or that of the next run that is free.

        A `token` that was put already changes nothing, and gives the same name again.

        Raises:
            StoreError: it may have been kept all the same.
        """
        ...

    async def read(self, session_id: str) -> dict[str, bytes]:
        """The session's files by name, as JSON; empty when there are none (any more).

        Raises:
            StoreError: the shelf cannot be asked.
        """
        ...
