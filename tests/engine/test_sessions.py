"""Session files of several processes: each on its own disk, all on the shelf."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from slideloom.domain.session import SessionDocument
from slideloom.engine import sessions
from slideloom.engine.sessions import SessionFiles, SessionMirror, open_session_files
from slideloom.errors import StoreError
from slideloom.logs import Log, LogWriter, name_process, open_log
from tests.support.parts import RecordingLog
from tests.support.shelves import MemoryShelf

SESSION = "00000000-0000-4000-8000-000000000001"
ONE, TWO, THREE = (f"{SESSION}_slide_001{end}.json" for end in ("", "_2", "_3"))


@pytest.fixture
def make_writer(tmp_path: Path) -> Iterator[Callable[[str], LogWriter]]:
    """Makes the writers of processes, each in a folder of that name."""
    with ExitStack() as stack:

        def make(folder: str) -> LogWriter:
            name = name_process("worker")
            made = LogWriter(tmp_path / folder, retention_days=1, process=name)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(sessions, "_LONGEST_PAUSE_S", 0.004)
    monkeypatch.setattr(sessions, "_CLOSE_S", 0.05)


@asynccontextmanager
async def serving(
    writer: LogWriter, shelf: MemoryShelf, log: RecordingLog | None = None
) -> AsyncIterator[SessionFiles]:
    async with open_session_files(writer, shelf, to_log(log or RecordingLog())) as files:
        yield files


def to_log(log: RecordingLog) -> Log:
    return log  # type: ignore[return-value]  # only what is called here


async def shelved(shelf: MemoryShelf, count: int) -> dict[str, bytes]:
    """The session's files on the shelf, once there are so many."""
    while len(shelf.files.get(SESSION, {})) < count:
        await asyncio.sleep(0.001)
    return shelf.files[SESSION]


async def test_without_a_shelf_the_disk_answers(make_writer: Callable[[str], LogWriter]) -> None:
    writer = make_writer("a")
    async with open_session_files(writer, None, open_log(writer)) as files:
        writer.document(SESSION, "slide_001", {"n": 1})
        found = await files.read(SESSION)
    assert writer.mirror is None
    assert list(found.files) == [ONE]
    assert found.is_complete


@pytest.mark.parametrize("folders", [("a", "b"), ("a", "a")])
async def test_every_process_answers_with_the_files_of_all(
    make_writer: Callable[[str], LogWriter], folders: tuple[str, str]
) -> None:
    shelf = MemoryShelf()
    one, other = map(make_writer, folders)
    async with serving(one, shelf) as near, serving(other, shelf) as far:
        one.document(SESSION, "slide_001", {"n": 1})
        await shelved(shelf, 1)
        other.document(SESSION, "slide_001", {"n": 2})
        other.document(SESSION, "slide_002", {"n": 3})
        await shelved(shelf, 3)
        found = await near.read(SESSION)
        assert await far.read(SESSION) == found
        assert await near.read("../x") == sessions.FoundFiles({})
    assert list(found.files) == [ONE, TWO, f"{SESSION}_slide_002.json"]
    assert [json.loads(body)["n"] for body in found.files.values()] == [1, 2, 3]


async def test_what_is_written_while_the_shelf_is_away_is_shared_when_it_is_back(
    make_writer: Callable[[str], LogWriter],
) -> None:
    shelf, log, writer = MemoryShelf(), RecordingLog(), make_writer("a")
    async with serving(writer, shelf, log) as files:
        shelf.is_away = True
        for number in (1, 2, 3):
            writer.document(SESSION, "slide_001", {"n": number})
        while shelf.puts < 5:
            await asyncio.sleep(0.001)
        found = await files.read(SESSION)
        assert list(found.files) == [ONE, TWO, THREE]
        assert not found.is_complete
        with pytest.raises(StoreError):
            await files.read(SESSION.replace("1", "2"))
        shelf.is_away = False
        bodies = await shelved(shelf, 3)
        assert (await files.read(SESSION)).is_complete
    assert [json.loads(bodies[name])["n"] for name in (ONE, TWO, THREE)] == [1, 2, 3]
    assert [line["event"] for line in log.lines] == ["session_shelf_away", "session_shelf_back"]


async def test_document_whose_answer_is_lost_is_shared_once(
    make_writer: Callable[[str], LogWriter],
) -> None:
    shelf, writer = MemoryShelf(), make_writer("a")
    async with serving(writer, shelf):
        shelf.loses_answers = 3
        writer.document(SESSION, "slide_001", {"n": 1})
        writer.document(SESSION, "slide_002", {"n": 2})
        assert set(await shelved(shelf, 2)) == {ONE, f"{SESSION}_slide_002.json"}
    assert shelf.puts == 5


async def test_of_more_than_may_wait_the_oldest_are_left_out_and_named(
    make_writer: Callable[[str], LogWriter],
) -> None:
    shelf, log, writer = MemoryShelf(), RecordingLog(), make_writer("a")
    shelf.is_away = True
    mirror = SessionMirror(writer, shelf, to_log(log), most_bytes=70)
    for number in range(6):
        writer.document(SESSION, "slide_001", {"n": number, "text": "x" * 10})  # 37 bytes
    await asyncio.to_thread(writer.flush)
    await asyncio.sleep(0)
    shelf.is_away = False
    kept = await shelved(shelf, 1)
    await mirror.close()
    assert [json.loads(body)["n"] for body in kept.values()] == [5]
    left_out = [line["file"] for line in log.of("session_file_not_shared")]
    assert left_out == [f"{SESSION}_slide_001{end}.json" for end in ("", "_2", "_3", "_4", "_5")]
    assert len(writer.read_session(SESSION)) == 6


async def test_document_left_out_while_it_is_being_put_takes_no_other_with_it(
    make_writer: Callable[[str], LogWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, writer = MemoryShelf(), make_writer("a")
    put, is_asked, goes_on = shelf.put, asyncio.Event(), asyncio.Event()

    async def hold(document: SessionDocument, *, token: str) -> str:
        is_asked.set()
        await goes_on.wait()
        return await put(document, token=token)

    monkeypatch.setattr(shelf, "put", hold)
    mirror = SessionMirror(writer, shelf, to_log(RecordingLog()), most_bytes=80)
    writer.document(SESSION, "slide_001", {"n": 0, "text": "x" * 10})
    await is_asked.wait()
    for number in (1, 2, 3):
        writer.document(SESSION, "slide_001", {"n": number, "text": "x" * 10})
    await asyncio.to_thread(writer.flush)
    goes_on.set()
    kept = await shelved(shelf, 3)
    await mirror.close()
    assert [json.loads(body)["n"] for body in kept.values()] == [0, 2, 3]


async def test_end_shares_what_was_written_last(make_writer: Callable[[str], LogWriter]) -> None:
    shelf, writer = MemoryShelf(), make_writer("a")
    async with serving(writer, shelf):
        for number in range(50):
            writer.document(SESSION, "slide_001", {"n": number})
    assert len(shelf.files[SESSION]) == 50


async def test_end_does_not_wait_for_a_shelf_that_is_away(
    make_writer: Callable[[str], LogWriter],
) -> None:
    shelf, log, writer = MemoryShelf(), RecordingLog(), make_writer("a")
    shelf.is_away = True
    async with serving(writer, shelf, log):
        writer.document(SESSION, "slide_001", {"n": 1})
    assert log.lines[-1]["event"] == "session_files_not_shared"
    writer.document(SESSION, "slide_002", {"n": 2})  # nobody is told any more
    assert len(writer.read_session(SESSION)) == 2


async def test_document_that_the_shelf_chokes_on_holds_up_no_other(
    make_writer: Callable[[str], LogWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, log, writer = MemoryShelf(), RecordingLog(), make_writer("a")
    put = shelf.put

    async def choke(document: SessionDocument, *, token: str) -> str:
        if document.action == "slide_001":
            raise ValueError(1)
        return await put(document, token=token)

    monkeypatch.setattr(shelf, "put", choke)
    async with serving(writer, shelf, log):
        writer.document(SESSION, "slide_001", {})
        writer.document(SESSION, "slide_002", {})
        await shelved(shelf, 1)
    assert [line["event"] for line in log.lines] == ["session_file_not_shared"]
