"""Live events of a batch, as server-sent events and over WebSocket: one timeline feeds both."""

import asyncio
import re
from collections.abc import Awaitable, Coroutine, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, cast

from msgspec import Meta
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from slideloom.domain.feed import FeedItem
from slideloom.domain.messages import Language
from slideloom.engine.timeline import Timeline
from slideloom.errors import InvalidRequest, SlideloomError, StoreError
from slideloom.web.batches import BATCH_ID
from slideloom.web.callers import get_named_batch
from slideloom.web.connections import WritePiece
from slideloom.web.endpoint import Endpoint, Parameter
from slideloom.web.problems import answer_http_error, reader_language
from slideloom.web.streams import LongResponse, run_to_first_wait

_KEEP_ALIVE_S = 15.0
"""Source: contract section 7."""
_COMMENT = b": here\n\n"
_RECONNECT = b"retry: 2000\n\n"
"""Milliseconds after which a browser comes back when the stream breaks off."""
_AFTER = ("query", "after")
_PIECE_BYTES = 64 * 1024
"""About so much is on its way to a reader: one that takes nothing costs no more."""
_NUMBER = r"[0-9]{1,9}"
_KEPT = 32
"""Events whose bytes are kept for the next reader: a long text's may be megabytes."""
_CLOSE_UNKNOWN, _CLOSE_WRONG, _CLOSE_RESTART, _CLOSE_LATER = 4404, 4422, 1012, 1013
"""WebSocket close codes: no such batch, no such number; the service goes away, or is in trouble."""


async def events(request: Request) -> Response:
    """The batch's events from a number on, then each as it happens."""
    last_seen = request.headers.get("last-event-id")
    after = (
        _read_after(last_seen, ("header", "Last-Event-ID"))
        if last_seen
        else _read_after(request.query_params.get("after"), _AFTER)
    )
    timeline = await get_named_batch(request)
    return LongResponse(
        _Reader(timeline, after=after, language=_read_language(request)).read,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        media_type="text/event-stream",
    )


async def websocket(socket: WebSocket) -> None:
    """The same over WebSocket, one JSON object a message."""
    try:
        after = _read_after(socket.query_params.get("after"), _AFTER)
        timeline = await get_named_batch(socket)
    except SlideloomError as error:
        await socket.accept()  # else browsers are told nothing of the reason
        await socket.close(_to_close_code(error), error.code)
        return
    await socket.accept()
    language = _read_language(socket)
    gone = asyncio.create_task(_wait_gone(socket), name="wait for a reader to leave")
    try:
        async for items in timeline.watch(after=after, until=gone):
            for item in items:
                await socket.send_text(_to_message(item, language))
        if not gone.done():
            await socket.close(_CLOSE_RESTART)
    except WebSocketDisconnect:
        pass
    finally:
        gone.cancel()


async def refuse_socket(socket: WebSocket) -> None:
    """There is nothing else to be had over WebSocket."""
    await socket.send_denial_response(await answer_http_error(socket, HTTPException(404)))


class _Reader:
    """One reader of a stream, who costs no task: each event is sent when it is announced.

    What a slow connection does not take at once waits for it in a task of its own.
    """

    __slots__ = (
        *("_after", "_is_over", "_language", "_rest"),
        *("_send", "_timeline", "_timer", "_write_piece"),
    )

    def __init__(self, timeline: Timeline, *, after: int, language: Language) -> None:
        self._timeline = timeline
        self._after = after
        self._language: Language = language
        self._rest: asyncio.Task[None] | None = None
        self._is_over = False
        """Whether the last piece was sent: news may be called out once more."""

    async def read(self, receive: Receive, send: Send, write_piece: WritePiece) -> None:
        """Send server-sent events until the reader goes away, or the service."""
        self._send, self._write_piece = send, write_piece
        self._push(_RECONNECT)
        self._keep_alive()
        self._timeline.listen(self._tell)
        try:
            self._tell()
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._timeline.hush(self._tell)
            self._timer.cancel()
            if self._rest is not None:
                self._rest.cancel()

    def _tell(self) -> None:
        feed = self._timeline.feed
        while self._rest is None and self._after < len(feed):
            self._push(self._take_piece(feed))
        if self._timeline.is_closed and self._rest is None and not self._is_over:
            self._is_over = True
            self._push(b"", is_last=True)

    def _take_piece(self, feed: Sequence[FeedItem]) -> bytes:
        """Some of the events that were not sent yet."""
        frames, size_bytes = [], 0
        while self._after < len(feed) and size_bytes < _PIECE_BYTES:
            frame = _to_frame(feed[self._after], self._language)
            frames.append(frame)
            size_bytes += len(frame)
            self._after += 1
        return b"".join(frames)

    def _keep_alive(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_KEEP_ALIVE_S, self._keep_alive)
        if self._rest is None and not self._is_over:
            self._push(_COMMENT)

    def _push(self, piece: bytes, *, is_last: bool = False) -> None:
        if not is_last and self._write_piece(piece):
            return
        body = {"type": "http.response.body", "body": piece, "more_body": not is_last}
        rest = run_to_first_wait(cast("Coroutine[Any, Any, None]", self._send(body)))
        if rest is not None:
            self._rest = asyncio.create_task(self._finish(rest), name="send to a slow reader")

    async def _finish(self, rest: Awaitable[None]) -> None:
        await rest
        self._rest = None
        self._tell()


async def _wait_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass  # nothing is expected of readers, be it text or not


def _to_close_code(error: SlideloomError) -> int:
    match error:
        case InvalidRequest():
            return _CLOSE_WRONG
        case StoreError():
            return _CLOSE_LATER
        case _:
            return _CLOSE_UNKNOWN


@lru_cache(maxsize=_KEPT)
def _to_frame(item: FeedItem, language: Language) -> bytes:
    """The event on the stream; all who are at it are sent the same bytes."""
    name, data = item.name.encode(), item.to_json(language)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (item.number, name, data)


@lru_cache(maxsize=_KEPT)
def _to_message(item: FeedItem, language: Language) -> str:
    data = item.to_json(language).decode()
    return f'{{"id":{item.number},"event":"{item.name}","data":{data}}}'


def _read_language(connection: HTTPConnection) -> Language:
    """As `lang` says: a page cannot set the header here; else as the header says."""
    match connection.query_params.get("lang"):
        case "en" | "zh" as chosen:
            return chosen
        case _:
            return reader_language(connection)


def _read_after(text: str | None, loc: tuple[str, str]) -> int:
    """The number behind which a reader wants to begin; 0 where it says nothing at `loc`.

    Raises:
        InvalidRequest: it is no number.
    """
    if not text:
        return 0
    if re.fullmatch(_NUMBER, text) is None:
        message = "must be the number of an event"
        raise InvalidRequest(message, loc)
    return int(text)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/slide/batch/{batch_id}/events",
        handler=events,
        summary="The batch's events, live (server-sent events)",
        tag="Batches",
        answers={200: None},
        media_type="text/event-stream",
        problems=(404, 422, 503),
        parameters=(
            BATCH_ID,
            Parameter(
                name="Last-Event-ID",
                where="header",
                type=Annotated[str, Meta(pattern=f"^{_NUMBER}$")],
                description="Begin behind this event; browsers send it when they come back.",
            ),
            Parameter(
                name="after",
                where="query",
                type=Annotated[int, Meta(ge=0, le=999_999_999)],
                description="The same, for a first connection: a status's `last_event_id`.",
            ),
            Parameter(
                name="lang",
                where="query",
                type=Literal["en", "zh"],
                description="The messages' language, before `Accept-Language`.",
            ),
        ),
    ),
)
