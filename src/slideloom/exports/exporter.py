"""Makes a deck's files out of the image store: one at a time, whoever asks."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Literal

from msgspec import Struct
from msgspec.structs import replace

from slideloom.domain.album import Album
from slideloom.domain.images import NotAPicture
from slideloom.errors import NoPictures, StorageFull
from slideloom.exports.shelf import Shelf
from slideloom.stores.image_base import ImageStore

FileKind = Literal["pptx", "pdf", "zip"]
"""Of a deck to take home; also its name's ending."""
_PIECE_BYTES = 256 * 1024
_Write = Callable[[Album, Shelf, IO[bytes]], None]


class MadeFile(Struct, frozen=True, kw_only=True):
    """A deck to take home, ready to be read once."""

    album: Album
    """What is in it, and what is missing."""
    size_bytes: int
    pieces: Iterator[bytes]
    """Reading them blocks on the disk."""
    close: Callable[[], None]
    """Lets go of what is open, however far it was read."""


class Exporter:
    """Makes files of albums."""

    def __init__(self, images: ImageStore) -> None:
        self._images = images
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="export")

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(wait=False)

    async def find_pages(self, album: Album) -> Album:
        """The album without the pages whose pictures are not there any more.

        Raises:
            NoPictures: none is left.
        """
        kept = await self._images.measure({page.image for page in album.pages})
        return _leave_out(album, {page.image for page in album.pages} - kept.keys())

    async def make_pptx(self, album: Album) -> MadeFile:
        """The PowerPoint file of an album from `find_pages`, without what is no picture.

        Raises:
            NoPictures: none is left.
            StorageFull: there is no room for temporary files.
            StoreError: a picture could not be read.
        """
        from slideloom.exports.pptx import write_pptx  # noqa: PLC0415 - lxml; no start waits for it

        return await self._make(write_pptx, album)

    async def make_pdf(self, album: Album) -> MadeFile:
        """The PDF; otherwise as `make_pptx`."""
        from slideloom.exports.pdf import write_pdf  # noqa: PLC0415 - as above

        return await self._make(write_pdf, album)

    async def open_zip(self, album: Album) -> MadeFile:
        """The ZIP of an album, made while it is read.

        Raises:
            NoPictures: none is there.
        """
        from slideloom.exports.zip import stream_zip  # noqa: PLC0415 - as above

        names = {page.image for page in album.pages}
        sizes = await self._images.measure(names)
        shown = _leave_out(album, names - sizes.keys())
        in_order = [sizes[page.image] for page in shown.pages]
        size_bytes, pieces = stream_zip(shown, in_order, self._images.read_pieces)
        return MadeFile(album=shown, size_bytes=size_bytes, pieces=pieces, close=pieces.close)

    async def _make(self, write: _Write, album: Album) -> MadeFile:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._write, write, album)

    def _write(self, write: _Write, album: Album) -> MadeFile:
        """Write the file under no name: it is gone when it is closed, or the process ends."""
        try:
            with Shelf(self._images.read_pieces) as shelf:
                shown = _leave_out(album, _put_all(shelf, album))
                file = tempfile.TemporaryFile()  # noqa: SIM115 - open until it has been sent
                try:
                    write(shown, shelf, file)
                except BaseException:
                    file.close()
                    raise
        except OSError as error:
            message = f"a temporary file could not be written: {error.strerror or error}"
            raise StorageFull(message) from error
        size_bytes = file.seek(0, 2)
        return MadeFile(
            album=shown, size_bytes=size_bytes, pieces=_read_pieces(file), close=file.close
        )


def _put_all(shelf: Shelf, album: Album) -> set[str]:
    """Put the album's pictures on the shelf; the names of those that are none."""
    broken = set()
    for name in {page.image for page in album.pages}:
        try:
            shelf.put(name)
        except NotAPicture:
            broken.add(name)
    return broken


def _leave_out(album: Album, names: set[str]) -> Album:
    """The album without those pictures' pages, which are then missing.

    Raises:
        NoPictures: none is left.
    """
    pages = tuple(page for page in album.pages if page.image not in names)
    lost = tuple(page.page_num for page in album.pages if page.image in names)
    if not pages:
        raise NoPictures
    return replace(album, pages=pages, missing=tuple(sorted((*album.missing, *lost))))


def _read_pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        yield piece
