"""The floor: what receiving, decoding and writing a picture costs when nothing else is done.

One raw protocol over one shared buffer, base64 decoded in pieces, plain writes on the loop,
nothing synced. It understands only the answers of our own emulator, and no faults.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pybase64

_BUFFER = memoryview(bytearray(256 * 1024))
_MARKER = b'"b64_json":"'
_QUAD = 4


async def fetch_all(base_url: str, count: int, folder: Path, *, concurrency: int) -> None:
    """Fetch `count` pictures into `folder`, `concurrency` at a time."""
    slots = asyncio.Semaphore(concurrency)

    async def fetch(number: int) -> None:
        async with slots:
            await fetch_one(base_url, f"page {number}", folder / f"floor-{number}.png")

    await asyncio.gather(*(fetch(number) for number in range(count)))


async def fetch_one(base_url: str, prompt: str, path: Path) -> None:
    """Fetch one picture into `path`."""
    url = urlsplit(base_url)
    assert url.hostname is not None
    assert url.port is not None
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    body = msgspec.json.encode({"model": "m", "prompt": prompt})
    head = f"POST {url.path}/images HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bench\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with path.open("wb", buffering=0) as file:
        transport, _ = await loop.create_connection(
            lambda: _Reader(file.write, done), url.hostname, url.port
        )
        transport.write(request)
        try:
            await done
        finally:
            transport.close()


class _Reader(asyncio.BufferedProtocol):
    """Takes one answer."""

    def __init__(self, write: Callable[[bytes], object], done: asyncio.Future[None]) -> None:
        self._write = write
        self._done = done
        self._is_begun = False
        self._carry = b""

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        chunk = _BUFFER[:nbytes]
        raw = chunk.obj
        assert isinstance(raw, bytearray)
        start = 0
        if not self._is_begun:
            # Our emulator sends its head and the marker in one segment.
            at = raw.find(_MARKER, 0, nbytes)
            if at < 0:
                return
            self._is_begun = True
            start = at + len(_MARKER)
        end = raw.find(b'"', start, nbytes)
        self._decode(chunk[start : nbytes if end < 0 else end])
        if end >= 0 and not self._done.done():
            self._done.set_result(None)

    def _decode(self, run: memoryview) -> None:
        if self._carry:
            lead = _QUAD - len(self._carry)
            self._put(self._carry + bytes(run[:lead]))
            run = run[lead:]
        cut = len(run) - len(run) % _QUAD
        self._put(run[:cut])
        self._carry = bytes(run[cut:])

    def _put(self, run: bytes | memoryview) -> None:
        self._write(pybase64.b64decode(run, validate=True))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or EOFError("the answer ended early"))
