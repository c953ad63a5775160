"""What becomes of an answer's bytes: its picture goes to a draft, in large pieces."""

from typing import Protocol

from slideloom.domain.images import MAX_BYTES
from slideloom.errors import CorruptPicture
from slideloom.providers.lift import Lift, PictureEnd, PictureStart
from slideloom.stores.image_base import Draft

PIECE_BYTES = 96 * 1024
"""How much is gathered for one write. From 128 KiB on the allocator would map fresh pages for each
buffer, which costs as much as the writing."""


class Spool:
    """Bytes of a picture on their way to its draft, gathered into large pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fill = 0
        self._is_begun = False
        """Whether the draft holds bytes already."""
        self._is_outdated = False
        """Whether those bytes are of an earlier picture."""

    @property
    def room_bytes(self) -> int:
        """How much more may be put before the piece is written."""
        return max(0, PIECE_BYTES - self._fill)

    def put(self, piece: bytes) -> None:
        """Append `piece`."""
        end = self._fill + len(piece)
        if end > len(self._buffer):
            # A new buffer, for the old one may still be in a writer's hands.
            self._buffer = self._buffer[: self._fill].ljust(max(end, PIECE_BYTES), b"\0")
        self._buffer[self._fill : end] = piece
        self._fill = end

    def restart(self) -> None:
        """Forget what was put: another picture takes its place."""
        self._fill = 0
        self._is_outdated = self._is_begun

    async def flush(self, draft: Draft) -> None:
        """Write what has been put; nothing may be put meanwhile."""
        if self._is_outdated:
            await draft.rewind()
            self._is_outdated = self._is_begun = False
        if self._fill:
            self._is_begun = True
            await draft.write(memoryview(self._buffer)[: self._fill])
            self._fill = 0


class Intake(Protocol):
    """What an answer's bytes are given to."""

    spool: Spool

    def take(self, chunk: bytes) -> None:
        """Take the next bytes."""
        ...

    def take_raw(self, buffer: bytearray, size: int) -> bool:
        """Take the first `size` bytes of `buffer` if that needs no copy; else nothing is taken."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether the sender may be silent as long as it likes."""
        ...

    @property
    def is_done(self) -> bool:
        """Whether whatever follows does not matter."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether there is a whole picture, should nothing follow."""
        ...


class PictureIntake:
    """An answer with a picture in its JSON."""

    def __init__(self, *, limit_bytes: int = MAX_BYTES) -> None:
        self.spool = Spool()
        self.lift = Lift()
        self.held: int | None = None
        """The picture in the draft: the last one that was not known to be a preview."""
        self.is_blank = True
        """Nothing but white space has come."""
        self._limit_bytes = limit_bytes
        self._is_ended = False
        self._is_broken = False
        self._is_skipping = False
        self._aside: bytearray | None = None
        """A later picture, until it is known to be no thought: the draft has room for one."""
        self._aside_index = 0
        self._is_aside_whole = False

    def take(self, chunk: bytes) -> None:
        """See `Intake`.

        Raises:
            CorruptPicture: the answer is larger than any picture.
        """
        self._count(len(chunk))
        self.is_blank = self.is_blank and chunk.isspace()
        for event in self.lift.feed(chunk):
            match event:
                case PictureStart():
                    self._start(event)
                case PictureEnd(is_whole=is_whole) if not self._is_skipping:
                    self._end(is_whole=is_whole)
                case bytes(piece) if not self._is_skipping:
                    self._put(piece)
                case _:
                    pass  # of a preview
        self._settle()

    def take_raw(self, buffer: bytearray, size: int) -> bool:
        """See `Intake`; raises as `take`."""
        pieces = self.lift.skim(buffer, size)
        if pieces is None:
            return False
        self._count(size)
        if not self._is_skipping:
            for piece in pieces:
                self._put(piece)
        return True

    @property
    def is_idle(self) -> bool:
        """See `Intake`: blanks and comments say that the provider still works."""
        return self.lift.is_idle and not self.is_whole

    @property
    def is_done(self) -> bool:
        """See `Intake`."""
        return self.lift.is_done

    @property
    def is_whole(self) -> bool:
        """See `Intake`."""
        return self.held is not None and self._is_ended and not self._is_broken

    @property
    def is_broken(self) -> bool:
        """Whether the picture's base64 is none."""
        return self.held is not None and self._is_ended and self._is_broken

    def _count(self, size: int) -> None:
        self._limit_bytes -= size
        if self._limit_bytes < 0:
            message = f"the answer is over {MAX_BYTES} bytes"
            raise CorruptPicture(message)

    def _start(self, start: PictureStart) -> None:
        self._settle()
        self._is_skipping = start.is_draft
        if start.is_draft:
            return
        if start.may_be_thought and self.is_whole and not self.lift.find_mark(self.held or 0):
            self._aside, self._aside_index = bytearray(), start.index
            self._is_aside_whole = False
            return
        self._aside = None
        self.held = start.index
        self._is_ended = False
        self.spool.restart()

    def _put(self, piece: bytes) -> None:
        if self._aside is None:
            self.spool.put(piece)
        else:
            self._aside += piece

    def _end(self, *, is_whole: bool) -> None:
        if self._aside is None:
            self._is_ended, self._is_broken = True, not is_whole
        else:
            self._is_aside_whole = is_whole

    def _settle(self) -> None:
        """Let a picture set aside take the held one's place, once it is known to be no thought."""
        if self._aside is None or not self._is_aside_whole:
            return
        is_thought = self.lift.find_mark(self._aside_index)
        if is_thought is None:
            return
        if not is_thought:
            self.held = self._aside_index
            self.spool.restart()
            self.spool.put(bytes(self._aside))
        self._aside = None
