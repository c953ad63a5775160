"""Who may use a folder: one process, or any number who have agreed to share it."""

import fcntl
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Self

from slideloom.errors import StoreUnusable

_NAME = ".slideloom.lock"
_SHARE_S = 3.0
"""For the others, who only sweep what a crash left."""
_AGAIN_S = 0.02


class FolderLock:
    """Held from `take` until `release`, or until the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = (folder / _NAME).open("ab")

    @classmethod
    def take(cls, folder: Path, *, shared: bool = False) -> Self:
        """Lock `folder`, which is made if need be; when `shared`, others may do so too.

        Raises:
            StoreUnusable: another process holds it, and not shared.
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        lock = cls(folder)
        if shared:
            lock.share()
        elif not lock.is_alone():
            lock._refuse()
        return lock

    @classmethod
    def take_new(cls, parent: Path) -> tuple[Path, Self]:
        """A new folder below `parent`, locked; those whose process is gone are removed.

        Raises:
            OSError: the folder cannot be written.
        """
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / _NAME).open("ab") as door:
            fcntl.flock(door, fcntl.LOCK_EX)  # nobody sweeps what is not locked yet
            for left in parent.glob("*/"):
                with suppress(StoreUnusable):
                    lock = cls.take(left)
                    shutil.rmtree(left)
                    lock.release()
            own = parent / uuid.uuid4().hex
            return own, cls.take(own)

    def is_alone(self) -> bool:
        """Whether nobody else holds the folder; then nobody comes in. Else `share` it again."""
        return self._try(fcntl.LOCK_EX)

    def share(self) -> None:
        """Hold it with others; blocks while one of them sees whether it is alone.

        Raises:
            StoreUnusable: as `take`.
        """
        until_s = time.monotonic() + _SHARE_S
        while not self._try(fcntl.LOCK_SH):
            if time.monotonic() > until_s:
                self._refuse()
            time.sleep(_AGAIN_S)

    def _refuse(self) -> NoReturn:
        self.release()
        message = f"the folder {self._folder} is in use by another Slideloom"
        raise StoreUnusable(message)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let others in."""
        self._file.close()
