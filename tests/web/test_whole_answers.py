"""Answers in one piece, over uvicorn's own protocol and a transport that only takes notes."""

import asyncio
from typing import Any

import pytest
import uvicorn
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from slideloom.web.whole_answers import WholeAnswers

_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class _Transport(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""


async def _ask(app: ASGIApp, request: bytes) -> _Transport:
    """What is written for it."""
    config = uvicorn.Config(WholeAnswers(app), lifespan="off", http="httptools", log_config=None)
    config.load()
    state = ServerState()
    protocol, transport = HttpToolsProtocol(config, state, {}), _Transport()
    protocol.connection_made(transport)
    protocol.data_received(request)
    while state.tasks:
        await asyncio.sleep(0)
    is_closed = transport.is_closed
    protocol.connection_lost(None)  # closes it, in any case
    transport.is_closed = is_closed
    return transport


async def test_short_answer_is_written_at_once() -> None:
    transport = await _ask(Response(b"hello", headers={"x-a": "b"}), _GET)
    (written,) = transport.writes
    head, _, body = written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nx-a: b" in head
    assert b"\r\ncontent-length: 5" in head
    assert body == b"hello"
    assert not transport.is_closed


async def test_answer_without_a_body_is_written_at_once() -> None:
    transport = await _ask(Response(status_code=304, headers={"etag": "x"}), _GET)
    (written,) = transport.writes
    assert written.startswith(b"HTTP/1.1 304 Not Modified\r\n")
    assert written.endswith(b"\r\netag: x\r\n\r\n")
    assert not transport.is_closed


async def test_requests_sent_ahead_are_answered_in_their_order() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(scope["path"])(scope, receive, send)

    paths = (b"/one", b"/two", b"/three")
    transport = await _ask(echo, b"".join(_GET.replace(b"/ ", path + b" ") for path in paths))
    assert [written.rpartition(b"\r\n")[2] for written in transport.writes] == [*paths]


async def test_head_of_an_answer_that_goes_on_does_not_wait_for_its_body() -> None:
    async def pieces() -> Any:
        assert transport_of.writes[0].startswith(b"HTTP/1.1 200")
        yield b"one"
        yield b"two"

    transport_of = _Transport()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        transport_of.writes = send.__self__._answer.transport.writes  # type: ignore[attr-defined]
        await StreamingResponse(pieces())(scope, receive, send)

    transport = await _ask(app, _GET)
    assert b"".join(transport.writes).endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("request_head", "ending"),
    [
        (_GET.replace(b"GET", b"HEAD"), b"\r\n\r\n"),
        (_GET.replace(b"Host", b"Connection: close\r\nHost"), b"hello"),
    ],
)
async def test_other_answers_go_the_usual_way(request_head: bytes, ending: bytes) -> None:
    transport = await _ask(Response(b"hello"), request_head)
    written = b"".join(transport.writes)
    assert b"content-length: 5\r\n" in written
    assert written.endswith(ending)
    assert transport.is_closed == (b"close" in request_head)


async def test_answer_that_breaks_off_behind_its_head_is_visibly_cut() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        raise ZeroDivisionError

    transport = await _ask(app, _GET)
    assert b"".join(transport.writes).startswith(b"HTTP/1.1 200")
    assert transport.is_closed


async def test_header_with_a_line_end_is_not_written() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        headers = [(b"content-length", b"5"), (b"x-a", b"b\r\nx-evil: yes")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    transport = await _ask(app, _GET)
    assert b"evil" not in b"".join(transport.writes)
    assert transport.is_closed
