"""The short way to the questions asked most: how a batch is."""

import re

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from slideloom.errors import SlideloomError
from slideloom.web.batches import show, status
from slideloom.web.endpoint import Handler
from slideloom.web.problems import answer_error

_BATCH_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class PollPaths:
    """Knows a poll when it sees one."""

    def __init__(self, prefix: str) -> None:
        self._status = f"{prefix}/slide/batch/status"
        self._show = re.compile(f"{re.escape(prefix)}/slide/batch/({_BATCH_ID})")

    def find(self, scope: Scope) -> tuple[Handler, dict[str, str]] | None:
        """Who answers the request, and the path's parameters; if programs write a poll so."""
        if scope["method"] == "POST":
            return (status, {}) if scope["path"] == self._status else None
        found = self._show.fullmatch(scope["path"]) if scope["method"] == "GET" else None
        return None if found is None else (show, {"batch_id": found[1]})


class Polls:
    """ASGI middleware, the innermost: goes past the router, which costs more than the answer.

    What is not quite as programs write it finds its way by the router.
    """

    def __init__(self, app: ASGIApp, paths: PollPaths) -> None:
        self._app = app
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the request through."""
        poll = self._paths.find(scope) if scope["type"] == "http" else None
        if poll is None:
            await self._app(scope, receive, send)
            return
        handler, scope["path_params"] = poll
        request = Request(scope, receive, send)
        try:
            answer = await handler(request)
        except SlideloomError as error:
            answer = await answer_error(request, error)
        await answer(scope, receive, send)
