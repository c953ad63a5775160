"""Pictures in a local folder."""

import contextlib
import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Self, get_args

from slideloom.clock import wall_s
from slideloom.domain.images import NotAPicture, PictureFacts, PictureType, inspect_picture
from slideloom.errors import StorageFull, StoreError
from slideloom.stores.disk import DiskThreads, check_room, is_plain, open_plain
from slideloom.stores.drafts import PART_PREFIX, DraftFolder, FileDraft
from slideloom.stores.lock import FolderLock
from slideloom.stores.names import PICTURE_NAME, REFERENCE_NAME, check_name
from slideloom.stores.pictures import shrink_reference, shrink_to_width
from slideloom.stores.references import (
    keep_reference,
    prepare_references,
    read_reference,
)
from slideloom.stores.thumbnails import find_thumbnail, keep_thumbnail, sweep_thumbnails

_PIECE_BYTES = 256 * 1024


_DRAFT_S = 3600.0
"""A draft that nobody has written to for so long is left of a crash, whoever shares the folder."""


class FileImageStore:
    """An `ImageStore` in one local folder."""

    def __init__(self, folder: Path, *, min_free_mb: int, shared: bool = False) -> None:
        self._folder = folder
        self._is_shared = shared
        self._lock: FolderLock | None = None
        self._min_free_mb = min_free_mb
        self._disk = DiskThreads()
        self._drafts = DraftFolder(folder, self._disk, check_space=self._check_space)

    @classmethod
    async def open(cls, folder: Path, *, min_free_mb: int, shared: bool = False) -> Self:
        """Make the folder if need be, and sweep what a crash left half-written.

        A `shared` folder may be open in several processes: the first one sweeps, others only
        what has lain there for an hour.

        Raises:
            StorageFull: the folder cannot be made or written.
            StoreUnusable: another service uses it.
        """
        store = cls(folder, min_free_mb=min_free_mb, shared=shared)
        await store._disk.write(store._prepare)
        return store

    async def close(self) -> None:
        """Remove the drafts that nobody waits for, let go of the threads."""
        await self._drafts.close()
        self._disk.close()
        if self._lock is not None:
            self._lock.release()

    async def check_space(self) -> None:
        """See `ImageStore`."""
        await self._disk.write(self._check_space, 1)

    async def open_draft(self, *, page_num: int | None) -> FileDraft:
        """See `ImageStore`."""
        return await self._drafts.open(page_num=page_num)

    async def find_kept(self, stem: str) -> tuple[str, PictureFacts] | None:
        """See `ImageStore`."""
        return await self._disk.read(_look_for, self._folder, stem)

    async def read(self, name: str) -> bytes:
        """See `ImageStore`."""
        check_name(PICTURE_NAME, name)
        return await self._disk.read(_read, self._folder / name)

    async def measure(self, names: Collection[str]) -> dict[str, int]:
        """See `ImageStore`."""
        ours = [name for name in names if PICTURE_NAME.fullmatch(name)]
        return await self._disk.read(_measure, self._folder, ours)

    def read_pieces(self, name: str) -> Iterator[bytes]:
        """See `ImageStore`."""
        check_name(PICTURE_NAME, name)
        return _read_pieces(self._folder / name)

    async def read_small(self, name: str, *, width_px: int) -> bytes:
        """See `ImageStore`."""
        check_name(PICTURE_NAME, name)
        small = await self._disk.read(find_thumbnail, self._folder, name, width_px)
        if small is None:
            small = await self._disk.shrink(self._make_small, name, width_px)
        return small

    async def forget_old(self, *, before_s: float) -> int:
        """See `ImageStore`; small copies go too."""
        return await self._disk.read(_forget_old, self._folder, before_s)

    async def keep_reference(self, data: bytes) -> str:
        """See `ImageStore`."""
        await self.check_space()
        _, small = await self._disk.decode(shrink_reference, data)
        return await self._disk.sync(keep_reference, self._folder, small)

    async def read_reference(self, name: str) -> bytes:
        """See `ImageStore`."""
        check_name(REFERENCE_NAME, name)
        return await self._disk.read(read_reference, self._folder, name)

    async def read_as_reference(self, name: str) -> bytes:
        """See `ImageStore`."""
        _, small = await self._disk.decode(shrink_reference, await self.read(name))
        return small

    def _prepare(self) -> None:
        self._lock = FolderLock.take(self._folder, shared=self._is_shared)
        self._drafts.hold_folder()
        is_alone = not self._is_shared or self._lock.is_alone()
        self._sweep_drafts(before_s=math.inf if is_alone else wall_s() - _DRAFT_S)
        if is_alone:
            self._sweep_rest()
        if self._is_shared:
            self._lock.share()

    def _sweep_drafts(self, *, before_s: float) -> None:
        for leftover in self._folder.glob(f"{PART_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):  # it was somebody's who lives
                if leftover.stat().st_mtime < before_s:
                    leftover.unlink()

    def _sweep_rest(self) -> None:
        prepare_references(self._folder)
        sweep_thumbnails(self._folder)

    def _make_small(self, name: str, width_px: int) -> bytes:
        """While this waited for a thread, somebody else may have made it."""
        kept = find_thumbnail(self._folder, name, width_px)
        if kept is not None:
            return kept
        small = shrink_to_width(_read(self._folder / name), width_px)
        with contextlib.suppress(OSError, StorageFull):  # room is for pictures; it is shown anyway
            self._check_space(1)
            keep_thumbnail(self._folder, name, width_px, small)
        return small

    def _check_space(self, drafts: int) -> None:
        check_room(self._folder, min_free_mb=self._min_free_mb, drafts=drafts)


def _read(path: Path) -> bytes:
    with open_plain(path) as file:
        return file.read()


def _look_for(folder: Path, stem: str) -> tuple[str, PictureFacts] | None:
    for kind in get_args(PictureType):
        path = folder / f"{stem}.{kind}"
        if PICTURE_NAME.fullmatch(path.name) and is_plain(path):
            with contextlib.suppress(NotAPicture), open_plain(path) as file:
                return path.name, inspect_picture(file)
    return None


def _measure(folder: Path, names: list[str]) -> dict[str, int]:
    sizes = {}
    for name in names:
        path = folder / name
        if is_plain(path):
            sizes[name] = path.stat().st_size
    return sizes


def _forget_old(folder: Path, before_s: float) -> int:
    old = [
        path
        for path in folder.iterdir()
        if PICTURE_NAME.fullmatch(path.name) and path.lstat().st_mtime < before_s
    ]
    for path in old:
        path.unlink(missing_ok=True)
    sweep_thumbnails(folder)
    return len(old)


def _read_pieces(path: Path) -> Iterator[bytes]:
    try:
        with open_plain(path) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    except OSError as error:
        message = f"a picture could not be read: {error.strerror or error}"
        raise StoreError(message) from error
