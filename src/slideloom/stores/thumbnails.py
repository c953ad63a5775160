"""Small copies of pictures in a folder of their own, made when first asked for; blocking."""

import contextlib
import io
import uuid
from pathlib import Path

from slideloom.domain.images import NotAPicture, inspect_picture
from slideloom.stores.disk import open_plain
from slideloom.stores.drafts import PART_PREFIX
from slideloom.stores.names import THUMBNAILS, name_thumbnail


def sweep_thumbnails(images: Path) -> None:
    """Sweep what a crash left half-written, and the copies of pictures that are gone."""
    thumbnails = list((images / THUMBNAILS).glob("*"))
    kept = {path.name for path in images.iterdir()} if thumbnails else ()
    for thumbnail in thumbnails:
        if thumbnail.name.startswith(PART_PREFIX) or _picture_of(thumbnail) not in kept:
            thumbnail.unlink(missing_ok=True)


def find_thumbnail(images: Path, name: str, width_px: int) -> bytes | None:
    """The copy of that width, if it was made already and lies there whole.

    Raises:
        OSError: the picture itself is not there, or its copy cannot be read.
    """
    open_plain(images / name).close()  # a copy does not outlive its picture
    with (
        contextlib.suppress(FileNotFoundError, NotAPicture),
        open_plain(_path(images, name, width_px)) as file,
    ):
        data = file.read()
        inspect_picture(io.BytesIO(data))
        return data
    return None


def keep_thumbnail(images: Path, name: str, width_px: int, data: bytes) -> None:
    """Keep a copy for the next reader; one that a power cut takes is made again.

    Raises:
        OSError: the disk did not take it.
    """
    final = _path(images, name, width_px)
    final.parent.mkdir(exist_ok=True)
    part = final.with_name(f"{PART_PREFIX}{uuid.uuid4().hex}")
    try:
        part.write_bytes(data)
        part.rename(final)
    finally:
        part.unlink(missing_ok=True)


def _path(images: Path, name: str, width_px: int) -> Path:
    return images / THUMBNAILS / name_thumbnail(name, width_px)


def _picture_of(thumbnail: Path) -> str:
    return thumbnail.name.rsplit(".", 2)[0]
