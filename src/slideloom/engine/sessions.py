"""A session's files, whichever process wrote them.

Each process writes its own to its disk. Where several serve together, each also gives a copy
to the shelf that they share, so that whoever is asked has all.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Final

from msgspec import Struct

from slideloom.domain.session import SESSION_ID, SessionDocument, join_files
from slideloom.errors import StoreError
from slideloom.logs import Log, LogWriter
from slideloom.stores.shared_base import SessionShelf

_MOST_BYTES: Final = 64 * 1024 * 1024
"""Of documents that wait for the shelf: those of some thousand decks."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
"""Between tries to reach the shelf: doubled from the first to this."""
_CLOSE_S: Final = 3.0
"""What is left for documents that wait when the process stops."""


class FoundFiles(Struct, frozen=True):
    """A session's files."""

    files: dict[str, bytes]
    """JSON under each file's name, in the names' order."""
    is_complete: bool = True
    """Whether the other processes' could be asked for."""


class SessionFiles:
    """Finds a session's files: on the disk, and on the shelf if there is one."""

    def __init__(self, writer: LogWriter, shelf: SessionShelf | None = None) -> None:
        self._writer = writer
        self._shelf = shelf

    async def read(self, session_id: str) -> FoundFiles:
        """All files of the session; none where no process knows it.

        Raises:
            StoreError: this process has none, and the shelf cannot be asked.
        """
        if SESSION_ID.fullmatch(session_id) is None:
            return FoundFiles({})
        own = await asyncio.to_thread(self._writer.read_session, session_id)
        if self._shelf is None:
            return FoundFiles(own)
        try:
            shared = await self._shelf.read(session_id)
        except StoreError:
            if not own:
                raise
            return FoundFiles(own, is_complete=False)
        return FoundFiles(join_files(shared, own))


@asynccontextmanager
async def open_session_files(
    writer: LogWriter, shelf: SessionShelf | None, log: Log
) -> AsyncGenerator[SessionFiles, None]:
    """Session files as they are to be found; while it is open, new ones are put on the shelf."""
    if shelf is None:
        yield SessionFiles(writer)
        return
    mirror = SessionMirror(writer, shelf, log)
    try:
        yield SessionFiles(writer, shelf)
    finally:
        await mirror.close()


class _Waiting(Struct, frozen=True, eq=False):
    document: SessionDocument
    token: str


class SessionMirror:
    """Puts on the shelf, one after the other, what the log thread has written.

    While the shelf cannot be reached documents wait, up to `most_bytes` of them; then the
    oldest are left out. They are on this process' disk all the same.
    """

    def __init__(
        self, writer: LogWriter, shelf: SessionShelf, log: Log, *, most_bytes: int = _MOST_BYTES
    ) -> None:
        self._writer = writer
        self._shelf = shelf
        self._log = log
        self._most_bytes = most_bytes
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()
        self._pause_s = 0.0
        """Before the next try; 0 while the shelf is well."""
        self._is_closing = False
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._serve(), name="session mirror")
        writer.mirror = self._take

    async def close(self) -> None:
        """Put away what waits, as far as that can be done soon."""
        await asyncio.to_thread(self._writer.flush)  # the last documents are taken by then
        self._writer.mirror = None
        self._is_closing = True
        self._news.set()
        await asyncio.wait({self._task}, timeout=_CLOSE_S)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._waiting:
            self._log.warning("session_files_not_shared", files=len(self._waiting))

    def _take(self, document: SessionDocument) -> None:
        """On the log thread: hand it to the loop."""
        self._loop.call_soon_threadsafe(self._add, document)

    def _add(self, document: SessionDocument) -> None:
        self._waiting.append(_Waiting(document, token_hex(8)))
        self._waiting_bytes += len(document.body)
        while self._waiting_bytes > self._most_bytes:
            left_out = self._remove_first()
            self._log.warning(
                "session_file_not_shared", session_id=left_out.session_id, file=left_out.name
            )
        self._news.set()

    def _remove_first(self) -> SessionDocument:
        document = self._waiting.popleft().document
        self._waiting_bytes -= len(document.body)
        return document

    async def _serve(self) -> None:
        while True:
            while self._waiting:
                await self._put(self._waiting[0])
                await asyncio.sleep(self._pause_s)
            if self._is_closing:
                return
            self._news.clear()
            await self._news.wait()

    async def _put(self, first: _Waiting) -> None:
        try:
            await self._shelf.put(first.document, token=first.token)
        except StoreError as error:
            self._wait_longer(error)
            return
        except Exception as error:  # noqa: BLE001 - a background loop outlives its errors
            self._log.error("session_file_not_shared", exc_info=error, file=first.document.name)
        if self._waiting and self._waiting[0] is first:  # it may have been left out meanwhile
            self._remove_first()
        if self._pause_s:
            self._pause_s = 0.0
            self._log.info("session_shelf_back", waiting=len(self._waiting))

    def _wait_longer(self, error: StoreError) -> None:
        if not self._pause_s:
            self._log.warning("session_shelf_away", reason=str(error))
        self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
