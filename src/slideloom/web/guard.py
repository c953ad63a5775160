"""In front of every handler: the doors, a request id, one log line, and headers for the readers."""

import os
import re
import time

from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slideloom.assembly import Services
from slideloom.errors import RequestError
from slideloom.tracing import Span, Trace, Tracer, read_trace, within
from slideloom.web.callers import find_caller
from slideloom.web.doors import Doors
from slideloom.web.headers import PROTECTION, Headers
from slideloom.web.pages import FOLDERS
from slideloom.web.polls import PollPaths
from slideloom.web.problems import answer_error

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_VARY = (b"vary", b"Origin")
"""Caches must not give another site's page what was answered to none."""
_CLIENT_GONE = 499
"""As web servers log it."""
_QUIET = ("/healthz", "/readyz", "/metrics", *FOLDERS)
"""Not logged when they succeed, nor traced, as polls are not: they would bury what matters.

A thousand who ask once a second would write 17 GB a day; and the line costs more than the answer.
"""
_UNTOLD = Span(Tracer(), Trace(trace_id="0" * 32, span_id="0" * 16))
"""Of such a request."""
_FIRST_BAD_STATUS, _FIRST_FAULT_STATUS = 400, 500


class Guard:
    """ASGI middleware; the log is that of the app's services, once they are open."""

    def __init__(self, app: ASGIApp, doors: Doors, polls: PollPaths) -> None:
        self._app = app
        self._doors = doors
        self._polls = polls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, dressed."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        if scope["type"] == "websocket":
            await self._shake_hands(scope, receive, _note_refusal(scope, send, request_id))
            return
        if self._is_quiet(scope):
            await self._answer(scope, receive, send, request_id=request_id, span=_UNTOLD)
            return
        span = _services(scope).tracer.begin(
            "request",
            read_trace(scope["headers"]),
            request_id=request_id,
            method=scope["method"],
            scheme=scope["scheme"],
            path=scope["path"],
        )
        with within(span):
            await self._answer(scope, receive, send, request_id=request_id, span=span)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, *, request_id: str, span: Span
    ) -> None:
        started_s = time.perf_counter()
        status = 500

        async def send_dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                scope["state"][_ANSWERED] = True
                message["headers"] = _dress(message["headers"], request_id)
            await send(message)

        try:
            self._doors.check(scope)
            await self._app(scope, receive, send_dressed)
        except RequestError as error:  # of the doors: what handlers raise is answered below
            await _refuse(scope, receive, send_dressed, error)
        except ClientDisconnect:
            status = _CLIENT_GONE
        finally:
            _note_end(span, scope, status)
            if status >= _FIRST_BAD_STATUS or span is not _UNTOLD:
                caller = find_caller(scope)
                _services(scope).log.info(
                    "request",
                    request_id=request_id,
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    seconds=round(time.perf_counter() - started_s, 4),
                    **({} if caller is None else {"caller": caller}),
                )

    def _is_quiet(self, scope: Scope) -> bool:
        return scope["path"].startswith(_QUIET) or self._polls.find(scope) is not None

    async def _shake_hands(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._doors.check(scope)
        except RequestError as error:
            await _refuse(scope, receive, send, error)
        else:
            await self._app(scope, receive, send)


class LastResort:
    """ASGI middleware around the handlers: what nobody caught becomes an answer, and is logged.

    Below what lets other sites' pages read answers, so that they can read this one, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through; give an answer if there is none."""
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            raise
        except RequestError as error:
            await _refuse(scope, receive, send, error)
        except Exception as error:
            if scope["type"] != "http":
                raise
            request_id = scope["state"]["request_id"]
            _services(scope).log.error("request_crashed", request_id=request_id, exc_info=error)
            if _ANSWERED in scope["state"]:
                raise  # the server closes the connection: the answer is visibly cut
            await _refuse(scope, receive, send, error)


_ANSWERED = "is_answered"
"""In a request's state, once its answer has begun."""


async def _refuse(scope: Scope, receive: Receive, send: Send, error: Exception) -> None:
    """Answer with the problem; a WebSocket handshake is answered so, too."""
    answer = await answer_error(HTTPConnection(scope), error)
    await answer(scope, receive, send)


def _dress(headers: Headers, request_id: str) -> Headers:
    """With our own beside them; what an answer says for itself stays."""
    names = {name for name, _ in headers}
    ours = [header for header in PROTECTION if header[0] not in names]
    return [*headers, (b"x-request-id", request_id.encode()), _VARY, *ours]


def _note_refusal(scope: Scope, send: Send, request_id: str) -> Send:
    """To a WebSocket handshake: dressed and logged as other answers are."""

    async def send_dressed(message: Message) -> None:
        if message["type"] == "websocket.http.response.start":
            message["headers"] = _dress(message["headers"], request_id)
            _services(scope).log.info(
                "request",
                request_id=request_id,
                method="WEBSOCKET",
                path=scope["path"],
                status=message["status"],
            )
        await send(message)

    return send_dressed


def _note_end(span: Span, scope: Scope, status: int) -> None:
    span.note(route=getattr(scope.get("route"), "path", None), status=status)
    if status >= _FIRST_FAULT_STATUS:
        span.note(error_code=str(status))


def _services(scope: Scope) -> Services:
    parts: Services = scope["app"].state.services
    return parts


def _request_id(scope: Scope) -> str:
    """The caller's own id when it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return os.urandom(16).hex()
