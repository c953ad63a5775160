"""The tables of the database file, and how an older file becomes one of today."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from slideloom.errors import StoreUnusable
from slideloom.stores.lock import FolderLock

_BATCHES = """
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
# The triggers keep the sum: it is right after every rollback, and no put has to add up the table.
_RESULTS = """
create table result (
    key text primary key,
    made_at_s real not null,
    size_bytes integer not null,
    body blob not null
) without rowid;
create index result_by_age on result (made_at_s);
create table result_total (size_bytes integer not null);
insert into result_total values (0);
create trigger result_added after insert on result begin
    update result_total set size_bytes = size_bytes + new.size_bytes;
end;
create trigger result_changed after update of size_bytes on result begin
    update result_total set size_bytes = size_bytes + new.size_bytes - old.size_bytes;
end;
create trigger result_dropped after delete on result begin
    update result_total set size_bytes = size_bytes - old.size_bytes;
end;
"""
# Earlier versions leased a batch before they wrote its order: a crash left a bare line.
_KEYS = """
delete from batch where summary is null;
create table once (
    key text primary key,
    digest text not null,
    batch text not null,
    until_s real not null
) without rowid;
create index once_by_end on once (until_s);
create index batch_unfinished on batch (created_at_s) where finished_at_s is null;
create index batch_by_end on batch (finished_at_s) where finished_at_s is not null;
"""
_OWNERS = """
alter table batch add column owner text not null default '';
create index batch_by_owner on batch (owner, created_at_s desc, id desc);
create table spending (
    owner text not null,
    day text not null,
    usd real not null,
    primary key (owner, day)
) without rowid;
"""
MIGRATIONS: Final = {1: _BATCHES, 2: _RESULTS, 3: _KEYS, 4: _OWNERS}
"""What makes version n of version n - 1; a new file goes through all of them."""
SCHEMA_VERSION: Final = max(MIGRATIONS)
"""Of the file; a newer file is refused, an older one migrated forward."""


def open_database(path: Path) -> tuple[sqlite3.Connection, FolderLock]:
    """The file, opened or created, of today's version; and the lock on its folder.

    Raises:
        StoreUnusable: not a database, damaged, of a newer version, in use, or not writable.
    """
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
    db = None
    try:
        _refuse_unusable(path)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        _prepare(db)
    except (sqlite3.Error, OSError, UnicodeDecodeError, StoreUnusable) as error:
        if db is not None:
            db.close()  # takes back a migration that broke off
        if isinstance(error, StoreUnusable):
            raise
        message = f"the batch store {path} cannot be opened: {error}"
        raise StoreUnusable(message) from error
    return db


def _prepare(db: sqlite3.Connection) -> None:
    version: int = db.execute("pragma user_version").fetchone()[0]
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    db.execute("pragma busy_timeout = 5000")
    _migrate(db, version)


def _refuse_unusable(path: Path) -> None:
    """Before anything is written: a connection that may write takes the log in as it closes."""
    if path.exists():
        # What a crash left in a rollback journal, only who may write can take back.
        mode = "rw" if path.with_name(f"{path.name}-journal").exists() else "ro"
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)) as db:
            db.text_factory = lambda text: text.decode(errors="replace")  # names may be damaged
            _check_usable(db, path)


def _check_usable(db: sqlite3.Connection, path: Path) -> None:
    version: int = db.execute("pragma user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        message = f"{path} is of a newer version of Slideloom (schema {version}); left as it is"
        raise StoreUnusable(message)
    found: str = db.execute("pragma quick_check(1)").fetchone()[0]
    if found != "ok":
        message = (
            f"{path} is damaged ({' '.join(found.split())}); left as it is: restore a copy of it"
        )
        raise StoreUnusable(message)


def _migrate(db: sqlite3.Connection, version: int) -> None:
    """All steps in one transaction: a crash leaves the old version whole."""
    steps = "".join(MIGRATIONS[step] for step in range(version + 1, SCHEMA_VERSION + 1))
    if steps:
        db.executescript(
            f"begin immediate; {steps} pragma user_version = {SCHEMA_VERSION}; commit;"
        )
