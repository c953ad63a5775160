"""Answers that go on for minutes: sent on from here, when the way in is unwound.

A handler's answer comes down through a dozen coroutines, each with a frame to keep and a
`send` to go through: with a thousand readers that is most of what a reader costs.
"""

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from slideloom.web.connections import WRITE_PIECE, WritePiece

Body = Callable[[Receive, Send, WritePiece], Awaitable[None]]
"""Sends the pieces of a body, up to the last; those that `WritePiece` takes need no `send`."""
_KEY = "slideloom.body"


class LongResponse(Response):
    """Begins an answer whose body `LongResponses` sends on."""

    def __init__(self, body: Body, *, headers: dict[str, str], media_type: str) -> None:
        super().__init__(headers=headers, media_type=media_type)
        del self.headers["content-length"]
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head, which is all that some ask for."""
        del receive
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body"})
        else:
            scope[_KEY] = self._body


class LongResponses:
    """Around the whole application, its outermost middleware too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, then send what it left to be sent."""
        await self._app(scope, receive, send)
        body: Body | None = scope.pop(_KEY, None)
        if body is not None:
            await body(receive, send, scope.get(WRITE_PIECE, _take_none))


def _take_none(_: bytes) -> bool:
    return False


def run_to_first_wait(coroutine: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Run a coroutine now, without a task; what is left to await, if it has to wait."""
    try:
        waited_for = coroutine.send(None)
    except StopIteration:
        return None
    return _run_on(coroutine, waited_for)


@types.coroutine
def _run_on(coroutine: Coroutine[Any, Any, None], waited_for: object) -> Generator[Any, Any, None]:
    try:
        while True:
            yield waited_for
            waited_for = coroutine.send(None)
    except StopIteration:
        pass
    finally:
        coroutine.close()
