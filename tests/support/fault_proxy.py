"""A TCP proxy in front of a service, whose connections break when the test wants it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from queue import Queue
from urllib.parse import urlsplit


class FaultProxy:
    """Passes bytes on; made by `fault_proxy`."""

    def __init__(self, url: str) -> None:
        self.target = url
        """Where connections to come are passed on to."""
        self.url = ""
        self.limit: Callable[[bytes], int | None] = lambda _: None
        """How many bytes of the answer to a request pass before the connection breaks."""
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Break every connection there is."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection's bytes on, both ways, until one side is through."""
        self.connections += 1
        parts = urlsplit(self.target)
        try:
            far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        left: list[int | None] = [None]
        ways = (
            asyncio.create_task(self._pass_up(reader, far_writer, left)),
            asyncio.create_task(_pass_down(far_reader, writer, left)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._writers -= {writer, far_writer}
            writer.close()
            far_writer.close()

    async def _pass_up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int | None]
    ) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                left[0] = self.limit(piece)
                writer.write(piece)
                await writer.drain()


async def _pass_down(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int | None]
) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece[: left[0]])
            await writer.drain()
            if left[0] is not None:
                left[0] -= len(piece)
                if left[0] <= 0:
                    return


@asynccontextmanager
async def fault_proxy(url: str) -> AsyncIterator[FaultProxy]:
    """A proxy in front of the service at `url`."""
    proxy = FaultProxy(url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        while proxy._writers:
            proxy.cut()
            await asyncio.sleep(0.001)  # whoever keeps its connections hears of it
        await asyncio.sleep(0)


@contextmanager
def fault_proxy_apart(url: str) -> Iterator[FaultProxy]:
    """The same in a thread of its own, for tests that wait for processes; set, but never `cut`."""
    made: Queue[FaultProxy] = Queue()
    over = threading.Event()

    async def serve() -> None:
        async with fault_proxy(url) as proxy:
            made.put(proxy)
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield made.get(timeout=10)
    finally:
        over.set()
        thread.join()
