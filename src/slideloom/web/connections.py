"""The HTTP server's connections: what each may take, and what is refused before any handler.

A piece of a stream can be written past the ASGI messages. Source of the limits: reliability 1.2.
"""

import asyncio
import contextlib
import fcntl
import math
import sys
import termios
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from slideloom.web.crowd import Crowd
from slideloom.web.refusals import (
    HEAD_TOO_LARGE,
    MALFORMED,
    NO_ROOM,
    OTHER_VERSION,
    SENT_AHEAD,
    STOPPING,
    TOO_SLOW,
    WRONG_TARGET,
    WRONG_UPGRADE,
    Refusal,
    build_answer,
)

WritePiece = Callable[[bytes], bool]
"""Writes a piece of the body of an answer that goes on; whether the connection took it."""
WRITE_PIECE = "slideloom.write_piece"
"""Where a request's scope has that, when one of our connections brought it."""


_Awaits = Literal["first byte", "next request", "head", "body", "nothing", "end"]
"""What a connection waits for its sender to send; `end` when it is refused."""


def to_protocol(crowd: Crowd) -> type[asyncio.Protocol]:
    """What uvicorn takes as `http`: connections that belong to `crowd`."""
    return cast("type[asyncio.Protocol]", partial(Connection, crowd=crowd))


class Connection(HttpToolsProtocol):
    """A connection of uvicorn's with limits, which offers `WRITE_PIECE` beside `send`.

    A message for `send` is a coroutine and a dict: with a thousand readers of the same bytes,
    half of what telling them takes outside the system calls.
    """

    # Python keeps objects of many attributes small up to thirty; uvicorn's class has 28.
    __slots__ = (
        *("_crowd", "_limits", "_awaits", "_since_s", "_is_deaf"),
        *("_piece_bytes", "_piece_s", "_is_at_start", "_request_bytes", "_body_bytes"),
        *("_fault", "_answering", "_unsent_bytes", "_unsent_since_s", "_is_stuck"),
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        crowd: Crowd,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._crowd = crowd
        self._limits = crowd.limits
        self._awaits: _Awaits = "first byte"
        self._since_s = self.loop.time()
        """When it began to await that."""
        self._is_deaf = False
        """What comes is not read any more."""
        self._piece_bytes = 0
        """Size of the piece that is read just now."""
        self._piece_s = self._since_s
        """When it came."""
        self._is_at_start = False
        """Whether no request was met in that piece yet."""
        self._request_bytes = 0
        """What came since the present request's first piece."""
        self._body_bytes = 0
        """What of it was body."""
        self._fault: Refusal | None = None
        """Why its head is refused."""
        self._answering: RequestResponseCycle | None = None
        """What is answered, while others wait in `pipeline`."""
        self._unsent_bytes = 0
        self._unsent_since_s = 0.0
        """Since when so much is unsent."""
        self._is_stuck = False
        """Whether that is too long."""

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        super().connection_made(cast("asyncio.Transport", transport))
        if not self._crowd.enter(self, self.connections):
            self._refuse(NO_ROOM)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed: uvicorn tells the last request, which need not be the one under way."""
        self._crowd.leave(self)
        answering = self._find_answering()
        super().connection_lost(exc)
        if answering is not None:
            _cut_off(answering)
        self._untie()

    def _untie(self) -> None:
        """Let go of what leads back here: nothing is left that only Python's collector would find.

        Its looks stop the loop, and clients that come and go make most of what it finds.
        """
        self.parser = self.scope = self.cycle = self.flow = None  # type: ignore[assignment]
        vars(self.transport).pop("_read_ready_cb", None)  # asyncio's own, a method of its own

    def handle_websocket_upgrade(self) -> None:
        """It is another protocol's now, and only looked at for a reader who takes nothing."""
        self._awaits = "nothing"
        self._is_deaf = True
        self._crowd.work(self)
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        """The server stops: a request that is not here yet would be refused anyway."""
        if self._awaits == "body":
            self._refuse(STOPPING)
        else:
            super().shutdown()

    def put_out(self) -> None:
        """See `Member`."""
        self._crowd.leave(self)
        self.connections.discard(self)
        self.transport.abort()

    # What it may take.

    def is_late(self, now_s: float) -> bool:
        """See `Member`."""
        self._is_stuck = self._takes_nothing(now_s)
        if self._is_stuck:
            return True
        if self.transport.is_closing():
            if self._unsent_bytes == 0:
                self._crowd.leave(self)  # nobody tells, when it was another protocol's
            return False
        if self.flow.read_paused:
            self._since_s += self._limits.look_s  # nobody listens: the sender's time stands still
        return now_s >= self._since_s + self._to_allowed_s()

    def end(self) -> None:
        """See `Member`."""
        if self._is_stuck or self._awaits == "end":
            self.transport.abort()
        elif self._awaits in {"head", "body"}:
            self._refuse(TOO_SLOW)
        else:  # browsers open connections in advance: no answer to what is not asked
            self.transport.close()

    def _takes_nothing(self, now_s: float) -> bool:
        unsent_bytes = _count_unsent(self.transport)
        if unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._unsent_since_s = unsent_bytes, now_s
        return unsent_bytes > 0 and now_s - self._unsent_since_s >= self._limits.stuck_s

    def _to_allowed_s(self) -> float:
        limits = self._limits
        match self._awaits:
            case "first byte" | "head":
                return limits.head_s
            case "next request":
                return self.timeout_keep_alive
            case "body":
                return limits.body_s + self._body_bytes / limits.body_bytes_per_s
            case "end":
                return limits.close_s
            case _:
                return math.inf

    # What comes.

    def data_received(self, data: bytes) -> None:
        """Read a piece."""
        if self._is_deaf:
            return
        self._piece_s = self.loop.time()
        self._piece_bytes, self._is_at_start = len(data), True
        self._request_bytes += self._piece_bytes
        self._feed(data)
        if self._request_bytes > self._limits.head_bytes:
            self._check_size()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._feed_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._fault or MALFORMED)

    def _feed_without_upgrade(self, rest: bytes) -> None:
        """Read the head again without its wish for another protocol, then its body and the rest.

        A server may pass over that wish, but the parser then finds no body. Java's HTTP client
        wishes for HTTP/2 with each first request, bodies and all.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self._feed(b"\r\n".join([*lines, b"", rest]))

    def _check_size(self) -> None:
        """Refuse what may never end: a head, or what frames a body without being any.

        A body in chunks of a byte each, as nobody sends it, is framed by five for each.
        """
        most, framed = self._limits.head_bytes, self._request_bytes - 9 * self._body_bytes
        is_head, is_body = self._awaits == "head", self._awaits == "body"
        if is_head or (is_body and framed > 2 * most):
            self._refuse(HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope[WRITE_PIECE] = self._write_piece  # type: ignore[literal-required]
        self._request_bytes = self._piece_bytes if self._is_at_start else 0
        self._is_at_start = False
        if self._awaits != "first byte":  # whose time began with the connection
            self._since_s = self._piece_s
        self._awaits = "head"

    def on_headers_complete(self) -> None:
        """A request's head is here."""
        self._fault = self._find_fault()
        if self._fault is not None:
            raise httptools.HttpParserError  # to `data_received`
        if self.parser.should_upgrade():
            self.scope["method"] = "GET"  # all that is left to know for a WebSocket
            return
        before = self.cycle
        super().on_headers_complete()
        if len(self.pipeline) == 1:
            self._answering = before
        self.headers = []  # trailers come as headers do, and are none of the request's
        self._awaits, self._since_s, self._body_bytes = "body", self._piece_s, 0
        self._crowd.work(self)

    def on_body(self, body: bytes) -> None:
        """A piece of a request's body is here."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is here."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._is_at_start = False
        self._since_s = self._piece_s
        self._awaits = "next request" if self.cycle.response_complete else "nothing"

    def _find_fault(self) -> Refusal | None:
        """What is wrong with a head which the parser takes."""
        if self.parser.get_http_version() not in {"1.1", "1.0"}:
            return OTHER_VERSION
        if len(self.pipeline) >= self._limits.waiting:
            return SENT_AHEAD
        most = self._limits.head_bytes
        may_be_more = self._piece_bytes > most or self._request_bytes > most
        if may_be_more and self._count_head_bytes() > most:
            return HEAD_TOO_LARGE
        if not self.url.startswith(b"/") and not self._is_target_ours():
            return WRONG_TARGET
        if self.parser.should_upgrade() and not self._is_upgrade_harmless():
            return WRONG_UPGRADE
        return None

    def _count_head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _is_target_ours(self) -> bool:
        """Whether an address in full, as a proxy is sent it, is of the host that Host says."""
        _, _, place = self.url.partition(b"://")
        hosts = [value.lower() for name, value in self.headers if name == b"host"]
        return self.url == b"*" or hosts == [place.partition(b"/")[0].lower()]

    def _is_upgrade_harmless(self) -> bool:
        method = self.parser.get_method()
        if not self._should_upgrade():
            return method != b"CONNECT"
        framing = {b"content-length", b"transfer-encoding"}
        return method == b"GET" and framing.isdisjoint(name for name, _ in self.headers)

    # What is answered.

    def on_response_complete(self) -> None:
        """A request is answered: the next one's turn. No timer is set, other than by uvicorn."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._answering, app = self.pipeline.pop()
            self._start_asgi_task(self._answering, app)
            return
        self._crowd.rest(self)
        if self._awaits == "nothing":
            self._awaits, self._since_s = "next request", self.loop.time()

    def _find_answering(self) -> RequestResponseCycle | None:
        """The answer that is under way."""
        last = self._answering if self.pipeline else cast("RequestResponseCycle | None", self.cycle)
        return None if last is None or last.response_complete else last

    def _refuse(self, refusal: Refusal) -> None:
        """Answer so, where an answer can still be given; then close."""
        self._is_deaf = True
        answering = self._find_answering()
        if self._awaits == "body" and not self.pipeline:
            _cut_off(self.cycle)
            if self.cycle.response_started:
                self.transport.close()
            else:
                self._answer(refusal)
        elif answering is not None:
            # It is about a later request, and answers come in order: that one is the last.
            self.pipeline.clear()
            answering.keep_alive = False
            self.cycle = answering
            self._awaits = "nothing"
        else:
            self._answer(refusal)

    def _answer(self, refusal: Refusal) -> None:
        headers, body = build_answer(refusal)
        headers = [*self.server_state.default_headers, *headers]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[refusal.status] + lines + b"\r\n" + body)
        with contextlib.suppress(OSError):  # the sender has gone, and nobody was told yet
            self.transport.write_eof()
        self.flow.resume_reading()
        self._awaits, self._since_s = "end", self.loop.time()
        self._crowd.rest(self)

    def _write_piece(self, piece: bytes) -> bool:
        answer = self.cycle  # another one's, when a further request waits behind: then not begun
        if answer is None or answer.disconnected or self.flow.write_paused:
            return False
        if not answer.chunked_encoding:
            return False
        self.transport.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        return True


def _count_unsent(transport: asyncio.Transport) -> int:
    """Bytes that wait here; if any do, with those that wait in the system for the reader.

    The system asks for more only when a third of what it holds is gone: from a slow reader's line
    that can take minutes.
    """
    waiting = transport.get_write_buffer_size()
    if waiting:
        with contextlib.suppress(OSError):
            fd = transport.get_extra_info("socket").fileno()
            waiting += int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return waiting


def _cut_off(cycle: RequestResponseCycle) -> None:
    """Tell whoever answers that nobody is there any more."""
    if not cycle.response_complete:
        cycle.disconnected = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
