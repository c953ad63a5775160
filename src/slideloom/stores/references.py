"""Style references in a folder of their own, named by what they hold; blocking."""

import uuid
from pathlib import Path

from slideloom.stores.drafts import PART_PREFIX, publish, sync_folder
from slideloom.stores.names import REFERENCES, name_reference


def prepare_references(images: Path) -> None:
    """Sweep what a crash left half-written."""
    for leftover in (images / REFERENCES).glob(f"{PART_PREFIX}*"):
        leftover.unlink(missing_ok=True)


def keep_reference(images: Path, data: bytes) -> str:
    """Keep `data` durably; its name.

    Raises:
        NotAPicture: it is not a whole picture.
        OSError: the disk did not take it.
    """
    folder, name = images / REFERENCES, name_reference(data)
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
    return (images / REFERENCES / name).read_bytes()
