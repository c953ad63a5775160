"""Pictures in object storage, on their way there in a local folder."""

import asyncio
import contextlib
import functools
import io
import re
import shutil
from collections.abc import Awaitable, Callable, Collection, Iterator
from pathlib import Path
from typing import Final, Self, get_args

from slideloom.clock import monotonic_s
from slideloom.domain.images import (
    MEDIA_TYPES,
    NotAPicture,
    PictureFacts,
    PictureType,
    inspect_picture,
)
from slideloom.errors import StorageFull, StoreError
from slideloom.stores.disk import DiskThreads, check_room
from slideloom.stores.drafts import PART_PREFIX, DraftFolder, FileDraft, Part
from slideloom.stores.image_base import PicturePiece
from slideloom.stores.lock import FolderLock
from slideloom.stores.names import (
    PICTURE_NAME,
    REFERENCE_NAME,
    REFERENCES,
    THUMBNAILS,
    check_name,
    name_reference,
    name_thumbnail,
)
from slideloom.stores.object_link import ObjectLink, ObjectPlace
from slideloom.stores.pictures import shrink_reference, shrink_to_width

_UPLOADS: Final = ".uploads"
"""Hidden in the folder that is given: each process has one of its own in it."""
_PIECE_BYTES: Final = 1024 * 1024
"""A request each: readers that are slow hold no connection, and no more than this in memory."""
_PROOF_S: Final = 2.0
"""How long a probe that went well is believed: what begins then may be paid in vain."""
_FAILURE_S: Final = 3.0
"""How long one that did not: two hundred waiting slides need not all ask."""
_THUMBNAIL_KEY: Final = re.compile(rf"{re.escape(THUMBNAILS)}/{PICTURE_NAME.pattern}\.\d+\.webp")
_HEADS: Final = 8
"""Sizes asked for at once, so that an export of many pages leaves threads to others."""


class ObjectImageStore:
    """An `ImageStore` in one bucket, below one prefix, which several processes may share.

    What is there is what the bucket has: nothing of it is remembered here.
    """

    def __init__(
        self,
        link: ObjectLink,
        folder: Path,
        lock: FolderLock,
        disk: DiskThreads,
        *,
        min_free_mb: int,
    ) -> None:
        """Take the way to the bucket, and an empty folder of one's own for drafts."""
        self._link = link
        self._folder = folder
        self._lock = lock
        self._disk = disk
        self._min_free_mb = min_free_mb
        self._proof = _Proof()
        self._drafts = _Uploads(
            folder, disk, check_space=self._check_room, upload=self._upload_picture
        )

    @classmethod
    async def open(cls, place: ObjectPlace, folder: Path, *, min_free_mb: int) -> Self:
        """Make a folder below `folder` for drafts, and sweep those of processes that are gone.

        Raises:
            StorageFull: the folder cannot be made or written.
            StoreError: there is no such place for objects.
        """
        link, disk = ObjectLink(place), DiskThreads()
        own, lock = await disk.write(FolderLock.take_new, folder / _UPLOADS)
        return cls(link, own, lock, disk, min_free_mb=min_free_mb)

    async def close(self) -> None:
        """Remove the drafts that nobody waits for, let go of the threads."""
        await self._drafts.close()
        self._disk.close()
        self._lock.release()

    async def check_space(self) -> None:
        """See `ImageStore`; that the bucket takes pictures is tried now and then."""
        await self._disk.write(self._check_room, 1)
        # Not in the store's own threads: all of them may be waiting for a bucket that is away.
        await self._proof.check(functools.partial(asyncio.to_thread, self._link.probe))

    async def open_draft(self, *, page_num: int | None) -> FileDraft:
        """See `ImageStore`."""
        await self.check_space()
        return await self._drafts.open(page_num=page_num)

    async def find_kept(self, stem: str) -> tuple[str, PictureFacts] | None:
        """See `ImageStore`."""
        return await self._disk.read(self._look_for, stem)

    async def read(self, name: str) -> bytes:
        """See `ImageStore`."""
        check_name(PICTURE_NAME, name)
        return await self._disk.read(self._read, name)

    async def measure(self, names: Collection[str]) -> dict[str, int]:
        """See `ImageStore`."""
        sizes: dict[str, int] = {}
        ours = (name for name in names if PICTURE_NAME.fullmatch(name))

        async def look() -> None:
            for name in ours:  # each takes the next one, and ends where the bucket fails
                size = await self._disk.read(self._link.find_size, name)
                if size is not None:
                    sizes[name] = size

        looks = (look() for _ in range(min(_HEADS, len(names))))
        for failure in await asyncio.gather(*looks, return_exceptions=True):
            if failure is not None:
                raise failure
        return sizes

    async def find_piece(self, name: str, *, start: int) -> PicturePiece | None:
        """See `FarImages`."""
        if PICTURE_NAME.fullmatch(name) is None:
            return None
        return await self._disk.read(self._find_piece, name, start)

    def read_pieces(self, name: str) -> Iterator[bytes]:
        """See `ImageStore`."""
        check_name(PICTURE_NAME, name)
        return self._read_pieces(name)

    async def read_small(self, name: str, *, width_px: int) -> bytes:
        """See `ImageStore`; a copy does not outlive its picture."""
        check_name(PICTURE_NAME, name)
        key = f"{THUMBNAILS}/{name_thumbnail(name, width_px)}"
        size, small = await asyncio.gather(
            self._disk.read(self._link.find_size, name), self._disk.read(self._link.find, key)
        )
        if size is None:
            raise _not_there(name)
        if small is not None:
            return small
        small = await self._disk.shrink(shrink_to_width, await self.read(name), width_px)
        with contextlib.suppress(StorageFull):  # it is shown all the same
            await self._disk.sync(self._put, key, small)
        return small

    async def forget_old(self, *, before_s: float) -> int:
        """See `ImageStore`; small copies go once they are as old themselves."""
        return await self._disk.read(self._forget_old, before_s)

    async def keep_reference(self, data: bytes) -> str:
        """See `ImageStore`."""
        await self.check_space()
        _, small = await self._disk.decode(shrink_reference, data)
        name = name_reference(small)
        await self._disk.sync(self._put, f"{REFERENCES}/{name}", small)
        return name

    async def read_reference(self, name: str) -> bytes:
        """See `ImageStore`."""
        check_name(REFERENCE_NAME, name)
        return await self._disk.read(self._read, f"{REFERENCES}/{name}")

    async def read_as_reference(self, name: str) -> bytes:
        """See `ImageStore`."""
        _, small = await self._disk.decode(shrink_reference, await self.read(name))
        return small

    def _check_room(self, drafts: int) -> None:
        check_room(self._folder, min_free_mb=self._min_free_mb, drafts=drafts)

    def _upload_picture(self, name: str, data: bytes) -> None:
        try:
            self._put(name, data)
        except StorageFull:
            self._proof.doubt()
            raise

    def _put(self, key: str, data: bytes) -> None:
        self._link.put(key, data, media_type=MEDIA_TYPES[key.rpartition(".")[2]])

    def _read(self, key: str) -> bytes:
        data = self._link.find(key)
        if data is None:
            raise _not_there(key)
        return data

    def _look_for(self, stem: str) -> tuple[str, PictureFacts] | None:
        for kind in get_args(PictureType):
            name = f"{stem}.{kind}"
            if PICTURE_NAME.fullmatch(name) and (data := self._link.find(name)) is not None:
                with contextlib.suppress(NotAPicture):
                    return name, inspect_picture(io.BytesIO(data))
        return None

    def _find_piece(self, name: str, start: int) -> PicturePiece | None:
        return self._link.find_piece(name, start=start, limit_bytes=_PIECE_BYTES)

    def _read_pieces(self, name: str) -> Iterator[bytes]:
        read_bytes, whole_bytes = 0, 1
        while read_bytes < whole_bytes:
            piece = self._find_piece(name, read_bytes)
            if piece is None:
                raise _not_there(name)
            read_bytes, whole_bytes = read_bytes + len(piece.data), piece.whole_bytes
            yield piece.data

    def _forget_old(self, before_s: float) -> int:
        pictures = 0
        for page in self._link.list_pages():
            old = [one.name for one in page if one.kept_at_s < before_s and _is_ours(one.name)]
            self._link.delete(old)
            pictures += sum(PICTURE_NAME.fullmatch(name) is not None for name in old)
        return pictures


class _Uploads(DraftFolder):
    """Drafts that are kept in another place than their folder."""

    def __init__(
        self,
        folder: Path,
        disk: DiskThreads,
        *,
        check_space: Callable[[int], None],
        upload: Callable[[str, bytes], None],
    ) -> None:
        """Take what `DraftFolder` takes, and what keeps a picture's bytes under its name."""
        super().__init__(folder, disk, check_space=check_space)
        self._upload = upload

    def publish(self, part: Part, final: Path) -> None:
        """Upload it and remove the file; blocking. It goes on when the slide is cut off."""
        part.file.flush()
        part.file.seek(0)
        self._upload(final.name, part.file.read())
        with contextlib.suppress(OSError):  # it is kept; the rest is swept at the next start
            part.file.close()
            part.path.unlink(missing_ok=True)

    async def close(self) -> None:
        """Remove the folder too, unless a picture is still on its way."""
        await super().close()
        with contextlib.suppress(StorageFull):
            await self.disk.write(_remove_empty, self._folder)


class _Proof:
    """Whether the bucket takes pictures, as a probe has shown lately."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._good_until_s = 0.0
        self._bad_until_s = 0.0
        self._failure = ""
        self._is_doubted = True

    def doubt(self) -> None:
        """Probe again before the next picture; from any thread."""
        self._is_doubted = True

    async def check(self, probe: Callable[[], Awaitable[None]]) -> None:
        """Probe, unless that was done just now; those who come meanwhile wait for it.

        Raises:
            StorageFull: it failed.
        """
        async with self._turn:
            now_s = monotonic_s()
            if not self._is_doubted and now_s < self._good_until_s:
                return
            if not self._is_doubted and now_s < self._bad_until_s:
                raise StorageFull(self._failure)
            self._is_doubted, self._good_until_s = False, 0.0
            try:
                await probe()
            except StorageFull as error:
                self._failure, self._bad_until_s = str(error), monotonic_s() + _FAILURE_S
                raise
            except BaseException:  # cut off: nothing is known
                self._is_doubted = True
                raise
            self._good_until_s, self._bad_until_s = monotonic_s() + _PROOF_S, 0.0


def _is_ours(key: str) -> bool:
    """Whether it is a picture or a small copy of one."""
    return bool(PICTURE_NAME.fullmatch(key) or _THUMBNAIL_KEY.fullmatch(key))


def _not_there(name: str) -> StoreError:
    return StoreError(f"there is no picture {name}")


def _remove_empty(folder: Path) -> None:
    if not any(folder.glob(f"{PART_PREFIX}*")):
        shutil.rmtree(folder)
