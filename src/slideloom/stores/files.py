"""Pictures in a local folder, streamed there with aiofiles.

A picture is written under a hidden temporary name, synced, renamed, and the
folder synced: what has a picture's name is whole, also after a power cut.
"""

import asyncio
import contextlib
import os
import shutil
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from io import BufferedWriter
from pathlib import Path
from typing import Self, TypeVar

from aiofiles.threadpool import wrap
from aiofiles.threadpool.binary import AsyncBufferedIOBase

from slideloom.domain.images import PictureFacts, inspect_picture
from slideloom.errors import StorageFull
from slideloom.stores.gather import GatheringExecutor
from slideloom.stores.lock import FolderLock

_PART_PREFIX = ".part-"
"""Of temporary names; hidden, so never served."""
_THREADS = 16
"""Threads that sync and rename: enough that a slow sync holds up no other picture."""
_MB = 1024 * 1024

_T = TypeVar("_T")


class FileImageStore:
    """An `ImageStore` in one local folder."""

    def __init__(self, folder: Path, *, min_free_mb: int) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_mb * _MB
        self._lock: FolderLock | None = None
        self._writer = GatheringExecutor()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="images")
        self._sweeps: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, folder: Path, *, min_free_mb: int) -> Self:
        """Make the folder if need be, and sweep what a crash left half-written.

        Raises:
            StorageFull: the folder cannot be made or written.
            StoreUnusable: another service uses it.
        """
        store = cls(folder, min_free_mb=min_free_mb)
        await store.run(store._prepare)
        return store

    async def close(self) -> None:
        """Remove the drafts that nobody waits for, let go of the threads."""
        await asyncio.gather(*self._sweeps)
        self._threads.shutdown(wait=False)
        self._writer.shutdown(wait=False)
        if self._lock is not None:
            self._lock.release()

    async def check_space(self) -> None:
        """See `ImageStore`."""
        await self.run(self._check_space)

    async def open_draft(self) -> "FileDraft":
        """See `ImageStore`."""
        path = self._folder / f"{_PART_PREFIX}{uuid.uuid4().hex}"
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(self._writer, self._open_part, path)
        try:
            file = await asyncio.shield(opening)
        except OSError as error:
            raise _storage_full(error) from error
        except asyncio.CancelledError:
            sweep = asyncio.create_task(self._abandon(opening), name="abandon a draft")
            self._sweeps.add(sweep)
            sweep.add_done_callback(self._sweeps.discard)
            raise
        return FileDraft(self, path, file, wrap(file, executor=self._writer))

    async def _abandon(self, opening: asyncio.Future[BufferedWriter]) -> None:
        """Remove a draft that was still being opened when its slide was cut off."""
        with contextlib.suppress(OSError, StorageFull):  # swept at the next start
            file = await opening
            await self.run(_remove, file, Path(file.name))

    async def run(self, work: Callable[..., _T], *arguments: object) -> _T:
        """Do short blocking `work` on the writing thread; an `OSError` becomes `StorageFull`."""
        return await self._run_on(self._writer, work, *arguments)

    async def sync(self, work: Callable[..., _T], *arguments: object) -> _T:
        """The same for work that waits for the disk, beside the writing."""
        return await self._run_on(self._threads, work, *arguments)

    async def _run_on(self, executor: Executor, work: Callable[..., _T], *arguments: object) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
        except OSError as error:
            raise _storage_full(error) from error

    def _prepare(self) -> None:
        self._lock = FolderLock.take(self._folder)
        for leftover in self._folder.glob(f"{_PART_PREFIX}*"):
            leftover.unlink(missing_ok=True)

    def _open_part(self, path: Path) -> BufferedWriter:
        self._check_space()
        return path.open("xb")

    def _check_space(self) -> None:
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < self._min_free_bytes:
            message = f"{free_bytes // _MB} MB free, {self._min_free_bytes // _MB} MB wanted"
            raise StorageFull(message)
        if not os.access(self._folder, os.W_OK):
            message = "the image folder is not writable"
            raise StorageFull(message)


class FileDraft:
    """A `Draft` in the pictures' own folder, so that a rename makes it visible."""

    def __init__(
        self,
        store: FileImageStore,
        path: Path,
        file: BufferedWriter,
        writer: AsyncBufferedIOBase,
    ) -> None:
        """Take the open file, and aiofiles' `writer` over it."""
        self._store = store
        self._path = path
        self._file = file
        self._writer = writer
        self._facts: PictureFacts | None = None
        self._kept = False

    async def write(self, piece: bytes | bytearray | memoryview) -> None:
        """See `Draft`. The buffered file's own lock orders a write and a close in other threads."""
        try:
            await self._writer.write(piece)
        except OSError as error:
            raise _storage_full(error) from error

    async def rewind(self) -> None:
        """See `Draft`."""
        try:
            await self._writer.seek(0)
            await self._writer.truncate()
        except OSError as error:
            raise _storage_full(error) from error

    async def inspect(self) -> PictureFacts:
        """See `Draft`."""
        self._facts = await self._store.run(_inspect, self._file, self._path)
        return self._facts

    async def keep(self, *, page_num: int | None) -> str:
        """See `Draft`."""
        if self._facts is None:
            message = "a draft is looked at before it is kept"
            raise RuntimeError(message)
        page = "" if page_num is None else f"{page_num:03d}_"
        name = f"slide_{page}{uuid.uuid4().hex}.{self._facts.type}"
        await self._store.sync(_publish, self._file, self._path, self._path.with_name(name))
        self._kept = True
        return name

    async def discard(self) -> None:
        """See `Draft`."""
        if self._kept:
            return
        # What cannot be closed or removed is swept at the next start.
        with contextlib.suppress(StorageFull):
            await asyncio.shield(self._store.run(_remove, self._file, self._path))


def _remove(file: BufferedWriter, path: Path) -> None:
    try:
        file.close()
    finally:
        path.unlink(missing_ok=True)


def _inspect(file: BufferedWriter, path: Path) -> PictureFacts:
    file.flush()
    with path.open("rb") as written:
        return inspect_picture(written)


def _publish(file: BufferedWriter, part: Path, final: Path) -> None:
    """Sync the file, give it its name, sync the folder."""
    os.fsync(file.fileno())
    file.close()
    part.rename(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _storage_full(error: OSError) -> StorageFull:
    return StorageFull(f"a picture could not be kept: {error.strerror or error}")
