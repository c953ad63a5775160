"""The table of what owners spend, a day."""

import sqlite3

from slideloom.domain.prices import ROUNDING_USD

_KEPT_DAYS = 2
"""A day's last calls may be settled on the next one."""


def find_cost(db: sqlite3.Connection, owner: str, day: str) -> float:
    """See `SpendingBook.find_cost`."""
    row = db.execute(
        "select usd from spending where owner = ? and day = ?", (owner, day)
    ).fetchone()
    return 0.0 if row is None else float(row[0])


def add_cost(
    db: sqlite3.Connection, owner: str, day: str, cost_usd: float, *, limit_usd: float | None
) -> bool:
    """See `SpendingBook.add_cost`."""
    spent_usd = find_cost(db, owner, day)
    if limit_usd is not None and (
        spent_usd >= limit_usd - ROUNDING_USD or spent_usd + cost_usd > limit_usd + ROUNDING_USD
    ):
        return False
    if not spent_usd:  # once a day
        db.execute("delete from spending where day < date(?, ?)", (day, f"-{_KEPT_DAYS} days"))
    db.execute(
        "insert or replace into spending (owner, day, usd) values (?, ?, ?)",
        (owner, day, spent_usd + cost_usd),
    )
    return True
