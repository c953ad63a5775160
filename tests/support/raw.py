"""HTTP by hand: bytes as no client would send them, and all that comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

_PATIENCE_S = 10.0


class Answer(Struct, frozen=True):
    """One answer."""

    status: int
    headers: dict[str, str]
    """Names in small letters."""
    body: bytes

    @property
    def problem(self) -> Any:
        """The body, which must be a problem that says what the head says."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = msgspec.json.decode(self.body)
        assert problem["status"] == self.status
        assert problem["request_id"] == self.headers["x-request-id"]
        return problem


class Line:
    """A connection, of which one sends and reads what one likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.is_closed = False
        """Whether the other side closed it."""

    async def send(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        """Send each, pausing in between; nothing more once the other side has closed."""
        try:
            for number, piece in enumerate(pieces):
                if number:
                    await asyncio.sleep(pause_s)
                if self._reader._transport.is_closing() or self._reader._eof:  # type: ignore[attr-defined]
                    return
                self._writer.write(piece)
                await self._writer.drain()
        except OSError:
            pass

    async def read(self, *, quiet_s: float = _PATIENCE_S) -> bytes:
        """What comes, until the other side closes or is quiet for so long."""
        got = b""
        try:
            async with asyncio.timeout(None) as patience:
                while not self.is_closed:
                    patience.reschedule(asyncio.get_running_loop().time() + quiet_s)
                    piece = await self._reader.read(65_536)
                    self.is_closed, got = not piece, got + piece
        except TimeoutError:
            pass
        except OSError:
            self.is_closed = True
        return got

    async def read_until(self, mark: bytes) -> bytes:
        """What comes up to `mark`."""
        async with asyncio.timeout(_PATIENCE_S):
            return await self._reader.readuntil(mark)

    async def exchange(self, *pieces: bytes, quiet_s: float = _PATIENCE_S) -> list[Answer]:
        """Send each by itself, and read meanwhile and after."""
        got = b""
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self.send(*pieces))
            is_sent = False
            while not is_sent:
                is_sent = sending.done() or self.is_closed
                got += await self.read(quiet_s=quiet_s)
        return parse_answers(got)

    async def answer(self) -> Answer:
        """The next answer, and nothing behind it."""
        async with asyncio.timeout(_PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            (answer,) = parse_answers(head)
            if "content-length" in answer.headers:
                body = await self._reader.readexactly(int(answer.headers["content-length"]))
            else:
                body = await self._reader.readuntil(b"0\r\n\r\n")
        return Answer(answer.status, answer.headers, body)

    async def answers(self, *, quiet_s: float = _PATIENCE_S) -> list[Answer]:
        """As `read`, taken apart."""
        return parse_answers(await self.read(quiet_s=quiet_s))


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[Line]:
    """A connection to the service at `url`."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def request(line: str = "GET /healthz", *headers: str, body: bytes = b"") -> bytes:
    """A request in good order."""
    lines = [f"{line} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def parse_answers(got: bytes) -> list[Answer]:
    """All answers in `got`, the last of which may be cut off."""
    answers = []
    while got:
        head, _, got = got.partition(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")
        assert start.startswith("HTTP/1.1 "), got[:100]
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        size = int(headers.get("content-length", len(got)))
        answers.append(Answer(int(start.split()[1]), headers, got[:size]))
        got = got[size:]
    return answers
