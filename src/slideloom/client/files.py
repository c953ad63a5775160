"""Files that are there whole or not at all, written off the loop."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from slideloom.domain.album import name_files
from slideloom.domain.status import SlideResult


class Remote(Struct, frozen=True):
    """What the service says of a file."""

    size_bytes: int | None
    changed_at_s: float | None
    """Whole seconds since 1970."""


class Picture(Struct, frozen=True):
    """A slide's picture, and what it is called at home."""

    url: str
    """From the service's root on."""
    name: str


async def save_pieces(
    path: Path, pieces: AsyncIterator[bytes], *, changed_at_s: float | None = None
) -> None:
    """Write `path`, which is there whole or as it was before; it may get another date than now.

    Raises:
        OSError: the disk does not take it.
    """
    # On the loop, a moment: cancelled while a thread opens it, it would stay open.
    file, part = _open_part(path)
    try:
        with file:
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(_flush, file)
        await asyncio.to_thread(_rename, part, path, changed_at_s)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def take_stamp(path: Path) -> tuple[int, int] | None:
    """What tells whether a file was touched since; `None` where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def is_whole(path: Path, remote: Remote) -> bool:
    """Whether `path` is that remote file: of the same size and date, as `wget -N` goes by."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    same_size = remote.size_bytes in {None, found.st_size}
    same_date = remote.changed_at_s is None or int(found.st_mtime) == int(remote.changed_at_s)
    return same_size and same_date


def parse_remote(headers: Mapping[str, str]) -> Remote:
    """What an answer's headers say of its file."""
    length, changed = headers.get("Content-Length", ""), headers.get("Last-Modified")
    try:
        changed_at_s = None if changed is None else parsedate_to_datetime(changed).timestamp()
    except ValueError:
        changed_at_s = None
    return Remote(int(length) if length.isdecimal() else None, changed_at_s)


def name_pictures(results: Iterable[SlideResult]) -> list[Picture]:
    """The pictures there are, by page: `slide_001.png` or `.jpg`, as in the ZIP."""
    shown = [
        (slide.page_num, slide.image_url)
        for slide in sorted(results, key=lambda slide: slide.page_num)
        if slide.image_url is not None
    ]
    return [Picture(url, name) for (_, url), name in zip(shown, name_files(shown), strict=True)]


def _open_part(path: Path) -> tuple[BinaryIO, Path]:
    """A new file beside `path`, on the same file system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    return os.fdopen(number, "wb"), Path(name)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _rename(part: Path, path: Path, changed_at_s: float | None) -> None:
    umask = os.umask(0)
    os.umask(umask)
    part.chmod(0o666 & ~umask)  # temporary files are their maker's alone
    if changed_at_s is not None:
        os.utime(part, (changed_at_s, changed_at_s))
    part.replace(path)
