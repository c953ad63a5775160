"""Makes a deck's files out of the image store: one at a time, since each holds its pictures."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from slideloom.domain.album import Album
from slideloom.errors import NoPictures
from slideloom.stores.base import ImageStore

FileKind = Literal["pptx", "pdf", "zip"]
"""Of a deck to take home; also its name's ending."""


class ZipFile(Struct, frozen=True):
    """A ZIP that is made while it is read."""

    size_bytes: int
    pieces: Iterator[bytes]
    """Reading them blocks on the disk."""


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
        pages = tuple(page for page in album.pages if page.image in kept)
        lost = tuple(page.page_num for page in album.pages if page.image not in kept)
        if not pages:
            raise NoPictures
        return replace(album, pages=pages, missing=(*album.missing, *lost))

    async def make_pptx(self, album: Album) -> bytes:
        """The PowerPoint file of an album from `find_pages`."""
        from slideloom.exports.pptx import build_pptx  # noqa: PLC0415 - lxml; no start waits for it

        return await self._make(build_pptx, album)

    async def make_pdf(self, album: Album) -> bytes:
        """The PDF of an album from `find_pages`."""
        from slideloom.exports.pdf import build_pdf  # noqa: PLC0415 - as above

        return await self._make(build_pdf, album)

    async def open_zip(self, album: Album) -> ZipFile:
        """The ZIP of an album from `find_pages`."""
        from slideloom.exports.zip import stream_zip  # noqa: PLC0415 - as above

        sizes = await self._images.measure({page.image for page in album.pages})
        in_order = [sizes[page.image] for page in album.pages]
        return ZipFile(*stream_zip(album, in_order, self._images.read_pieces))

    async def _make(self, build: Callable[[Album, Sequence[bytes]], bytes], album: Album) -> bytes:
        def read_and_build() -> bytes:
            pictures = [b"".join(self._images.read_pieces(page.image)) for page in album.pages]
            return build(album, pictures)

        return await asyncio.get_running_loop().run_in_executor(self._thread, read_and_build)
