"""Batch logs and the result cache in one SQLite file, behind one thread."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from slideloom.domain.batch import fold
from slideloom.domain.events import (
    BatchSubmitted,
    Event,
    SlideDone,
    SlideFailed,
    SlideRetrying,
    SlideStarted,
)
from slideloom.domain.keys import OnceKey
from slideloom.domain.status import BatchSummary, to_summary
from slideloom.errors import Fenced, KeyReused, LogMoved, StoreError, UnknownBatch
from slideloom.stores.base import CachedResult, Encoded, Page, decode_log, encode_event
from slideloom.stores.cursor import parse_cursor, to_cursor
from slideloom.stores.lock import FolderLock
from slideloom.stores.results import find_results, forget_results, put_result
from slideloom.stores.schema import open_database
from slideloom.stores.spending import add_cost, find_cost
from slideloom.stores.thread import DatabaseThread, write_nothing

_CACHE_MAX_BYTES = 50 * 1024**3
"""Pictures the result cache points at, unless the caller says: some 20 000 of 2.5 MB."""

_T = TypeVar("_T")
_NOT_INDEXED = (SlideStarted, SlideRetrying, SlideDone, SlideFailed)
"""What happens too often for it; the batch's start and end tell of it."""


class SqliteBatchStore:
    """A `BatchStore`, a `ResultCache` and a `SpendingBook` in one SQLite file.

    In WAL mode, and every commit is synced.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        lock: FolderLock,
        *,
        cache_max_bytes: int,
        check: Callable[[], None],
    ) -> None:
        self._lock = lock
        self._cache_max_bytes = cache_max_bytes
        self._thread = DatabaseThread(connection, check=check)

    @classmethod
    async def open(cls, path: Path, *, cache_max_bytes: int = _CACHE_MAX_BYTES) -> Self:
        """Open or create the file; an older one is migrated.

        The result cache's entries point at `cache_max_bytes` of pictures at most.

        Raises:
            StoreUnusable: not a database, damaged, of a newer version, or not writable.
        """
        connection, lock = await asyncio.to_thread(open_database, path)
        return cls(connection, lock, cache_max_bytes=cache_max_bytes, check=_same_file(path))

    async def close(self) -> None:
        """Finish what was asked, then close the file."""
        await self._thread.close()
        self._lock.release()

    async def create(
        self, batch_id: str, submitted: BatchSubmitted, *, key: OnceKey | None = None
    ) -> str:
        """See `BatchStore`."""
        first, owner = encode_event(submitted), submitted.order.owner
        return await self._ask(lambda db: _create(db, batch_id, first, key, owner=owner))

    async def lease(self, batch_id: str) -> int:
        """See `BatchStore`."""
        return await self._ask(lambda db: _lease(db, batch_id))

    async def append(
        self,
        batch_id: str,
        epoch: int | None,
        events: Sequence[Event | Encoded],
        *,
        at: int | None = None,
    ) -> int:
        """See `BatchStore`."""
        encoded = [encode_event(event) for event in events]
        return await self._ask(lambda db: _append(db, batch_id, epoch, encoded, at=at))

    async def read(self, batch_id: str, *, after: int = 0) -> list[Event]:
        """See `BatchStore`."""
        return decode_log(batch_id, await self._ask(lambda db: _read(db, batch_id, after)))

    async def list_batches(
        self, *, limit: int, cursor: str | None = None, owner: str | None = None
    ) -> Page:
        """See `BatchStore`."""
        created_at_s, last_id = parse_cursor(cursor)
        whose, names = _of(owner)
        rows = await self._ask(
            lambda db: db.execute(
                f"select id, created_at_s, summary from batch where {whose}"  # noqa: S608 - a constant
                " and summary is not null and (created_at_s, id) < (?, ?)"
                " order by created_at_s desc, id desc limit ?",
                (*names, created_at_s, last_id, limit + 1),
            ).fetchall()
        )
        shown = rows[:limit]
        return Page(
            batches=tuple(filter(None, (_read_summary(row[2]) for row in shown))),
            next_cursor=to_cursor(shown[-1][1], shown[-1][0]) if len(rows) > limit else None,
        )

    async def find_unfinished(self) -> list[str]:
        """See `BatchStore`."""
        rows = await self._ask(
            lambda db: db.execute(
                "select id from batch where finished_at_s is null order by created_at_s"
            ).fetchall()
        )
        return [row[0] for row in rows]

    async def count_active(self, *, owner: str | None = None) -> int:
        """See `BatchStore`."""
        whose, names = _of(owner)
        query = (
            f"select count(*) from batch where {whose}"  # noqa: S608 - a constant
            " and finished_at_s is null and summary is not null"
        )
        return int((await self._ask(lambda db: db.execute(query, names).fetchone()))[0])

    async def find_named(self, key: OnceKey, *, now_s: float) -> str | None:
        """See `BatchStore`."""
        return await self._ask(lambda db: _find_taken(db, key, now_s=now_s))

    async def add_cost(
        self, owner: str, day: str, cost_usd: float, *, limit_usd: float | None = None
    ) -> bool:
        """See `SpendingBook`."""
        return await self._ask(lambda db: add_cost(db, owner, day, cost_usd, limit_usd=limit_usd))

    async def find_cost(self, owner: str, day: str) -> float:
        """See `SpendingBook`."""
        return await self._ask(lambda db: find_cost(db, owner, day))

    async def forget_finished(self, *, before_s: float, now_s: float) -> int:
        """See `BatchStore`."""
        return await self._ask(lambda db: _forget_finished(db, before_s, now_s))

    async def check(self) -> None:
        """See `BatchStore`."""
        await self._ask(write_nothing)

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


def _same_file(path: Path) -> Callable[[], None]:
    """A check that the file is still the one opened just now: else all that is written is lost."""
    opened = path.stat()

    def check() -> None:
        if not path.exists() or not os.path.samestat(path.stat(), opened):
            message = f"the database {path} was removed or replaced while it was in use"
            raise StoreError(message)

    return check


def _of(owner: str | None) -> tuple[str, tuple[str, ...]]:
    """The condition on an owner's batches, and what stands for its question mark."""
    return ("true", ()) if owner is None else ("owner = ?", (owner,))


def _create(
    db: sqlite3.Connection, batch_id: str, first: Encoded, key: OnceKey | None, *, owner: str
) -> str:
    if key is not None:
        taken = _find_taken(db, key, now_s=first.event.at_s)
        if taken is not None:
            return taken
        db.execute(
            "insert or replace into once (key, digest, batch, until_s) values (?, ?, ?, ?)",
            (key.text, key.digest, batch_id, key.until_s),
        )
    db.execute(
        "insert into batch (id, epoch, created_at_s, owner) values (?, 1, ?, ?)",
        (batch_id, first.event.at_s, owner),
    )
    _append(db, batch_id, 1, [first])
    return batch_id


def _find_taken(db: sqlite3.Connection, key: OnceKey, *, now_s: float) -> str | None:
    """The batch that the key stands for."""
    row = db.execute(
        "select digest, batch from once where key = ? and until_s > ?", (key.text, now_s)
    ).fetchone()
    if row is None:
        return None
    if row[0] != key.digest:
        raise KeyReused(key.text)
    return str(row[1])


def _lease(db: sqlite3.Connection, batch_id: str) -> int:
    row = db.execute(
        "update batch set epoch = epoch + 1 where id = ? returning epoch", (batch_id,)
    ).fetchone()
    if row is None:
        raise UnknownBatch(batch_id)
    return int(row[0])


def _append(
    db: sqlite3.Connection,
    batch_id: str,
    epoch: int | None,
    encoded: Sequence[Encoded],
    *,
    at: int | None = None,
) -> int:
    row = db.execute("select epoch from batch where id = ?", (batch_id,)).fetchone()
    if row is None or epoch not in {None, row[0]}:
        raise Fenced(batch_id, epoch)
    seq: int = db.execute(
        "select coalesce(max(seq), 0) from event where batch = ?", (batch_id,)
    ).fetchone()[0]
    if at not in {None, seq}:
        raise LogMoved(batch_id, at or 0)
    db.executemany(
        "insert into event (batch, seq, body) values (?, ?, ?)",
        [(batch_id, seq + n, one.body) for n, one in enumerate(encoded, start=1)],
    )
    if not all(isinstance(one.event, _NOT_INDEXED) for one in encoded):
        _index(db, batch_id)
    return seq + len(encoded)


def _index(db: sqlite3.Connection, batch_id: str) -> None:
    """Renew the batch's line in the index."""
    state = fold(batch_id, decode_log(batch_id, _read(db, batch_id, 0)))
    summary = None if state.order.is_single else msgspec.json.encode(to_summary(state))
    db.execute(
        "update batch set finished_at_s = ?, summary = ? where id = ?",
        (state.latest_at_s if state.is_final else None, summary, batch_id),
    )


def _read(db: sqlite3.Connection, batch_id: str, after: int) -> list[bytes]:
    rows = db.execute(
        "select body from event where batch = ? and seq > ? order by seq", (batch_id, after)
    )
    return [row[0] for row in rows]


def _forget_finished(db: sqlite3.Connection, before_s: float, now_s: float) -> int:
    db.execute("delete from once where until_s <= ?", (now_s,))
    old = "select id from batch where finished_at_s < ? and id not in (select batch from once)"
    db.execute(f"delete from event where batch in ({old})", (before_s,))  # noqa: S608 - a constant
    return db.execute(f"delete from batch where id in ({old})", (before_s,)).rowcount  # noqa: S608 - as above


def _read_summary(body: bytes) -> BatchSummary | None:
    """A line of the index; one that is damaged hides no other."""
    try:
        return msgspec.json.decode(body, type=BatchSummary)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
