"""One process a folder: two services over the same files would destroy each other's work."""

import fcntl
from pathlib import Path
from typing import Self

from slideloom.errors import StoreUnusable


class FolderLock:
    """Held from `take` until `release`, or until the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Lock `folder`, which is made if need be.

        Raises:
            StoreUnusable: another process holds it.
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        lock = cls(folder / ".slideloom.lock")
        try:
            fcntl.flock(lock._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.release()
            message = f"the folder {folder} is in use by another Slideloom"
            raise StoreUnusable(message) from error
        return lock

    def release(self) -> None:
        """Let others in."""
        self._file.close()
