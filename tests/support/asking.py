"""Requests on kept connections, by as little Python as can be: what asks must not be what waits."""

import asyncio
import re
from urllib.parse import urlsplit

from msgspec import Struct

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_NO_BODY = (204, 304)


class Question(Struct, frozen=True):
    """What is asked over and over."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def to_bytes(self, host: str) -> bytes:
        """As it goes over the wire."""
        head = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        head += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            head += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*head, "", ""]).encode() + self.body


class Reply(Struct, frozen=True):
    """An answer."""

    status: int
    head: bytes
    body: bytes

    def find_header(self, name: str) -> str | None:
        """The value of a header."""
        found = re.search(rb"\r\n%s: *([^\r]*)" % name.encode(), self.head, re.IGNORECASE)
        return None if found is None else found[1].decode()


class Asked(Struct, frozen=True, kw_only=True):
    """What a run of questions came to."""

    count: int
    """Good answers."""
    errors: int
    seconds: float


class Wire(asyncio.Protocol):
    """One connection: a question at a time, its answer as a future's result.

    An answer without a length, or a connection that ends, is the future's error.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._held = bytearray()
        self._waiting: asyncio.Future[Reply] | None = None

    @property
    def is_open(self) -> bool:
        """Whether another question can be asked."""
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """Send it; the answer will be the future's result."""
        assert self.transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiting

    def close(self) -> None:
        """Ask no more."""
        if self.transport is not None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        held = self._held
        held += data
        end = held.find(_HEAD_END)
        if end < 0 or self._waiting is None:
            return
        head = bytes(held[:end])
        status = int(head[9:12])
        length = _LENGTH.search(head)
        if length is None and status not in _NO_BODY:
            self._fail(ConnectionError("an answer without a length"))
            return
        total = end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(held) >= total:
            reply = Reply(status, head, bytes(held[end + len(_HEAD_END) : total]))
            del held[:total]
            waiting, self._waiting = self._waiting, None
            if not waiting.done():
                waiting.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionResetError("the connection was closed"))

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self._waiting = None


async def open_wire(url: str) -> Wire:
    """A connection to the service at `url`."""
    place = urlsplit(url)
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(Wire, place.hostname or "", place.port or 80)
    return wire


async def ask_on(url: str, question: Question, *, connections: int, seconds: float) -> Asked:
    """Ask on each connection as soon as the last answer is there."""
    request = question.to_bytes(urlsplit(url).netloc)
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    async def go_on() -> tuple[int, int]:
        wire = await open_wire(url)
        good = bad = 0
        while loop.time() < began_s + seconds:
            if (await wire.ask(request)).status in {200, 304}:
                good += 1
            else:
                bad += 1
        wire.close()
        return good, bad

    found = await asyncio.gather(*(go_on() for _ in range(connections)))
    return Asked(
        count=sum(good for good, _ in found),
        errors=sum(bad for _, bad in found),
        seconds=loop.time() - began_s,
    )
