"""Pictures on their way to the disk, streamed there with aiofiles.

A draft lies under a hidden temporary name in the pictures' own folder; it is
synced, renamed, and the folder synced: what has a picture's name is whole, also
after a power cut.
"""

import asyncio
import contextlib
import os
import uuid
from collections.abc import Callable
from io import BufferedRandom, BufferedWriter
from pathlib import Path

from aiofiles.threadpool import wrap
from aiofiles.threadpool.binary import AsyncBufferedIOBase
from msgspec import Struct

from slideloom.domain.images import FitMode, PictureFacts, fitted_size, inspect_picture
from slideloom.domain.ratio import Ratio
from slideloom.errors import StorageFull
from slideloom.stores.disk import DiskThreads, to_storage_full
from slideloom.stores.pictures import fit_picture

PART_PREFIX = ".part-"
"""Of temporary names; hidden, so never served."""


class Part(Struct, frozen=True):
    """An unnamed picture on the disk."""

    path: Path
    file: BufferedRandom
    """Also for reading it: what is paid must be kept, even if no more files may be opened."""
    writer: AsyncBufferedIOBase
    """Of aiofiles, over `file`."""


class DraftFolder:
    """Opens drafts in one folder, as long as there is room."""

    def __init__(
        self, folder: Path, disk: DiskThreads, *, check_space: Callable[[int], None]
    ) -> None:
        """Take the folder and its threads.

        `check_space` raises `StorageFull` unless there is room for so many drafts; it may block.
        """
        self.disk = disk
        self._folder = folder
        self._check_space = check_space
        self._sweeps: set[asyncio.Task[None]] = set()
        self._folder_file = -1
        self._open: set[Path] = set()
        """Drafts under way, whose room nobody else may count on."""

    def hold_folder(self) -> None:
        """Open the folder to sync it by, until `close`; blocking. See `Part.file`."""
        self._folder_file = os.open(self._folder, os.O_RDONLY)

    def publish(self, part: Part, final: Path) -> None:
        """Sync the file, give it its name, sync the folder; blocking."""
        publish(part.file, part.path, final)
        os.fsync(self._folder_file)

    async def open(self, *, page_num: int | None) -> "FileDraft":
        """Begin a picture; see `open_part`."""
        page = "" if page_num is None else f"{page_num:03d}_"
        return FileDraft(self, await self.open_part(), stem=f"slide_{page}{uuid.uuid4().hex}")

    async def open_part(self) -> Part:
        """An empty file; one that is cut off while it is opened is removed.

        Raises:
            StorageFull: too little room, or not writable.
        """
        path = self._folder / f"{PART_PREFIX}{uuid.uuid4().hex}"
        loop = asyncio.get_running_loop()
        self._open.add(path)
        opening = loop.run_in_executor(self.disk.writer, self._open_part, path)
        try:
            file = await asyncio.shield(opening)
        except StorageFull:
            self._open.discard(path)
            raise
        except OSError as error:
            self._open.discard(path)
            raise to_storage_full(error) from error
        except asyncio.CancelledError:
            sweep = asyncio.create_task(self._abandon(opening, path), name="abandon a draft")
            self._sweeps.add(sweep)
            sweep.add_done_callback(self._sweeps.discard)
            raise
        return Part(path, file, wrap(file, executor=self.disk.writer))

    async def remove(self, part: Part) -> None:
        """Let go of what was begun; also when the caller is cancelled meanwhile."""
        # What cannot be closed or removed is swept at the next start.
        try:
            with contextlib.suppress(StorageFull):
                await asyncio.shield(self.disk.write(_remove, part.file, part.path))
        finally:
            self.forget(part)

    def forget(self, part: Part) -> None:
        """It is no draft any more."""
        self._open.discard(part.path)

    async def close(self) -> None:
        """Remove the drafts that nobody waits for."""
        await asyncio.gather(*self._sweeps)
        if self._folder_file >= 0:
            os.close(self._folder_file)

    async def _abandon(self, opening: asyncio.Future[BufferedRandom], path: Path) -> None:
        """Remove a draft that was still being opened when its slide was cut off."""
        with contextlib.suppress(OSError, StorageFull):  # swept at the next start
            await self.disk.write(_remove, await opening, path)
        self._open.discard(path)

    def _open_part(self, path: Path) -> BufferedRandom:
        self._check_space(len(self._open))
        return path.open("x+b")


class FileDraft:
    """A `Draft` in the pictures' own folder, so that a rename makes it visible."""

    def __init__(self, drafts: DraftFolder, part: Part, *, stem: str) -> None:
        self.stem = stem
        self._drafts = drafts
        self._part = part
        self._facts: PictureFacts | None = None
        self._kept = False

    async def write(self, piece: bytes | bytearray | memoryview) -> None:
        """See `Draft`. The buffered file's own lock orders a write and a close in other threads."""
        try:
            await self._part.writer.write(piece)
        except OSError as error:
            raise to_storage_full(error) from error

    async def rewind(self) -> None:
        """See `Draft`."""
        try:
            await self._part.writer.seek(0)
            await self._part.writer.truncate()
        except OSError as error:
            raise to_storage_full(error) from error

    async def inspect(self) -> PictureFacts:
        """See `Draft`."""
        self._facts = await self._drafts.disk.write(_inspect, self._part)
        return self._facts

    async def fit(self, ratio: Ratio, mode: FitMode) -> PictureFacts:
        """See `Draft`."""
        facts = await self.inspect()
        size = fitted_size(ratio, mode, width_px=facts.width_px, height_px=facts.height_px)
        if size is None:
            return facts
        data = await self._drafts.disk.decode(_fit, self._part.path, ratio, mode)
        other = await self._drafts.open_part()
        self._part, other = other, self._part
        try:
            await self.write(data)
            return await self.inspect()
        except BaseException:  # a full disk, or a cut: the paid picture is still there
            self._part, other = other, self._part
            raise
        finally:
            await self._drafts.remove(other)

    async def keep(self) -> str:
        """See `Draft`."""
        if self._facts is None:
            message = "a draft is looked at before it is kept"
            raise RuntimeError(message)
        name = f"{self.stem}.{self._facts.type}"
        final = self._part.path.with_name(name)
        self._kept = (
            True  # also when the caller is cut off: the thread goes on, and it will be found
        )
        try:
            await self._drafts.disk.sync(self._drafts.publish, self._part, final)
        except StorageFull:
            self._kept = False
            raise
        finally:
            self._drafts.forget(self._part)
        return name

    async def discard(self) -> None:
        """See `Draft`."""
        if not self._kept:
            await self._drafts.remove(self._part)


def publish(file: BufferedWriter | BufferedRandom, part: Path, final: Path) -> None:
    """Sync the file and give it its name, which the folder's sync makes durable; blocking."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.rename(final)


def sync_folder(path: Path) -> None:
    """Make the folder's names durable; blocking."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(file: BufferedRandom, path: Path) -> None:
    try:
        file.close()
    finally:
        path.unlink(missing_ok=True)


def _inspect(part: Part) -> PictureFacts:
    try:
        return inspect_picture(part.file)
    finally:
        part.file.seek(0, os.SEEK_END)


def _fit(path: Path, ratio: Ratio, mode: FitMode) -> bytes:
    return fit_picture(path.read_bytes(), ratio, mode)
