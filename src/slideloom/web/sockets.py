"""The HTTP server's WebSocket connections: what is no handshake is refused like all else."""

from http import HTTPStatus

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame
from websockets.http11 import Request, Response
from websockets.typing import StatusLike

from slideloom.web.refusals import Refusal, build_answer


class SocketConnection(WebSocketsSansIOProtocol):
    """uvicorn's, without plain text in its answers, or faults in the log for others' mistakes."""

    def data_received(self, data: bytes) -> None:
        """Read a piece; the first one is the handshake's whole head."""
        super().data_received(data)
        if not self.handshake_initiated and not self.close_sent:
            # The library is silent about one that it cannot read: it has too many headers.
            self.handshake_complete = self.close_sent = True
            self.transport.write(_refuse(400, "its headers cannot be read").serialize())
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        """A handshake."""
        self.conn.reject = _refuse  # type: ignore[method-assign]  # uvicorn builds `conn` itself
        super().handle_connect(event)
        del self.conn.reject  # what is refused from here on is not the sender's fault

    def handle_text(self, event: Frame) -> None:
        """Nobody reads it, so it need not be text."""
        self.handle_bytes(event)

    async def send(self, message: ASGISendEvent) -> None:
        """Send what the application says; with a refusal it has done all it should."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # else uvicorn calls it a fault


def _refuse(status: StatusLike, text: str) -> Response:
    """The problem that `text` tells; whatever it is, it is the sender's."""
    answered = HTTPStatus(status if status < HTTPStatus.INTERNAL_SERVER_ERROR else 400)
    detail = f"This is no WebSocket handshake: {text.strip()}"
    headers, body = build_answer(Refusal(answered, "invalid_request", detail))
    told = Headers((name.decode(), value.decode()) for name, value in headers)
    return Response(answered.value, answered.phrase, told, body)
