"""Batch logs and the result cache in one SQLite file, behind one thread."""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

from slideloom.domain.batch import fold
from slideloom.domain.events import BatchFinished, BatchStarted, BatchSubmitted, Event
from slideloom.domain.status import BatchSummary, to_summary
from slideloom.errors import Fenced, StoreError
from slideloom.stores.base import CachedResult, Encoded, Page, encode_event
from slideloom.stores.lock import FolderLock
from slideloom.stores.results import find_results, forget_results, put_result
from slideloom.stores.schema import open_database
from slideloom.stores.thread import DatabaseThread

_CACHE_MAX_BYTES = 50 * 1024**3
"""Pictures the result cache points at, unless the caller says: some 20 000 of 2.5 MB."""

_T = TypeVar("_T")
_decoder: Final = msgspec.json.Decoder(Event)


class SqliteBatchStore:
    """A `BatchStore` and a `ResultCache` in one SQLite file (WAL, every commit synced)."""

    def __init__(
        self, connection: sqlite3.Connection, lock: FolderLock, *, cache_max_bytes: int
    ) -> None:
        self._lock = lock
        self._cache_max_bytes = cache_max_bytes
        self._thread = DatabaseThread(connection)

    @classmethod
    async def open(cls, path: Path, *, cache_max_bytes: int = _CACHE_MAX_BYTES) -> Self:
        """Open or create the file; an older one is migrated.

        The result cache's entries point at `cache_max_bytes` of pictures at most.

        Raises:
            StoreUnusable: not a database, damaged, of a newer version, or not writable.
        """
        connection, lock = await asyncio.to_thread(open_database, path)
        return cls(connection, lock, cache_max_bytes=cache_max_bytes)

    async def close(self) -> None:
        """Finish what was asked, then close the file."""
        await self._thread.close()
        self._lock.release()

    async def lease(self, batch_id: str) -> int:
        """See `BatchStore`."""
        return await self._ask(lambda db: _lease(db, batch_id))

    async def append(self, batch_id: str, epoch: int, events: Sequence[Event | Encoded]) -> int:
        """See `BatchStore`."""
        encoded = [encode_event(event) for event in events]
        return await self._ask(lambda db: _append(db, batch_id, epoch, encoded))

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

    async def find_many(self, keys: Collection[str], *, after_s: float) -> dict[str, CachedResult]:
        """See `ResultCache`."""
        asked = tuple(keys)  # the thread looks later
        return await self._ask(lambda db: find_results(db, asked, after_s=after_s))

    async def put(self, key: str, result: CachedResult) -> None:
        """See `ResultCache`."""
        body, max_bytes = msgspec.json.encode(result), self._cache_max_bytes
        await self._ask(lambda db: put_result(db, key, result, body, max_bytes=max_bytes))

    async def forget_results(self, *, before_s: float) -> int:
        """See `ResultCache`."""
        return await self._ask(lambda db: forget_results(db, before_s=before_s))

    async def _ask(self, command: Callable[[sqlite3.Connection], _T]) -> _T:
        return await self._thread.ask(command)


def _lease(db: sqlite3.Connection, batch_id: str) -> int:
    row = db.execute(
        "insert into batch (id, epoch, created_at_s) values (?, 1, 0)"
        " on conflict (id) do update set epoch = epoch + 1 returning epoch",
        (batch_id,),
    ).fetchone()
    return int(row[0])


def _append(db: sqlite3.Connection, batch_id: str, epoch: int, encoded: Sequence[Encoded]) -> int:
    row = db.execute("select epoch from batch where id = ?", (batch_id,)).fetchone()
    if row is None or row[0] != epoch:
        raise Fenced(batch_id, epoch)
    seq: int = db.execute(
        "select coalesce(max(seq), 0) from event where batch = ?", (batch_id,)
    ).fetchone()[0]
    db.executemany(
        "insert into event (batch, seq, body) values (?, ?, ?)",
        [(batch_id, seq + n, one.body) for n, one in enumerate(encoded, start=1)],
    )
    events = [one.event for one in encoded]
    if any(isinstance(event, BatchSubmitted | BatchStarted | BatchFinished) for event in events):
        _index(db, batch_id, events)
    return seq + len(encoded)


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
