"""Whoever answers in a Slideloom's place: garbage ends as an error of ours, and takes no memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from slideloom.client import AsyncBatch, AsyncClient, Refused, UnexpectedAnswer

_DEEP = b'{"unknown":' + b"[" * 100_000


def whole(body: bytes, *, status: str = "200 OK", more: str = "") -> bytes:
    """An HTTP answer that is all there."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


@asynccontextmanager
async def hostile(answer: bytes, *, for_ever: bytes = b"") -> AsyncIterator[AsyncClient]:
    """A client of a server that says `answer` to everything, and `for_ever` again and again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            while for_ever:
                writer.write(for_ever)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with AsyncClient(f"http://127.0.0.1:{port}", patience_s=0) as client:
            yield client


def batch_of(client: AsyncClient) -> AsyncBatch:
    """A batch whose status nobody asked for."""
    return AsyncBatch(client._caller, client._batches, "any")


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"NaN", b'{"batch_id":"\xff"}', b"[" * 100_000, _DEEP]
)
async def test_body_that_is_no_status_is_unexpected(body: bytes) -> None:
    async with hostile(whole(body)) as client:
        with pytest.raises(UnexpectedAnswer):
            await client.get("any")


@pytest.mark.parametrize("body", [b"<html>", b'{"status":"\0"}', b'{"title":"\xff"}', _DEEP])
async def test_body_that_is_no_problem_is_a_refusal_all_the_same(body: bytes) -> None:
    async with hostile(whole(body, status="400 No")) as client:
        with pytest.raises(Refused, match="400 No"):
            await client.get("any")


@pytest.mark.parametrize("status", ["200 OK", "500 No"])
async def test_answer_without_an_end_is_given_up(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slideloom.client.caller._MOST_BYTES", 1_000_000)
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode()
    async with hostile(head, for_ever=b" " * 10_000) as client:
        with pytest.raises(UnexpectedAnswer, match="no end"):
            await client.get("any")


@pytest.mark.parametrize(
    "frame",
    [
        b"id: 1\nevent: batch.started\ndata: {}\n\n",
        b"id: 1\nevent: batch.started\ndata: " + _DEEP + b"\n\n",
        b'id: 1\nevent: slide.done\ndata: {"batch_id":"\xff"}\n\n',
        b"id: \xff\nevent: \xff\ndata: {}\n\nid: 2\nevent: slide.done\ndata: []\n\n",
        b"id: %s\nevent: slide.done\ndata: {}\n\nid: 2\nevent: slide.done\ndata: []\n\n"
        % (b"9" * 5000),
        b"data: " + b"x" * 2_000_000,
    ],
)
async def test_event_that_is_none_is_unexpected(
    frame: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slideloom.client.sse._MOST_BYTES", 1_000_000)
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    async with hostile(head + frame) as client:
        with pytest.raises(UnexpectedAnswer):
            await anext(batch_of(client).events())


async def test_missing_pages_of_odd_lengths_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    more = f"X-Missing-Slides: 2, -5, x, \xb2, {'9' * 5000}\r\n"
    async with hostile(whole(b"x", more=more)) as client:
        made = await batch_of(client).export(tmp_path / "deck.zip")
    assert made.missing == (2, -5)
