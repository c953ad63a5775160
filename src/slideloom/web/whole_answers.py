"""Answers in one piece: head and body go to the connection together.

uvicorn writes them one after the other, a system call each, and looks at every header with two
regexes: an eighth of what a status poll costs.
"""

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_WITHOUT_BODY = (204, 304)


class WholeAnswers:
    """ASGI middleware around everything else, answers that go on for minutes too.

    What is no answer of known length, in one message, on a kept connection goes uvicorn's way.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through."""
        answer = getattr(send, "__self__", None)
        if not isinstance(answer, RequestResponseCycle) or scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        piece = _OnePiece(answer)
        try:
            await self._app(scope, receive, piece.send)
        finally:
            await piece.let_go()


class _OnePiece:
    """An ASGI `send` that keeps the head until the body is there."""

    __slots__ = ("_answer", "_head")

    def __init__(self, answer: RequestResponseCycle) -> None:
        self._answer = answer
        self._head: Message | None = None

    async def send(self, message: Message) -> None:
        """See ASGI."""
        if message["type"] == "http.response.start" and _is_short(message):
            self._head = message
        elif self._head is None or message.get("more_body") or not self._write(message):
            await self.let_go()
            await self._answer.send(message)  # type: ignore[arg-type]  # ASGI's own dicts

    async def let_go(self) -> None:
        """Send the head, if it is still here."""
        head, self._head = self._head, None
        if head is not None:
            await self._answer.send(head)  # type: ignore[arg-type]  # ASGI's own dicts

    def _write(self, message: Message) -> bool:
        """Whether all could be written at once; nothing here waits."""
        answer, head, body = self._answer, self._head, message.get("body", b"")
        if head is None or not _takes_all(answer):
            return False
        headers: Sequence[tuple[bytes, bytes]] = (*answer.default_headers, *head["headers"])
        lines = [STATUS_LINE[head["status"]]]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        text = b"".join(lines)
        if text.count(b"\n") != len(headers) + 1 or text.count(b"\r") != len(headers) + 1:
            return False  # a header that is none: uvicorn says so
        self._head = None
        answer.response_started = answer.response_complete = True
        answer.message_event.set()
        answer.transport.write(b"".join((text, b"\r\n", body)))
        answer.on_response()
        return True


def _is_short(head: Message) -> bool:
    """Whether the body comes at once, or there is none."""
    has_length = any(name == b"content-length" for name, _ in head["headers"])
    return has_length or head["status"] in _WITHOUT_BODY


def _takes_all(answer: RequestResponseCycle) -> bool:
    return (
        answer.keep_alive
        and not answer.response_started
        and not answer.disconnected
        and not answer.waiting_for_100_continue
        and not answer.flow.write_paused
    )
