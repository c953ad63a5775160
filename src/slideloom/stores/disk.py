"""The pictures' folder: the threads that touch it, and how its files are opened."""

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

from slideloom.errors import StorageFull, StoreError
from slideloom.stores.gather import GatheringExecutor

_SYNCERS = 16
"""Threads that sync, rename and read: enough that a slow sync holds up no other picture."""
_DECODERS = 2
"""Pictures decoded at once: one of 40 megapixels takes some 300 MB."""

_SHRINKERS = 2
"""Pictures made small at once; beside the decoders, so that readers hold up no deck."""
_MB = 1024 * 1024
_DRAFTS_IN_MINIMUM = 16
"""So many pictures under way at once fit into the minimum: 4 MB each of the default one."""

_T = TypeVar("_T")


class DiskThreads:
    """Short writes in one thread, waiting for the disk in others, decoding and shrinking in two."""

    def __init__(self) -> None:
        self.writer = GatheringExecutor()
        self._syncers = ThreadPoolExecutor(_SYNCERS, thread_name_prefix="images")
        self._decoders = ThreadPoolExecutor(_DECODERS, thread_name_prefix="image-decoder")
        self._shrinkers = ThreadPoolExecutor(_SHRINKERS, thread_name_prefix="image-shrinker")

    async def write(self, work: Callable[..., _T], *arguments: object) -> _T:
        """Do short blocking `work` on the writing thread; an `OSError` becomes `StorageFull`."""
        return await _run_on(self.writer, work, *arguments)

    async def sync(self, work: Callable[..., _T], *arguments: object) -> _T:
        """The same for work that waits for the disk, beside the writing."""
        return await _run_on(self._syncers, work, *arguments)

    async def decode(self, work: Callable[..., _T], *arguments: object) -> _T:
        """The same for work that takes a picture apart, two at a time."""
        return await _run_on(self._decoders, work, *arguments)

    async def read(self, work: Callable[..., _T], *arguments: object) -> _T:
        """Do `work` that only reads, beside the writing; an `OSError` becomes `StoreError`."""
        return await _read_on(self._syncers, work, *arguments)

    async def shrink(self, work: Callable[..., _T], *arguments: object) -> _T:
        """The same for work that makes a picture small for readers, two at a time."""
        return await _read_on(self._shrinkers, work, *arguments)

    def close(self) -> None:
        """Let go of the threads; what they do is finished."""
        for executor in (self._shrinkers, self._decoders, self._syncers, self.writer):
            executor.shutdown(wait=False)


def open_plain(path: Path) -> BinaryIO:
    """A file to be read; no link is followed out of the folder, no pipe is waited for.

    Raises:
        OSError: it is not there, or something else than a file.
    """
    return open(path, "rb", opener=_open_plain)


def is_plain(path: Path) -> bool:
    """Whether `open_plain` would open it."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _open_plain(path: str, flags: int) -> int:
    number = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "not a plain file")
    return number


def check_room(folder: Path, *, min_free_mb: int, drafts: int) -> None:
    """Make sure that there is room for so many drafts: calls at once must not count on the same.

    Raises:
        StorageFull: too little room, or not writable.
        OSError: the folder cannot be looked at.
    """
    free_bytes = shutil.disk_usage(folder).free
    wanted_bytes = min_free_mb * _MB * max(drafts, _DRAFTS_IN_MINIMUM) // _DRAFTS_IN_MINIMUM
    if free_bytes < wanted_bytes:
        message = f"{free_bytes // _MB} MB free, {wanted_bytes // _MB} MB wanted"
        raise StorageFull(message)
    if not os.access(folder, os.W_OK):
        message = "the image folder is not writable"
        raise StorageFull(message)


def to_storage_full(error: OSError) -> StorageFull:
    """What the disk did not take, as our own error."""
    return StorageFull(f"a picture could not be kept: {error.strerror or error}")


async def _run_on(executor: Executor, work: Callable[..., _T], *arguments: object) -> _T:
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
    except OSError as error:
        raise to_storage_full(error) from error


async def _read_on(executor: Executor, work: Callable[..., _T], *arguments: object) -> _T:
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
    except OSError as error:
        message = f"a picture could not be read: {error.strerror or error}"
        raise StoreError(message) from error
