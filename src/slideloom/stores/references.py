"""Style references in a folder of their own, named by what they hold; blocking."""

import hashlib
import io
import re
import uuid
from pathlib import Path

from slideloom.domain.images import inspect_picture
from slideloom.stores.drafts import PART_PREFIX, publish, sync_folder

REFERENCE_NAME = re.compile(r"ref_[0-9a-f]{64}\.(?:png|jpg|webp)")
_FOLDER = ".references"
"""Hidden in the pictures' folder, so never served."""


def prepare_references(images: Path) -> None:
    """Sweep what a crash left half-written."""
    for leftover in (images / _FOLDER).glob(f"{PART_PREFIX}*"):
        leftover.unlink(missing_ok=True)


def keep_reference(images: Path, data: bytes) -> str:
    """Keep `data` durably; its name.

    Raises:
        NotAPicture: it is not a whole picture.
        OSError: the disk did not take it.
    """
    facts = inspect_picture(io.BytesIO(data))
    folder = images / _FOLDER
    name = f"ref_{hashlib.sha256(data).hexdigest()}.{facts.type}"
    if (folder / name).exists():
        sync_folder(folder)  # whoever wrote it may not have come so far
        return name
    folder.mkdir(exist_ok=True)
    sync_folder(images)
    part = folder / f"{PART_PREFIX}{uuid.uuid4().hex}"
    try:
        with part.open("xb") as file:
            file.write(data)
            publish(file, part, folder / name)
        sync_folder(folder)
    finally:
        part.unlink(missing_ok=True)
    return name


def read_reference(images: Path, name: str) -> bytes:
    """What was kept under `name`, which must be one of ours.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    return (images / _FOLDER / name).read_bytes()
