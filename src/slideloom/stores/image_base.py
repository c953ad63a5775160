"""What is asked of a place where pictures are kept, whichever it is."""

from collections.abc import Collection, Iterator
from typing import Protocol

from msgspec import Struct

from slideloom.domain.images import FitMode, PictureFacts
from slideloom.domain.ratio import Ratio


class Draft(Protocol):
    """A picture on its way to the disk, not yet visible to anyone.

    Every method raises `StorageFull` when the disk does not take it.
    """

    stem: str
    """What it will be called, the ending apart; made by us alone."""

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

    async def fit(self, ratio: Ratio, mode: FitMode) -> PictureFacts:
        """Crop or pad a picture whose ratio is off; what it is then.

        One within the tolerance stays as it is, and so does one whose padding
        would make it larger than a picture may be.

        Raises:
            NotAPicture: it is not a whole picture.
        """
        ...

    async def keep(self) -> str:
        """Make it durable and visible; its file name.

        Needs `inspect` before it: the name ends in the true type.
        """
        ...

    async def discard(self) -> None:
        """Remove what was written; nothing happens after `keep`."""
        ...


class PicturePiece(Struct, frozen=True, kw_only=True):
    """Some bytes of a kept picture."""

    data: bytes
    whole_bytes: int
    """The size of all of it."""


class FarImages(Protocol):
    """An image store whose pictures are no files here: what serves them asks it for them."""

    async def find_piece(self, name: str, *, start: int) -> PicturePiece | None:
        """Bytes of a kept picture from `start` on, which must be below its size, some at a time.

        `None` when there is none of that name.

        Raises:
            StoreError: it cannot be read.
        """
        ...

    async def measure(self, names: Collection[str]) -> dict[str, int]:
        """See `ImageStore`."""
        ...


class ImageStore(Protocol):
    """Where the pictures are."""

    async def check_space(self) -> None:
        """Make sure that another picture could be kept.

        Raises:
            StorageFull: too little room, or not writable.
        """
        ...

    async def open_draft(self, *, page_num: int | None) -> Draft:
        """Begin a picture, after the same check; the page number stands in its name.

        Raises:
            StorageFull: as `check_space`.
        """
        ...

    async def find_kept(self, stem: str) -> tuple[str, PictureFacts] | None:
        """The kept picture of that stem, its name and what it is: after a crash nobody knows.

        Raises:
            StoreError: the folder cannot be read.
        """
        ...

    async def read(self, name: str) -> bytes:
        """A kept picture, whole.

        Raises:
            StoreError: there is none of that name, or it cannot be read.
        """
        ...

    async def measure(self, names: Collection[str]) -> dict[str, int]:
        """The sizes in bytes of those of `names` that are kept pictures.

        Raises:
            StoreError: the folder cannot be read.
        """
        ...

    def read_pieces(self, name: str) -> Iterator[bytes]:
        """A kept picture piece by piece, to be read in a thread: it blocks on the disk.

        Raises:
            StoreError: there is none of that name, or it cannot be read.
        """
        ...

    async def read_small(self, name: str, *, width_px: int) -> bytes:
        """A kept picture as WebP, at most so wide; made at the first call, then kept beside it.

        Raises:
            StoreError: there is none of that name, or it cannot be read.
            NotAPicture: it cannot be decoded.
        """
        ...

    async def forget_old(self, *, before_s: float) -> int:
        """Delete the pictures kept before that wall-clock time, for good; how many.

        Raises:
            StoreError: the folder cannot be read or written.
        """
        ...

    async def keep_reference(self, data: bytes) -> str:
        """Keep a style reference durably, made small; its name, the same for the same bytes.

        Raises:
            NotAPicture: it is not a whole picture.
            StorageFull: the disk did not take it.
        """
        ...

    async def read_reference(self, name: str) -> bytes:
        """A kept style reference, whole: a small JPEG.

        Raises:
            StoreError: there is none of that name, or it cannot be read.
        """
        ...

    async def read_as_reference(self, name: str) -> bytes:
        """A kept picture, made as small as a style reference.

        Raises:
            StoreError: there is none of that name, or it cannot be read.
            NotAPicture: it cannot be decoded.
        """
        ...
