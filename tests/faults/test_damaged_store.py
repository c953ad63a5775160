"""A store that cannot be used is refused in one sentence and left as it is, byte for byte."""

import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from slideloom.domain.batch import fold
from slideloom.domain.status import BatchSummary, to_summary
from slideloom.errors import StoreError, StoreUnusable
from slideloom.stores.sqlite import SqliteBatchStore
from tests.faults.shop import refuse_start
from tests.support.service import running_service

_STORE = Path(__file__).parents[1] / "data" / "store-v2.sqlite3"
"""One batch that has ended (`batch_a`), one in the middle of a paid call (`batch_b`)."""
_SEED = 605
_KEEP = {"BATCH_CLEANUP_HOURS": 10**6}
"""The stored batches are of 1970."""
_DECK = {"slides": [{"title": "x"}], "style_prompt": ""}
_PAGE = 4096

Damage = Callable[[Path], object]


def sums(folder: Path) -> dict[str, str]:
    """What every file holds but for the lock, and the index SQLite makes anew at each start."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]
    files = [path for path in files if not path.name.endswith("-shm")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def copy_store(folder: Path) -> Path:
    """A whole store where the service looks for it."""
    path = folder / "data" / "slideloom.sqlite3"
    path.parent.mkdir(parents=True)
    return Path(shutil.copy(_STORE, path))


def wal(path: Path) -> Path:
    """The log that SQLite keeps beside a database."""
    return path.with_name(path.name + "-wal")


def run_sql(command: str, *arguments: str | bytes) -> Damage:
    """Change the store by hand."""

    def change(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(command, arguments)

    return change


def crash_newer_version(path: Path) -> None:
    """What a newer version that was killed leaves: its last commits are in the log alone."""
    code = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('pragma journal_mode = wal'); db.execute('pragma user_version = 99');"
        "db.execute('create table things (name text)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert wal(path).stat().st_size > _PAGE


def put_folder_in_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite_page(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // _PAGE * _PAGE)
        file.write(random.Random(_SEED).randbytes(_PAGE))


UNUSABLE: dict[str, tuple[Damage, str]] = {
    "random page": (overwrite_page, "damaged"),
    "cut in half": (cut, "malformed"),
    "no database": (lambda path: path.write_bytes(b"hello, world " * 1000), "not a database"),
    "folder": (put_folder_in_place, "cannot be opened"),
    "folder as log": (lambda path: wal(path).mkdir(), "cannot be opened"),
    "newer": (run_sql("pragma user_version = 99"), "newer version"),
    "newer, crashed": (crash_newer_version, "newer version"),
    "no tables": (run_sql("drop table batch"), "no such table"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
async def test_unusable_store_is_refused_in_one_sentence_and_not_touched(
    tmp_path: Path, kind: str
) -> None:
    damage, words = UNUSABLE[kind]
    path = copy_store(tmp_path)
    damage(path)
    before = sums(path.parent)
    with pytest.raises(StoreUnusable, match=words) as refusal:
        await SqliteBatchStore.open(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    # SQLite may put an empty log and its index beside a file it has only read.
    assert {**sums(path.parent), **before} == sums(path.parent)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("kind", UNUSABLE)
def test_service_over_an_unusable_store_gives_up_with_one_line(tmp_path: Path, kind: str) -> None:
    damage, words = UNUSABLE[kind]
    path = copy_store(tmp_path)
    damage(path)
    before = sums(path.parent)
    assert words in refuse_start(tmp_path)
    assert {**sums(path.parent), **before} == sums(path.parent)


def change_log(old: str, new: str) -> Damage:
    """Put `new` for `old` in everything that is recorded of the unfinished batch."""
    change = "update event set body = cast(replace(cast(body as text), ?, ?) as blob)"
    return run_sql(f"{change} where batch = 'batch_b'", old, new)


def put_event(seq: int, body: bytes) -> Damage:
    """Another event in the log of the unfinished batch."""
    change = f"update event set body = ? where batch = 'batch_b' and seq = {seq}"  # noqa: S608 - ours
    return run_sql(change, body)


_FAILED = (
    b'{"event":"slide.failed","at_s":1,"place":0,"error_code":"internal","error_detail":"\xff"}'
)
_RESTORED = b'{"event":"slide.restored","at_s":1,"place":0,"version":9}'
BROKEN: dict[str, Damage] = {
    "order gone": run_sql("delete from event where batch = 'batch_b' and seq = 1"),
    "order twice": run_sql(
        "update event set body = (select body from event where batch = 'batch_b' and seq = 1)"
        " where batch = 'batch_b' and seq = 2"
    ),
    "no JSON": put_event(3, b"{"),
    "no text": put_event(3, _FAILED),
    "unknown event": change_log("slide.", "page."),
    "slide that is not there": change_log('"place":0', '"place":77'),
    "ratio that is none": change_log("16:9", "wide"),
    "version that is not there": put_event(5, _RESTORED),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BROKEN)
async def test_batch_whose_record_is_broken_keeps_no_other_from_being_served(
    tmp_path: Path, kind: str
) -> None:
    path = copy_store(tmp_path)
    BROKEN[kind](path)
    async with running_service(tmp_path, **_KEEP) as service:
        status, whole, _ = await service.get("/api/slide/batch/batch_a")
        assert (status, whole["successful"]) == (200, 1)
        assert (await service.get("/readyz"))[0] == 200
        status, listed, _ = await service.get("/api/slide/batch")
        assert status == 200
        assert "batch_a" in [line["batch_id"] for line in listed["batches"]]
        status, problem, _ = await service.get("/api/slide/batch/batch_b")
        assert status == 200 or (status, problem["code"]) == (500, "record_unreadable")
        status, made, _ = await service.post("/slide/batch/generate", _DECK)
        assert (status, made["successful"]) == (200, 1)


def damage_at_random(path: Path, dice: random.Random) -> None:
    """A few random bytes, or a whole sector of them, somewhere in the file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(dice.randint(1, 4)):
            file.seek(dice.randrange(size))
            file.write(dice.randbytes(dice.choice((1, 8, 512))))


@pytest.mark.slow
@pytest.mark.parametrize("times", [25, pytest.param(2000, marks=pytest.mark.long)])
async def test_store_damaged_anywhere_is_refused_untouched_or_answers_in_our_own_errors(
    tmp_path: Path, times: int
) -> None:
    dice = random.Random(_SEED)
    refused = 0
    for number in range(times):
        path = copy_store(tmp_path / str(number))
        damage_at_random(path, dice)
        before = sums(path.parent)
        try:
            store = await SqliteBatchStore.open(path)
        except StoreUnusable:
            refused += 1
            assert {**sums(path.parent), **before} == sums(path.parent)
            continue
        try:
            await ask_everything(store)
        finally:
            await store.close()
    assert 0 < refused < times


async def read_summary(store: SqliteBatchStore, batch_id: str) -> BatchSummary:
    """What the log says."""
    return to_summary(fold(batch_id, await store.read(batch_id)))


async def ask_everything(store: SqliteBatchStore) -> None:
    """Whatever the service asks: an answer, or a `StoreError`."""
    for asking in (
        store.find_unfinished(),
        store.list_batches(limit=9),
        read_summary(store, "batch_a"),
        read_summary(store, "batch_b"),
        store.find_many(["k"], after_s=0),
        store.lease("batch_b"),
    ):
        try:
            await asking
        except StoreError:
            continue


@pytest.mark.slow
async def test_broken_line_of_the_index_hides_no_other_batch(tmp_path: Path) -> None:
    path = copy_store(tmp_path)
    run_sql("update batch set summary = x'7b' where id = 'batch_a'")(path)
    async with running_service(tmp_path, **_KEEP) as service:
        assert (await service.get("/readyz"))[0] == 200
        status, listed, _ = await service.get("/api/slide/batch")
        assert status == 200
        assert "batch_b" in [line["batch_id"] for line in listed["batches"]]
        assert (await service.get("/api/slide/batch/batch_a"))[1]["successful"] == 1


LOGS: dict[str, Damage] = {
    "empty log": lambda path: wal(path).write_bytes(b""),
    "garbage in the log": lambda path: wal(path).write_bytes(random.Random(_SEED).randbytes(9000)),
    "empty file": lambda path: path.write_bytes(b""),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LOGS)
async def test_log_without_anything_in_it_is_no_damage(tmp_path: Path, kind: str) -> None:
    path = copy_store(tmp_path)
    LOGS[kind](path)
    async with running_service(tmp_path, **_KEEP) as service:
        status, listed, _ = await service.get("/api/slide/batch")
        assert status == 200
        assert len(listed["batches"]) == (0 if kind == "empty file" else 2)
        status, made, _ = await service.post("/slide/batch/generate", _DECK)
        assert made["successful"] == 1
