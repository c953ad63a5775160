"""Batch logs in one SQLite file, behind one thread.

Whatever is asked while the thread is busy becomes one transaction, and is
answered after its commit: fifty running batches share each sync to the disk.
"""

import asyncio
import contextlib
import queue
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import msgspec

from slideloom.domain.batch import fold
from slideloom.domain.events import BatchFinished, BatchStarted, BatchSubmitted, Event
from slideloom.domain.status import BatchSummary, to_summary
from slideloom.errors import Fenced, StoreError, StoreUnusable
from slideloom.stores.base import Page
from slideloom.stores.lock import FolderLock

SCHEMA_VERSION = 1
"""Of the file; a newer file is refused, an older one migrated forward."""
_GROUP = 256
"""Commands in one transaction, at most: bounds how long an answer waits."""
_SCHEMA = """
create table batch (
    id text primary key,
    epoch integer not null,
    created_at_s real not null,
    finished_at_s real,
    summary blob
) without rowid;
create index batch_by_age on batch (created_at_s desc, id desc);
create table event (
    batch text not null,
    seq integer not null,
    body blob not null,
    primary key (batch, seq)
) without rowid;
"""

_T = TypeVar("_T")
_Command = tuple[Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]"]
_decoder: Final = msgspec.json.Decoder(Event)


class SqliteBatchStore:
    """A `BatchStore` in one SQLite file (WAL, every commit synced)."""

    def __init__(self, connection: sqlite3.Connection, lock: FolderLock) -> None:
        self._connection = connection
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._commands: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="batch-store", daemon=True)
        self._thread.start()
        self._closed = False

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open or create the file.

        Raises:
            StoreUnusable: not a database, damaged, of a newer version, or not writable.
        """
        return cls(*await asyncio.to_thread(_open, path))

    async def close(self) -> None:
        """Finish what was asked, then close the file."""
        if not self._closed:
            self._closed = True
            self._commands.put(None)
            await asyncio.to_thread(self._thread.join)
            self._lock.release()

    async def lease(self, batch_id: str) -> int:
        """See `BatchStore`."""
        return await self._ask(lambda db: _lease(db, batch_id))

    async def append(self, batch_id: str, epoch: int, events: Sequence[Event]) -> int:
        """See `BatchStore`."""
        bodies = [msgspec.json.encode(event) for event in events]
        return await self._ask(lambda db: _append(db, batch_id, epoch, events, bodies))

    async def read(self, batch_id: str, *, after: int = 0) -> list[Event]:
        """See `BatchStore`."""
        bodies = await self._ask(lambda db: _read(db, batch_id, after))
        try:
            return [_decoder.decode(body) for body in bodies]
        except msgspec.DecodeError as error:
            message = f"the log of batch {batch_id} cannot be read: {error}"
            raise StoreError(message) from error

    async def list_batches(self, *, limit: int, cursor: str | None = None) -> Page:
        """See `BatchStore`."""
        created_at_s, last_id = _parse_cursor(cursor)
        rows = await self._ask(
            lambda db: db.execute(
                "select id, created_at_s, summary from batch"
                " where summary is not null and (created_at_s, id) < (?, ?)"
                " order by created_at_s desc, id desc limit ?",
                (created_at_s, last_id, limit + 1),
            ).fetchall()
        )
        shown = rows[:limit]
        return Page(
            batches=tuple(msgspec.json.decode(row[2], type=BatchSummary) for row in shown),
            next_cursor=f"{shown[-1][1]!r}_{shown[-1][0]}" if len(rows) > limit else None,
        )

    async def find_unfinished(self) -> list[str]:
        """See `BatchStore`."""
        rows = await self._ask(
            lambda db: db.execute(
                "select id from batch where finished_at_s is null order by created_at_s"
            ).fetchall()
        )
        return [row[0] for row in rows]

    async def forget_finished(self, *, before_s: float) -> int:
        """See `BatchStore`."""
        return await self._ask(lambda db: _forget_finished(db, before_s))

    async def _ask(self, command: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._closed:
            message = "the batch store is closed"
            raise StoreError(message)
        answer: asyncio.Future[_T] = self._loop.create_future()
        self._commands.put((command, answer))
        return await answer

    def _serve(self) -> None:
        """The thread: group what waits, run it, commit, answer."""
        while (first := self._commands.get()) is not None:
            group, ended = [first], False
            while len(group) < _GROUP and not ended and not self._commands.empty():
                following = self._commands.get()
                ended = following is None
                if following is not None:
                    group.append(following)
            answers = _run_group(self._connection, [command for command, _ in group])
            futures = [future for _, future in group]
            self._loop.call_soon_threadsafe(_deliver, futures, answers)
            if ended:
                break
        self._connection.close()


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
        with contextlib.suppress(sqlite3.Error):
            db.rollback()
        return [_to_store_error(error)] * len(commands)
    return answers


def _to_store_error(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    wrapped = StoreError(f"the batch store failed: {error}")
    wrapped.__cause__ = error
    return wrapped


def _open(path: Path) -> tuple[sqlite3.Connection, FolderLock]:
    try:
        lock = FolderLock.take(path.parent)
    except OSError as error:
        message = f"DATA_DIR={path.parent} cannot be written: {error.strerror}"
        raise StoreUnusable(message) from error
    try:
        return _connect(path), lock
    except StoreUnusable:
        lock.release()
        raise


def _connect(path: Path) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        version: int = db.execute("pragma user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            db.close()
            message = f"{path} is of a newer version of Slideloom (schema {version}); left as it is"
            raise StoreUnusable(message)
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute("pragma busy_timeout = 5000")
        if version == SCHEMA_VERSION:  # a crash between a lease and its order leaves a bare line
            db.execute("delete from batch where summary is null")
        if version == 0:
            db.executescript(f"begin; {_SCHEMA} pragma user_version = {SCHEMA_VERSION}; commit;")
    except (sqlite3.Error, OSError) as error:
        message = f"the batch store {path} cannot be opened: {error}"
        raise StoreUnusable(message) from error
    return db


def _lease(db: sqlite3.Connection, batch_id: str) -> int:
    row = db.execute(
        "insert into batch (id, epoch, created_at_s) values (?, 1, 0)"
        " on conflict (id) do update set epoch = epoch + 1 returning epoch",
        (batch_id,),
    ).fetchone()
    return int(row[0])


def _append(
    db: sqlite3.Connection, batch_id: str, epoch: int, events: Sequence[Event], bodies: list[bytes]
) -> int:
    row = db.execute("select epoch from batch where id = ?", (batch_id,)).fetchone()
    if row is None or row[0] != epoch:
        raise Fenced(batch_id, epoch)
    seq: int = db.execute(
        "select coalesce(max(seq), 0) from event where batch = ?", (batch_id,)
    ).fetchone()[0]
    db.executemany(
        "insert into event (batch, seq, body) values (?, ?, ?)",
        [(batch_id, seq + n, body) for n, body in enumerate(bodies, start=1)],
    )
    if any(isinstance(event, BatchSubmitted | BatchStarted | BatchFinished) for event in events):
        _index(db, batch_id, events)
    return seq + len(bodies)


def _index(db: sqlite3.Connection, batch_id: str, events: Sequence[Event]) -> None:
    """Renew the batch's line in the index: at its birth, at each start, and at its end."""
    log = (_decoder.decode(body) for body in _read(db, batch_id, 0))
    state = fold(batch_id, log)
    finished_at_s = events[-1].at_s if isinstance(events[-1], BatchFinished) else None
    db.execute(
        "update batch set created_at_s = ?, finished_at_s = ?, summary = ? where id = ?",
        (state.created_at_s, finished_at_s, msgspec.json.encode(to_summary(state)), batch_id),
    )


def _read(db: sqlite3.Connection, batch_id: str, after: int) -> list[bytes]:
    rows = db.execute(
        "select body from event where batch = ? and seq > ? order by seq", (batch_id, after)
    )
    return [row[0] for row in rows]


def _forget_finished(db: sqlite3.Connection, before_s: float) -> int:
    old = "select id from batch where finished_at_s < ?"
    db.execute(f"delete from event where batch in ({old})", (before_s,))  # noqa: S608 - a constant
    return db.execute("delete from batch where finished_at_s < ?", (before_s,)).rowcount


def _parse_cursor(cursor: str | None) -> tuple[float, str]:
    if cursor is None:
        return float("inf"), ""
    created_at_s, _, last_id = cursor.partition("_")
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", created_at_s) is None:
        message = f"not a cursor: {cursor[:40]!r}"
        raise ValueError(message)
    return float(created_at_s), last_id
