"""The result cache's commands, to be run on the database's thread.

The sum of the sizes stands in a table of its own (see `schema`), and the oldest
entry at the front of an index: a put costs the same however full the cache is.
"""

import sqlite3
from collections.abc import Collection

from slideloom.stores.base import CachedResult, decode_result


def put_result(
    db: sqlite3.Connection, key: str, result: CachedResult, body: bytes, *, max_bytes: int
) -> None:
    """Write `result`, whose encoding is `body`, then drop the oldest beyond `max_bytes`."""
    db.execute(
        "insert into result (key, made_at_s, size_bytes, body) values (?, ?, ?, ?)"
        " on conflict (key) do update set made_at_s = excluded.made_at_s,"
        " size_bytes = excluded.size_bytes, body = excluded.body"
        " where excluded.made_at_s >= made_at_s",
        (key, result.made_at_s, result.size_bytes, body),
    )
    while _total_bytes(db) > max_bytes and _drop_oldest(db):
        pass


def find_results(
    db: sqlite3.Connection, keys: Collection[str], *, after_s: float
) -> dict[str, CachedResult]:
    """What stands under `keys`; what an earlier version wrote differently is not there."""
    found = {}
    for key in keys:
        row = db.execute(
            "select body from result where key = ? and made_at_s >= ?", (key, after_s)
        ).fetchone()
        if row is not None and (result := decode_result(row[0])) is not None:
            found[key] = result
    return found


def forget_results(db: sqlite3.Connection, *, before_s: float) -> int:
    """Drop the entries made before that time; how many."""
    return db.execute("delete from result where made_at_s < ?", (before_s,)).rowcount


def _total_bytes(db: sqlite3.Connection) -> int:
    return int(db.execute("select size_bytes from result_total").fetchone()[0])


def _drop_oldest(db: sqlite3.Connection) -> bool:
    """Drop one entry; whether there was any."""
    oldest = "select key from result order by made_at_s limit 1"
    return db.execute(f"delete from result where key = ({oldest})").rowcount > 0  # noqa: S608 - a constant
