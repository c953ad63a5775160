"""HTTP/1.1 by hand on asyncio transports: bytes in, whole requests out."""

import asyncio
import socket
import struct
from typing import Final, Protocol, cast

from msgspec import Struct

_MAX_HEAD_BYTES: Final = 64 * 1024


class Head(Struct, frozen=True):
    """A request's first line and headers."""

    method: str
    path: str
    """Without the query."""
    query: str
    headers: dict[str, str]
    """Names in lower case."""


class Playing(Protocol):
    """An answer under way."""

    @property
    def waits_for_time(self) -> bool:
        """Whether a timer, not room to write, is what it waits for."""

    def advance(self) -> None:
        """Go on."""

    def on_client_gone(self) -> None:
        """The connection was lost."""


class Host(Protocol):
    """Who answers."""

    def on_open(self, connection: "Connection") -> None:
        """A client connected."""

    def on_lost(self, connection: "Connection") -> None:
        """A connection is gone."""

    def on_head(self, connection: "Connection", head: Head) -> bool:
        """A head came; true when that was enough to answer, and the body is not to be read."""

    def on_request(self, connection: "Connection", head: Head, body: bytes) -> None:
        """A whole request came; an `Exchange` must be started."""


class Connection(asyncio.Protocol):
    """One client's connection: takes requests apart, one after the other."""

    transport: asyncio.Transport

    def __init__(self, host: Host) -> None:
        self._host = host
        self._buffer = bytearray()
        self._head: Head | None = None
        self._ignores_input = False
        self._is_last = False
        self.exchange: Playing | None = None
        """What is being answered."""
        self.number = 0
        """Given by the host, from 1."""
        self.served = 0
        """Requests taken so far."""
        self.idle_since_s = 0.0
        self.is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=1, low=0)  # 0 would stall TLS
        self.idle_since_s = asyncio.get_running_loop().time()
        self._host.on_open(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever was answering."""
        del exc
        if self.exchange is not None:
            self.exchange.on_client_gone()
        self._host.on_lost(self)

    def pause_writing(self) -> None:
        """The kernel took less than was written."""
        self.is_full = True

    def resume_writing(self) -> None:
        """All was taken."""
        self.is_full = False
        # Not at once: closed in the middle of its own work, as by an answer's last step, the
        # transport would tell twice that the connection is lost.
        asyncio.get_running_loop().call_soon(self._go_on)

    def data_received(self, data: bytes) -> None:
        """Collect; handle a request when it is whole."""
        if self._ignores_input:
            return
        self._buffer += data
        if self.exchange is None:
            self._read_request()

    def take_next(self) -> None:
        """The answer is out: close if the client asked for it, else see whether it asks more."""
        self.idle_since_s = asyncio.get_running_loop().time()
        if self._is_last:
            self.shut()
        elif self._buffer:
            asyncio.get_running_loop().call_soon(self._read_request)

    def ignore_body(self) -> None:
        """Read nothing more; the client's body stays where it is."""
        self._ignores_input = True
        self.transport.pause_reading()

    def shut(self) -> None:
        """Close in order, after what was written."""
        self.transport.close()

    def reset(self) -> None:
        """Cut: the client sees `Connection reset by peer`."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _go_on(self) -> None:
        exchange = self.exchange
        if exchange is not None and not self.is_full and not exchange.waits_for_time:
            exchange.advance()

    def _read_request(self) -> None:
        if self.exchange is not None or self.transport.is_closing():
            return
        if self._head is None and not self._read_head():
            return
        head = cast("Head", self._head)
        body = self._read_body(head)
        if body is None:
            return
        self._head = None
        self._is_last = head.headers.get("connection", "").lower() == "close"
        self.served += 1
        self._host.on_request(self, head, body)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                self.transport.abort()
            return False
        try:
            self._head = _parse_head(bytes(self._buffer[:end]))
        except ValueError:
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            self.transport.close()
            return False
        del self._buffer[: end + 4]
        if self._head.headers.get("expect", "").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._host.on_head(self, self._head):
            self._head = None
            return False
        return True

    def _read_body(self, head: Head) -> bytes | None:
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            return self._read_chunks()
        length = int(head.headers.get("content-length", "0"))
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _read_chunks(self) -> bytes | None:
        body, position = bytearray(), 0
        while True:
            line_end = self._buffer.find(b"\r\n", position)
            if line_end < 0:
                return None
            size = int(bytes(self._buffer[position:line_end]).split(b";")[0], 16)
            position = line_end + 2 + size + 2
            if len(self._buffer) < position:
                return None
            if size == 0:
                del self._buffer[:position]
                return bytes(body)
            body += self._buffer[line_end + 2 : line_end + 2 + size]


def _parse_head(raw: bytes) -> Head:
    first, *lines = raw.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    path, _, query = target.partition("?")
    return Head(method, path, query, headers)


def read_key(head: Head, *, is_google: bool = False) -> str:
    """The key a request carries, as Bearer, or at Google in its own header; empty without one."""
    if is_google:
        return head.headers.get("x-goog-api-key", "")
    kind, _, key = head.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and key.strip():
        return key.strip()
    return ""
