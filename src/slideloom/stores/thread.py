"""The one thread of a database.

Whatever is asked while the thread is busy becomes one transaction, and is
answered after its commit: fifty running batches share each sync to the disk.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from slideloom.errors import SlideloomError, StorageFull, StoreError

_GROUP = 256
"""Commands in one transaction, at most: bounds how long an answer waits."""

_NO_ROOM = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,  # also when too many files are open
    sqlite3.SQLITE_IOERR_WRITE,
}
"""The disk does not take it; the low byte of an error's code is its family."""

_T = TypeVar("_T")
_Command = tuple[Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]"]


class DatabaseThread:
    """Runs commands over one connection, which is its own from now on."""

    def __init__(
        self, connection: sqlite3.Connection, *, check: Callable[[], None] = lambda: None
    ) -> None:
        """Take the connection; `check` raises where nothing may be run over it any more."""
        self._connection = connection
        self._check = check
        self._loop = asyncio.get_running_loop()
        self._commands: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="batch-store", daemon=True)
        self._thread.start()
        self._closed = False

    async def ask(self, command: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `command` returns, once it is durable.

        Raises:
            StoreError: it failed, and nothing of it was written.
        """
        if self._closed:
            message = "the batch store is closed"
            raise StoreError(message)
        answer: asyncio.Future[_T] = self._loop.create_future()
        self._commands.put((command, answer))
        return await answer

    async def close(self) -> None:
        """Finish what was asked, then close the connection; it is closed on return."""
        if not self._closed:
            self._closed = True
            self._commands.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        """The thread: group what waits, run it, commit, answer."""
        while (first := self._commands.get()) is not None:
            group, ended = [first], False
            while len(group) < _GROUP and not ended and not self._commands.empty():
                following = self._commands.get()
                ended = following is None
                if following is not None:
                    group.append(following)
            answers = self._run([command for command, _ in group])
            futures = [future for _, future in group]
            self._loop.call_soon_threadsafe(_deliver, futures, answers)
            if ended:
                break
        self._connection.close()

    def _run(self, commands: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        try:
            self._check()
        except (OSError, StoreError) as error:
            return [_to_store_error(error)] * len(commands)
        return _run_group(self._connection, commands)


def _deliver(futures: list["asyncio.Future[Any]"], answers: list[Any]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():
            continue  # whoever asked was cancelled; the write stands
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _run_group(
    db: sqlite3.Connection, commands: list[Callable[[sqlite3.Connection], Any]]
) -> list[Any]:
    """Run the commands in one transaction; a failed one takes only its own writes back."""
    answers: list[Any] = []
    try:
        db.execute("begin immediate")
        for command in commands:
            db.execute("savepoint one")
            try:
                answers.append(command(db))
            except Exception as error:  # noqa: BLE001 - the thread outlives a bad command
                db.execute("rollback to one")
                answers.append(_to_store_error(error))
            db.execute("release one")
        db.execute("commit")
    except Exception as error:  # noqa: BLE001 - as above
        _take_back(db)
        return [_to_store_error(error)] * len(commands)
    return answers


def _take_back(db: sqlite3.Connection) -> None:
    """See that a crash does not bring back what failed.

    A commit whose sync failed lies whole in the log, and the next start would find it:
    another write, which changes nothing, takes its place.
    """
    with contextlib.suppress(sqlite3.Error):
        db.rollback()
        write_nothing(db)


def write_nothing(db: sqlite3.Connection) -> None:
    """Write, and change nothing."""
    version: int = db.execute("pragma user_version").fetchone()[0]
    db.execute(f"pragma user_version = {version}")


def _to_store_error(error: Exception) -> SlideloomError:
    if isinstance(error, SlideloomError):
        return error
    wrapped = StoreError(f"the batch store failed: {error}")
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)  # none where Python itself refuses
        if code in _NO_ROOM or code & 0xFF in _NO_ROOM:
            wrapped = StorageFull(f"the batch store cannot be written: {error}")
    wrapped.__cause__ = error
    return wrapped
