"""The database file: its versions, and what is done to an older one."""

import itertools
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from slideloom.domain.batch import fold
from slideloom.domain.events import BatchFinished
from slideloom.errors import StoreUnusable
from slideloom.stores import schema
from slideloom.stores.sqlite import SqliteBatchStore
from tests.support.disks import need_strace

VERSION_1 = Path(__file__).parents[1] / "data" / "store-v1.sqlite3"
"""Two finished batches of two slides, written by the first version of this service."""

VERSION_2 = VERSION_1.with_name("store-v2.sqlite3")
"""One finished batch, one in the middle of a paid call, and a result in the cache."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(VERSION_1, tmp_path / "store.sqlite3"))


def ask(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def tables(path: Path) -> list[Any]:
    return ask(path, "select type, name, sql from sqlite_master order by type, name")


async def test_file_of_version_1_is_migrated_with_everything_in_it(old: Path) -> None:
    assert ask(old, "pragma user_version") == [(1,)]
    store = await SqliteBatchStore.open(old)
    page = await store.list_batches(limit=9)
    assert [line.batch_id for line in page.batches] == ["batch_b", "batch_a"]
    for name in ("batch_a", "batch_b"):
        log = await store.read(name)
        assert isinstance(log[-1], BatchFinished)
        state = fold(name, log)
        assert [slide.status for slide in state.slides] == ["done", "error"]
        assert state.slides[0].versions[0].width == 1376
    assert await store.find_many(["k"], after_s=0) == {}
    await store.close()
    assert ask(old, "pragma user_version") == [(schema.SCHEMA_VERSION,)]
    await (await SqliteBatchStore.open(old)).close()  # and once more, with nothing to do


async def test_file_of_version_2_is_migrated_with_everything_in_it(tmp_path: Path) -> None:
    path = Path(shutil.copy(VERSION_2, tmp_path / "store.sqlite3"))
    store = await SqliteBatchStore.open(path)
    assert await store.find_unfinished() == ["batch_b"]
    ended = fold("batch_a", await store.read("batch_a"))
    assert (ended.status, ended.slides[0].cost_usd) == ("completed", 0.04)
    cut_off = fold("batch_b", await store.read("batch_b"))
    assert cut_off.slides[1].in_flight_bills
    assert (await store.find_many(["k"], after_s=0))["k"].width == 1376
    assert [line.batch_id for line in (await store.list_batches(limit=9)).batches] == [
        "batch_b",
        "batch_a",
    ]
    await store.close()
    assert ask(path, "pragma user_version") == [(schema.SCHEMA_VERSION,)]


async def test_file_whose_pages_are_damaged_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = Path(shutil.copy(VERSION_2, tmp_path / "store.sqlite3"))
    body = bytearray(path.read_bytes())
    for page in range(1, len(body) // 4096):
        body[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(body)
    with pytest.raises(StoreUnusable, match=r"damaged|cannot be opened"):
        await SqliteBatchStore.open(path)
    assert path.read_bytes() == bytes(body)


async def test_migrated_file_is_like_a_new_one(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new" / "store.sqlite3"
    for path in (old, new):
        await (await SqliteBatchStore.open(path)).close()
    assert tables(old) == tables(new)


async def test_migration_that_fails_half_way_leaves_version_1_whole(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tables(old), ask(old, "select * from event")
    with monkeypatch.context() as patch:
        broken = f"{schema.MIGRATIONS[2]} select * from nowhere;"  # noqa: S608 - ours
        patch.setitem(schema.MIGRATIONS, 2, broken)
        with pytest.raises(StoreUnusable, match="nowhere"):
            await SqliteBatchStore.open(old)
    assert ask(old, "pragma user_version") == [(1,)]
    assert (tables(old), ask(old, "select * from event")) == before
    await (await SqliteBatchStore.open(old)).close()


_DIES = """
import os, sqlite3, sys
from pathlib import Path
from slideloom.stores import schema

class Connection(sqlite3.Connection):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.create_function("die", 0, lambda: os._exit(9))

real = sqlite3.connect
sqlite3.connect = lambda *arguments, **options: real(*arguments, **options, factory=Connection)
schema.MIGRATIONS[2] += sys.argv[2]
schema.open_database(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("dies", ["select die();", "pragma user_version = 2; select die();"])
async def test_crash_in_the_middle_of_a_migration_leaves_version_1_whole(
    old: Path, dies: str
) -> None:
    child = subprocess.run([sys.executable, "-c", _DIES, str(old), dies], check=False)
    assert child.returncode == 9
    assert ask(old, "pragma user_version") == [(1,)]
    assert len(ask(old, "select * from sqlite_master where name like 'result%'")) == 0
    store = await SqliteBatchStore.open(old)
    assert len((await store.list_batches(limit=9)).batches) == 2
    await store.close()


_OPENS = """
import sys
from pathlib import Path
from slideloom.stores.schema import open_database

open_database(Path(sys.argv[1]))
"""


def is_killed(path: Path, calls: str, nth: int) -> bool:
    """Whether opening the file, which migrates it, was killed at the n-th of the system calls."""
    inject = ("-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={nth}")
    opening = (sys.executable, "-c", _OPENS, str(path))
    return subprocess.run(["strace", "-f", "-qq", *inject, *opening], check=False).returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "calls"),
    [
        (2, "fdatasync"),
        *(
            pytest.param(version, calls, marks=pytest.mark.long)
            for version in (1, 2)
            for calls in ("pwrite64", "fdatasync", "ftruncate", "unlink,unlinkat")
            if (version, calls) != (2, "fdatasync")
        ),
    ],
)
async def test_migration_killed_at_any_system_call_leaves_one_version_whole(
    tmp_path: Path, version: int, calls: str
) -> None:
    need_strace()
    source = VERSION_1 if version == 1 else VERSION_2
    logged = "select * from event order by batch, seq"
    for nth in itertools.count(1):
        (tmp_path / f"{nth}").mkdir()
        path = Path(shutil.copy(source, tmp_path / f"{nth}" / "store.sqlite3"))
        killed = is_killed(path, calls, nth)
        seen = Path(shutil.copytree(path.parent, tmp_path / f"{nth} as it lies")) / path.name
        assert ask(seen, "pragma user_version") in ([(version,)], [(schema.SCHEMA_VERSION,)])
        assert ask(seen, logged) == ask(source, logged)
        await (await SqliteBatchStore.open(path)).close()
        assert ask(path, "pragma user_version") == [(schema.SCHEMA_VERSION,)]
        assert ask(path, logged) == ask(source, logged)
        if not killed:
            break
    assert nth > 2, "it was killed, and then it was not"


async def test_refused_file_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    path.write_bytes(b"not a database, surely not" * 50)
    with pytest.raises(StoreUnusable):
        await SqliteBatchStore.open(path)
    path.unlink()
    await (await SqliteBatchStore.open(path)).close()


@pytest.mark.parametrize(
    "content", [b"not a database, surely not" * 50, b"SQLite format 3\0" + b"x" * 500]
)
async def test_damaged_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.sqlite3"
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        await SqliteBatchStore.open(path)
    assert path.read_bytes() == content


async def test_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("create table later (thing)")
        db.execute("pragma user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="newer version"):
        await SqliteBatchStore.open(path)
    assert path.read_bytes() == before


async def test_first_start_that_was_killed_in_the_middle_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    dying = (
        "import os, signal, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('create table t (x)')\n"
        "db.execute('pragma cache_size = 1')\n"
        "db.execute('begin immediate')\n"
        "for _ in range(200): db.execute('insert into t values (randomblob(4000))')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", dying, str(path)], check=False)
    assert path.with_name(f"{path.name}-journal").stat().st_size
    await (await SqliteBatchStore.open(path)).close()
