"""With this folder on `PYTHONPATH`, Python starts like this: nothing it writes is ever synced.

For the durability bench alone. Python imports a module of this name before anything else.
"""

import os
import sqlite3
from typing import Any

_connect = sqlite3.connect


class _UnsyncedConnection(sqlite3.Connection):
    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous = full", "synchronous = off"), *parameters)


def _connect_unsynced(*arguments: Any, **options: Any) -> sqlite3.Connection:
    return _connect(*arguments, factory=_UnsyncedConnection, **options)


def _skip(fd: Any) -> None:
    """Instead of a sync."""


os.fsync = os.fdatasync = _skip
sqlite3.connect = _connect_unsynced  # type: ignore[assignment]  # the service's own call alone
