"""Two plain services that send the same events to every reader: run as `queue` or `direct`."""

import asyncio
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

_EVENTS = 60
_EVERY_S = 0.05
_DATA = b'{"batch_id":"b","slide":"' + b"x" * 900 + b'"}'
"""As long as a slide's result item."""


def _frame(number: int) -> bytes:
    name = b"batch.finished" if number == _EVENTS else b"batch.progress"
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name, _DATA)


class QueueEach:
    """The usual way: a queue and a generator for each reader."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()

    async def events(self, _: Request) -> Response:
        """Stream what comes."""
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.add(queue)

        async def stream() -> object:
            try:
                while True:
                    yield await queue.get()
            finally:
                self._queues.discard(queue)

        return StreamingResponse(stream(), media_type="text/event-stream")  # type: ignore[arg-type]

    async def tell(self, frame: bytes) -> None:
        """Hand it to all."""
        for queue in self._queues:
            queue.put_nowait(frame)


class DirectSend:
    """The floor: one loop hands the bytes to each connection."""

    def __init__(self) -> None:
        self._sends: list[Send] = []

    async def events(self, _: Request) -> Response:
        """Register the connection, and wait."""
        return _Held(self._sends)

    async def tell(self, frame: bytes) -> None:
        """Hand it to all."""
        message = {"type": "http.response.body", "body": frame, "more_body": True}
        for send in self._sends:
            await send(message)


class _Held(Response):
    media_type = "text/event-stream"

    def __init__(self, sends: list[Send]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._sends = sends

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self._sends.append(send)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._sends.remove(send)


async def main(kind: str) -> None:
    """Serve; `POST /begin` sends the events."""
    way = QueueEach() if kind == "queue" else DirectSend()

    async def send_all() -> None:
        for number in range(1, _EVENTS + 1):
            await way.tell(_frame(number))
            await asyncio.sleep(_EVERY_S)

    tasks = []

    async def begin(_: Request) -> Response:
        tasks.append(asyncio.create_task(send_all(), name="send all"))
        return Response()

    app = Starlette(routes=[Route("/events", way.events), Route("/begin", begin, methods=["POST"])])
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=0, log_level="warning", loop="asyncio", http="httptools", backlog=4096
        )
    )
    serving = asyncio.create_task(server.serve(), name="serve")
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await serving


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
