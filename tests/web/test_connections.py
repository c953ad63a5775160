"""What a connection may take: time, room, and the place of others."""

import asyncio
import contextlib
import errno
import gc
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from slideloom.cli import listening
from slideloom.cli.listening import fit_connections
from slideloom.settings import load_settings
from slideloom.web.connections import Connection
from slideloom.web.crowd import Limits
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.raw import Line, line_to, request
from tests.support.service import Running, running_service

QUICK = Limits(head_s=0.2, body_s=0.2, stuck_s=0.2, close_s=0.2, look_s=0.02)
ORDER = msgspec.json.encode(deck(1))
POST = "POST /api/slide/batch/generate"
AS_JSON = "Content-Type: application/json"
IN_CHUNKS = (AS_JSON, "Transfer-Encoding: chunked")


pytestmark = pytest.mark.timeout(20)


@pytest.fixture
async def quick(provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Running]:
    """A service that is soon out of patience."""
    del provider
    async with running_service(tmp_path, QUICK) as running:
        yield running


async def wait_until(is_so: Callable[[], bool]) -> None:
    """Let the loop run."""
    async with asyncio.timeout(3):
        while not is_so():
            await asyncio.sleep(0.005)


async def begin_batch(service: Running, provider: ScriptedProvider, *, seconds: float = 100) -> str:
    """Where its events are."""
    provider._seconds = seconds
    prefer = {"Prefer": "respond-async"}
    _, body, _ = await service.post("/slide/batch/generate", deck(1), headers=prefer)
    return f"/api/slide/batch/{body['batch_id']}/events"


async def open_events(line: Line, path: str) -> None:
    """Have the events sent, and wait for the first."""
    await line.send(request(f"GET {path}"))
    await line.read_until(b"event: batch.started")
    await line.read(quiet_s=0.05)


# Time.


async def test_head_that_drips_is_answered_408_and_closed(quick: Running) -> None:
    async with line_to(quick.url) as line:
        await line.send(*[bytes([byte]) for byte in request()[:20]], pause_s=0.03)
        (answer,) = await line.answers()
    assert (answer.status, answer.problem["code"]) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_sender_who_is_gone_when_refused_keeps_nobody_else_from_being_refused(
    quick: Running,
) -> None:
    failed = []

    def fail(transport: asyncio.Transport) -> None:
        failed.append(transport)
        raise OSError(errno.ENOTCONN, "the sender has reset it")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncio.selector_events._SelectorSocketTransport.write_eof", fail)
        async with line_to(quick.url) as line:
            await line.send(b"GET / HT")
            await wait_until(lambda: bool(failed))
    async with line_to(quick.url) as line:
        await line.send(b"GET / HT")
        (answer,) = await line.answers()
    assert answer.status == 408


async def test_connection_on_which_nothing_is_asked_is_closed_without_an_answer(
    quick: Running,
) -> None:
    for nothing in (b"", b"\r\n\r\n"):
        async with line_to(quick.url) as line, asyncio.timeout(2):
            await line.send(nothing)
            assert await line.read() == b""


async def test_closed_connection_leaves_nothing_for_pythons_collector(service: Running) -> None:
    def count() -> int:
        return sum(isinstance(one, Connection) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = count()
        for _ in range(5):
            async with line_to(service.url) as line:
                await line.send(request())
                assert (await line.answer()).status == 200
                assert count() > before
        await wait_until(lambda: count() == before)
    finally:
        gc.enable()


async def test_further_head_has_its_time_from_its_first_byte(quick: Running) -> None:
    async with line_to(quick.url) as line:
        for _ in range(2):
            await line.send(request()[:9])
            await asyncio.sleep(0.15)
            await line.send(request()[9:])
            assert (await line.answer()).status == 200
        await line.send(request()[:9])
        assert [one.status for one in await line.answers()] == [408]


async def test_idle_connection_ends_and_line_breaks_do_not_keep_it(quick: Running) -> None:
    async with line_to(quick.url) as line, asyncio.timeout(4):
        await line.send(request())
        assert (await line.answer()).status == 200
        for connection in quick.connections:
            connection.timeout_keep_alive = 0.2
        await line.send(*[b"\r\n"] * 10, pause_s=0.04)
        assert await line.read(quiet_s=1) == b""
        assert line.is_closed


async def test_body_that_drips_is_answered_408_and_nothing_is_made(
    quick: Running, provider: ScriptedProvider
) -> None:
    sent = request(POST, body=ORDER)
    head = len(sent) - len(ORDER)
    drips = [sent[at : at + 1] for at in range(head, head + 20)]
    async with line_to(quick.url) as line:
        await line.send(sent[:head], *drips, pause_s=0.03)
        (answer,) = await line.answers()
    assert (answer.status, answer.problem["code"]) == (408, "request_timeout")
    assert provider.calls == []


async def test_body_may_take_long_as_long_as_it_comes(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    limits = Limits(body_s=0.1, body_bytes_per_s=16 * 1024, look_s=0.02)
    body = b" " * 16 * 1024 + ORDER
    async with running_service(tmp_path, limits) as service, line_to(service.url) as line:
        sent = request(POST, body=body)
        # A second and more is allowed for all of it; at no time it is late.
        await line.send(*[sent[at : at + 2048] for at in range(0, len(sent), 2048)], pause_s=0.07)
        answer = await line.answer()
    assert answer.status == 200
    assert len(provider.calls) == 1


async def test_body_that_stops_after_its_answer_gets_no_second_one(quick: Running) -> None:
    head = request(POST, AS_JSON, "Content-Length: 99999999")
    async with line_to(quick.url) as line:
        await line.send(head, b"[")
        (answer,) = await line.answers()
        assert line.is_closed
    assert answer.status == 413


async def test_time_stands_still_while_the_service_does_not_read(
    quick: Running, provider: ScriptedProvider
) -> None:
    async with line_to(quick.url) as line:
        await open_events(line, await begin_batch(quick, provider))
        # Behind an answer that goes on, a request waits unread.
        await line.send(request(), request(POST, body=ORDER)[:-5])
        await asyncio.sleep(0.5)
        assert not line.is_closed
        assert len(quick.connections) > 0


def ask_for_much(service: Running) -> socket.socket:
    """A connection that takes little at a time, and has asked for a large picture."""
    name = f"slide_{'0' * 32}.png"
    (service.folder / "assets" / name).write_bytes(bytes(16 << 20))
    place = urlsplit(service.url)
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    reader.connect((place.hostname, place.port))
    reader.settimeout(0)
    reader.send(request(f"GET /assets/{name}"))
    return reader


async def test_reader_that_takes_nothing_is_dropped(quick: Running) -> None:
    with ask_for_much(quick):
        await wait_until(lambda: len(quick.connections) == 1)
        await wait_until(lambda: not quick.connections)


async def test_reader_that_takes_a_little_is_not_dropped(quick: Running) -> None:
    with ask_for_much(quick) as reader:
        for _ in range(20):
            await asyncio.sleep(0.04)
            assert len(reader.recv(8192)) > 0
        assert len(quick.connections) == 1


async def test_websocket_is_not_timed(quick: Running, provider: ScriptedProvider) -> None:
    path = await begin_batch(quick, provider, seconds=0.8)
    async with quick.client.ws_connect(quick.url + path.removesuffix("events") + "ws") as socket_:
        names: list[str] = []
        while not names or names[-1] != "batch.finished":
            names.append(msgspec.json.decode((await socket_.receive_str()).encode())["event"])
    assert names[0] == "batch.started"


async def test_reader_over_websocket_that_takes_nothing_is_dropped_and_forgotten(
    quick: Running, provider: ScriptedProvider
) -> None:
    path = (await begin_batch(quick, provider)).removesuffix("events") + "ws"
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    async with line_to(quick.url) as line:
        await line.send(request(f"GET {path}", *upgrade, f"Sec-WebSocket-Key: {'A' * 22}=="))
        assert b" 101 " in await line.read_until(b"\r\n\r\n")
        line._reader._transport.pause_reading()  # type: ignore[attr-defined]
        (reader,) = (one for one in quick.connections if not isinstance(one, Connection))
        crowd = next(one for one in quick.connections if isinstance(one, Connection))._crowd
        reader.transport.write(bytes(16 << 20))
        await wait_until(lambda: reader not in quick.connections)
        await quick.client.close()
        await wait_until(lambda: not crowd._open)


# Room.


@pytest.mark.parametrize(
    "head",
    [
        request("GET /healthz", "X: " + "a" * 70_000),
        request("GET /healthz", *[f"X{number}: {'a' * 90}" for number in range(800)]),
        request("GET /" + "a" * 70_000),
        request()[:-2] + b"X: " + b"a" * 400_000,
        b"GET /" + b"a" * 400_000,
    ],
    ids=["one long", "many", "long address", "one without end", "address without end"],
)
async def test_large_head_is_answered_431(service: Running, head: bytes) -> None:
    async with line_to(service.url) as line:
        await line.send(head)
        (answer,) = await line.answers()
        assert line.is_closed
    assert (answer.status, answer.problem["code"]) == (431, "head_too_large")


async def test_head_of_sixty_kilobytes_is_taken(service: Running) -> None:
    async with line_to(service.url) as line:
        for _ in range(3):
            await line.send(request("GET /healthz", "X: " + "a" * 60_000))
            assert (await line.answer()).status == 200


@pytest.mark.parametrize(
    "flood",
    [
        b"1;" + b"a" * 500_000,
        b"1\r\n{\r\n0\r\n" + b"X: y\r\n" * 80_000,
        b"1\r\n{\r\n0\r\nX: " + b"y" * 500_000,
    ],
    ids=["chunk extension", "many trailers", "one long trailer"],
)
async def test_flood_around_a_body_is_answered_431(service: Running, flood: bytes) -> None:
    async with line_to(service.url) as line:
        await line.send(request(POST, *IN_CHUNKS), flood)
        (answer,) = await line.answers()
    assert (answer.status, answer.problem["code"]) == (431, "head_too_large")


async def test_body_in_small_chunks_with_a_trailer_is_taken(
    service: Running, provider: ScriptedProvider
) -> None:
    body = ORDER + b" " * 40_000
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    async with line_to(service.url) as line:
        await line.send(request(POST, *IN_CHUNKS), chunks, b"0\r\nX: y\r\n\r\n")
        answer = await line.answer()
    assert (answer.status, len(provider.calls)) == (200, 1)


async def test_trailer_becomes_no_header_of_its_request(service: Running) -> None:
    async with line_to(service.url) as line:
        trailers = b"Content-Type: application/json\r\nX-Request-Id: theirs\r\n"
        await line.send(request(POST, IN_CHUNKS[1]), b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n")
        answer = await line.answer()
    assert answer.status == 415
    assert answer.headers["x-request-id"] != "theirs"


# One answer each, in order.


async def test_nothing_is_read_behind_what_is_no_request(service: Running) -> None:
    async with line_to(service.url) as line:
        await line.send(request() + b"\x00\r\n\r\n" + request("GET /readyz"))
        (answer,) = await line.answers()
        assert line.is_closed
    assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_stream_goes_on_when_what_follows_is_no_request(
    service: Running, provider: ScriptedProvider
) -> None:
    async with line_to(service.url) as line:
        await open_events(line, await begin_batch(service, provider))
        await line.send(b"\x00\r\n\r\n")
        assert await line.read(quiet_s=0.1) == b""
        assert not line.is_closed
        await service.services.engine.stop(grace_s=0)
        assert (await line.read()).endswith(b"0\r\n\r\n")
        assert line.is_closed


async def test_broken_body_is_answered_once(service: Running, provider: ScriptedProvider) -> None:
    async with line_to(service.url) as line:
        await line.send(request(POST, *IN_CHUNKS, "Expect: 100-continue"))
        await asyncio.sleep(0.05)
        await line.send(b"2\r\n{}\r\nxyz\r\n")
        got = await line.read()
    assert got.count(b"HTTP/1.1 400 ") == got.count(b"HTTP/1.1 4") == 1
    assert b'"invalid_request"' in got
    assert provider.calls == []


async def test_requests_sent_ahead_are_answered_in_order_up_to_a_number(
    service: Running,
) -> None:
    ahead = [request(f"GET /{number}") for number in range(17)]
    async with line_to(service.url) as line:
        await line.send(b"".join(ahead))
        assert [(await line.answer()).status for _ in ahead] == [404] * 17
        await line.send(b"".join(ahead) + request())
        assert [one.status for one in await line.answers()] == [404]
        assert line.is_closed


async def test_every_request_of_a_closed_connection_is_told(
    service: Running, provider: ScriptedProvider
) -> None:
    async with line_to(service.url) as line:
        await open_events(line, await begin_batch(service, provider))
        await line.send(request(), request())
        await asyncio.sleep(0.05)
        answering = next(filter(None, (one._find_answering() for one in service.connections)))
        assert not answering.disconnected
        answering.transport.abort()
        await line.read()
        assert answering.disconnected


async def test_request_that_is_half_here_at_a_stop_is_answered_503(
    service: Running, provider: ScriptedProvider
) -> None:
    async with line_to(service.url) as line:
        await line.send(request(POST, body=ORDER)[:-5])
        await wait_until(lambda: any(one._awaits == "body" for one in service.connections))
        for connection in tuple(service.connections):
            connection.shutdown()
        (answer,) = await line.answers()
    assert (answer.status, answer.problem["code"]) == (503, "stopping")
    assert provider.calls == []


async def test_body_of_a_request_that_wishes_for_http_2_is_read(
    service: Running, provider: ScriptedProvider
) -> None:
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    sent = request(POST, *wish, body=ORDER)
    for pieces in ([sent], [sent[:50], sent[50:-9], sent[-9:]]):
        async with line_to(service.url) as line:
            await line.send(*pieces, pause_s=0.02)
            answer = await line.answer()
            await line.send(request())
            assert (await line.answer()).status == 200
        assert answer.status == 200
    assert len(provider.calls) > 0


# The place of others.


async def test_new_connection_takes_the_place_of_the_longest_idle_one(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with running_service(tmp_path, MAX_CONNECTIONS=4) as service, AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(line_to(service.url)) for _ in range(3)]
        streamed, begun, kept = lines
        await open_events(streamed, await begin_batch(service, provider))
        await service.client.close()  # its connection was the fourth
        await begun.send(request()[:9])
        await kept.send(request())
        assert (await kept.answer()).status == 200
        further = [await stack.enter_async_context(line_to(service.url)) for _ in range(2)]
        for line in further:
            await line.send(request())
            assert (await line.answer()).status == 200
        assert await begun.read() == b""
        assert begun.is_closed
        for line in (streamed, kept):
            await line.read(quiet_s=0.05)
            assert not line.is_closed


async def test_where_all_are_busy_a_new_connection_is_answered_503(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with running_service(tmp_path, MAX_CONNECTIONS=3) as service, AsyncExitStack() as stack:
        path = await begin_batch(service, provider)
        await service.client.close()
        streams = [await stack.enter_async_context(line_to(service.url)) for _ in range(3)]
        for line in streams:
            await open_events(line, path)
        for _ in range(5):
            line = await stack.enter_async_context(line_to(service.url))
            await line.send(request())
            (answer,) = await line.answers()
            assert (answer.status, answer.problem["code"]) == (503, "too_many_connections")
            assert int(answer.headers["retry-after"]) > 0
            assert len(service.connections) <= 4
        streams[0]._writer.transport.abort()
        await wait_until(lambda: len(service.connections) <= 3)
        async with line_to(service.url) as line:
            await line.send(request())
            assert (await line.answer()).status == 200


@pytest.mark.parametrize(
    ("allowed", "wished", "got"),
    [
        ((1024, 1_048_576), 4096, 4096),
        ((1024, 1024), 4096, 824),
        ((1024, 1024), 100, 100),
        ((64, 64), 4096, 16),
        ((256, resource.RLIM_INFINITY), 4096, 4096),
    ],
)
def test_as_many_connections_as_the_open_files_allow(
    monkeypatch: pytest.MonkeyPatch, allowed: tuple[int, int], wished: int, got: int
) -> None:
    now = list(allowed)

    def allow(_: int, wanted: tuple[int, int]) -> None:
        if wanted[0] == resource.RLIM_INFINITY:  # as macOS does
            raise ValueError
        now[:] = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", allow)
    assert fit_connections(wished) == got


async def test_listener_takes_a_few_connections_at_a_time() -> None:
    with listening.listen(load_settings({"PORT": "0"})[0]) as listener, ExitStack() as stack:
        listener.settimeout(0)
        for _ in range(40):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        rounds = []
        for _ in range(3):
            rounds.append(0)
            with contextlib.suppress(BlockingIOError):
                while True:
                    stack.enter_context(listener.accept()[0])
                    rounds[-1] += 1
    assert rounds == [32, 8, 0]
