"""Session files on a real Redis server, written by several processes' parts."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from slideloom.domain.session import SessionDocument
from slideloom.engine.sessions import SessionFiles, open_session_files
from slideloom.errors import StoreError
from slideloom.logs import LogWriter, name_process, open_log
from slideloom.stores import redis_link
from slideloom.stores.redis_link import PREFIX, RedisLink
from slideloom.stores.redis_sessions import RedisSessions
from tests.support.redis_server import RedisServer, redis_server
from tests.support.session_writer import SESSION

pytestmark = pytest.mark.slow


@pytest.fixture
def prefix() -> str:
    return f"{uuid4().hex}:"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        yield server


@asynccontextmanager
async def opened(url: str, prefix: str = "p:") -> AsyncIterator[RedisSessions]:
    link = await RedisLink.open(url, max_connections=4, prefix=prefix)
    try:
        yield RedisSessions(link, retention_days=30, prefix=prefix)
    finally:
        await link.close()


@asynccontextmanager
async def process(
    url: str, folder: Path, prefix: str = "p:"
) -> AsyncIterator[tuple[LogWriter, SessionFiles]]:
    """What one process has: a log writer of its own, and the shelf."""
    writer = LogWriter(folder, retention_days=30, process=name_process("worker"))
    try:
        async with (
            opened(url, prefix) as shelf,
            open_session_files(writer, shelf, open_log(writer)) as files,
        ):
            yield writer, files
    finally:
        writer.close()


def document(number: int, *, run: int = 1, action: str = "slide_001") -> SessionDocument:
    return SessionDocument(SESSION, action, json.dumps({"n": number}).encode(), run)


async def put(shelf: RedisSessions, what: SessionDocument, token: str) -> str:
    return await shelf.put(what, token=token)


def numbers(files: dict[str, bytes]) -> list[int]:
    return sorted(json.loads(body)["n"] for body in files.values())


async def test_names_are_those_of_the_disk_and_no_two_the_same(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with opened(shared_redis.url, prefix) as shelf:
        for run in (1, 2, 3):
            assert await put(shelf, document(run), f"{run}") == document(0, run=run).name
        assert await put(shelf, document(4, run=2), "4") == document(0, run=4).name
        assert await put(shelf, document(5, run=9), "5") == document(0, run=9).name
        assert await put(shelf, document(9), "2") == document(0, run=2).name  # put before
        assert numbers(await shelf.read(SESSION)) == [1, 2, 3, 4, 5]
        assert await shelf.read(SESSION.replace("1", "2")) == {}


async def test_two_processes_that_write_the_same_action_at_once_get_names_of_their_own(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with (
        opened(shared_redis.url, prefix) as one,
        opened(shared_redis.url, prefix) as other,
    ):
        names = await asyncio.gather(
            *(
                shelf.put(document(number), token=f"{number}")
                for number, shelf in enumerate((one, other) * 50)
            )
        )
        assert set(names) == {document(0, run=run).name for run in range(1, 101)}
        assert numbers(await one.read(SESSION)) == list(range(100))


async def test_session_goes_when_nothing_was_added_for_as_long_as_logs_are_kept(
    shared_redis: RedisServer, prefix: str
) -> None:
    async with opened(shared_redis.url, prefix) as shelf, Redis.from_url(shared_redis.url) as admin:
        await put(shelf, document(1), "1")
        stem = f"{prefix}{{session:{SESSION}}}:"
        keys = {f"{stem}files".encode(), f"{stem}answers".encode()}
        assert set(await admin.keys(f"{prefix}*")) == keys
        await admin.expire(f"{stem}files", 5)
        await put(shelf, document(2), "2")
        assert await admin.ttl(f"{stem}files") == pytest.approx(30 * 86_400, abs=5)
        assert await admin.ttl(f"{stem}answers") == pytest.approx(86_400, abs=5)


async def test_damaged_file_is_a_store_error(shared_redis: RedisServer, prefix: str) -> None:
    async with opened(shared_redis.url, prefix) as shelf, Redis.from_url(shared_redis.url) as admin:
        await admin.hset(f"{prefix}{{session:{SESSION}}}:files", "x", "y")
        with pytest.raises(StoreError, match="damaged"):
            await shelf.read(SESSION)


@pytest.mark.parametrize("folders", [("a", "b"), ("a", "a")])
async def test_two_processes_write_one_session_and_each_answers_with_all(
    shared_redis: RedisServer, prefix: str, tmp_path: Path, folders: tuple[str, str]
) -> None:
    one_folder, other_folder = (tmp_path / name for name in folders)
    async with (
        process(shared_redis.url, one_folder, prefix) as (one, near),
        process(shared_redis.url, other_folder, prefix) as (other, far),
    ):
        for number in range(100):
            (one, other)[number % 2].document(SESSION, "slide_001", {"n": number})
        while len((await near.read(SESSION)).files) < 100:
            await asyncio.sleep(0.01)
        while (found := await far.read(SESSION)) != await near.read(SESSION):
            await asyncio.sleep(0.01)
    assert numbers(found.files) == list(range(100))
    assert set(found.files) == {document(0, run=run).name for run in range(1, 101)}


async def test_what_is_written_while_redis_is_gone_is_shared_when_it_is_back(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    async with process(own_redis.url, tmp_path / "a") as (writer, files):
        writer.document(SESSION, "slide_001", {"n": 0})
        async with opened(own_redis.url) as other:
            while not await other.read(SESSION):
                await asyncio.sleep(0.01)
        own_redis.kill()
        for number in range(1, 20):
            writer.document(SESSION, "slide_001", {"n": number})
        await asyncio.sleep(0.3)
        found = await files.read(SESSION)
        assert numbers(found.files) == list(range(20))
        assert not found.is_complete
        own_redis.start()
        async with asyncio.timeout(20), opened(own_redis.url) as other:
            while len(await other.read(SESSION)) < 20:
                await asyncio.sleep(0.02)
            assert list((await other.read(SESSION)).values()) == list(found.files.values())
    log = next((tmp_path / "a").glob("pipeline_*.log")).read_text().splitlines()
    events = [json.loads(line)["event"] for line in log]
    assert events == ["session_shelf_away", "session_shelf_back"]


async def test_frozen_redis_holds_up_neither_the_loop_nor_the_disk_and_nothing_is_twice(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "_ANSWER_S", 0.1)
    async with process(own_redis.url, tmp_path / "a") as (writer, files):
        writer.document(SESSION, "slide_001", {"n": 0})
        async with opened(own_redis.url) as other:
            while not await other.read(SESSION):
                await asyncio.sleep(0.01)
        own_redis.send(signal.SIGSTOP)
        for number in range(1, 5):
            writer.document(SESSION, "slide_001", {"n": number})
        loop = asyncio.get_running_loop()
        began_s, latest_s = loop.time(), 0.0
        while loop.time() - began_s < 1:  # several tries: the server will read them all later
            slept_s = loop.time()
            await asyncio.sleep(0.01)
            latest_s = max(latest_s, loop.time() - slept_s - 0.01)
        assert latest_s < 0.5
        assert numbers((await files.read(SESSION)).files) == list(range(5))
        own_redis.send(signal.SIGCONT)
        async with asyncio.timeout(20), opened(own_redis.url) as other:
            while len(await other.read(SESSION)) < 5:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            assert numbers(await other.read(SESSION)) == list(range(5))


def test_real_processes_in_one_folder_keep_lines_and_files_apart(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.support.session_writer", own_redis.url]
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    processes = [
        subprocess.Popen([*command, tmp_path / "logs", "40"], env=environ, cwd=root)
        for _ in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    for path in (logs := list((tmp_path / "logs").glob("pipeline_*.log"))):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line["event"] for line in lines] == ["slide_completed"] * 40
    assert len(logs) == 3
    on_disk = {path.name: path.read_bytes() for path in (tmp_path / "logs/sessions").iterdir()}
    assert set(on_disk) == {document(0, run=run).name for run in range(1, 121)}

    async def read() -> dict[str, bytes]:
        async with opened(own_redis.url, PREFIX) as shelf:
            return await shelf.read(SESSION)

    assert asyncio.run(read()) == dict(sorted(on_disk.items()))
