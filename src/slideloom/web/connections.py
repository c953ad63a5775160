"""The HTTP server's connections: a piece of a stream can be written past the ASGI messages."""

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WritePiece = Callable[[bytes], bool]
"""Writes a piece of the body of an answer that goes on; whether the connection took it."""
WRITE_PIECE = "slideloom.write_piece"
"""Where a request's scope has that, when one of our connections brought it."""


class Connection(HttpToolsProtocol):
    """A connection of uvicorn's which offers `WRITE_PIECE`, beside `send`.

    A message for `send` is a coroutine and a dict: with a thousand readers of the same bytes,
    half of what telling them takes outside the system calls.
    """

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope[WRITE_PIECE] = self._write_piece  # type: ignore[literal-required]

    def _write_piece(self, piece: bytes) -> bool:
        answer = self.cycle  # another one's, when a further request waits behind: then not begun
        if not answer.chunked_encoding or answer.disconnected or self.flow.write_paused:
            return False
        self.transport.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        return True
