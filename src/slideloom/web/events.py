"""Live events of a batch, as server-sent events and over WebSocket: one timeline feeds both."""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from typing import Literal

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from slideloom.assembly import Services
from slideloom.domain.feed import FeedItem
from slideloom.domain.messages import Language
from slideloom.engine.timeline import Timeline
from slideloom.errors import InvalidRequest, SlideloomError
from slideloom.web.batches import BATCH_ID
from slideloom.web.endpoint import Endpoint, Parameter, services
from slideloom.web.problems import reader_language

_KEEP_ALIVE_S = 15.0
"""Source: contract section 7."""
_COMMENT = b": here\n\n"
_RECONNECT = b"retry: 2000\n\n"
"""Milliseconds after which a browser comes back when the stream breaks off."""
_NUMBER = re.compile(r"[0-9]{1,9}")
_CLOSE_UNKNOWN, _CLOSE_WRONG, _CLOSE_RESTART = 4404, 4422, 1012
"""WebSocket close codes: no such batch, no such number; the service goes away."""


async def events(request: Request) -> Response:
    """The batch's events from a number on, then each as it happens."""
    after = _read_after(
        request.headers.get("last-event-id") or request.query_params.get("after"), "Last-Event-ID"
    )
    timeline = await services(request).engine.get(request.path_params["batch_id"])
    return _EventStream(timeline, after=after, language=_read_language(request))


async def websocket(socket: WebSocket) -> None:
    """The same over WebSocket, one JSON object a message."""
    parts: Services = socket.app.state.services
    try:
        after = _read_after(socket.query_params.get("after"), "after")
        timeline = await parts.engine.get(socket.path_params["batch_id"])
    except SlideloomError as error:
        await socket.accept()  # else browsers are told nothing of the reason
        is_wrong = isinstance(error, InvalidRequest)
        await socket.close(_CLOSE_WRONG if is_wrong else _CLOSE_UNKNOWN, error.code)
        return
    await socket.accept()
    language = _read_language(socket)
    gone = asyncio.ensure_future(_wait_gone(socket))
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


class _EventStream(Response):
    """Server-sent events; ends when the reader goes away, or the service."""

    media_type = "text/event-stream"

    def __init__(self, timeline: Timeline, *, after: int, language: Language) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._timeline = timeline
        self._after = after
        self._language: Language = language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await _send_piece(send, _RECONNECT)
        gone = asyncio.ensure_future(_wait_disconnected(receive))
        try:
            stream = self._timeline.watch(
                after=self._after, until=gone, at_least_every_s=_KEEP_ALIVE_S
            )
            async for items in stream:
                await _send_piece(send, _to_frames(items, self._language) or _COMMENT)
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_piece(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _wait_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _wait_gone(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()  # nothing is expected of readers


def _to_frames(items: Sequence[FeedItem], language: Language) -> bytes:
    return b"".join(
        b"id: %d\nevent: %s\ndata: %s\n\n"
        % (item.number, item.name.encode(), item.to_json(language))
        for item in items
    )


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


def _read_after(text: str | None, name: str) -> int:
    """The number behind which a reader wants to begin; 0 where it says nothing.

    Raises:
        InvalidRequest: it is no number.
    """
    if not text:
        return 0
    if _NUMBER.fullmatch(text) is None:
        message = "must be the number of an event"
        raise InvalidRequest(message, ("header", name))
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
                type=str,
                description="Begin behind this event; browsers send it when they come back.",
            ),
            Parameter(
                name="after",
                where="query",
                type=int,
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
