"""Connections to a provider: who is asked, with which key, and how far a call got."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
from msgspec import Struct

from slideloom.errors import AnswerLost, ProviderError, RequestNotSent

CONNECT_TIMEOUT_S = 15.0
"""For finding and reaching a host, TLS included; the caller bounds everything after."""
_READ_BUFFER_BYTES = 256 * 1024
"""aiohttp pauses reading at twice that: never, for a tap empties its buffer at once."""
_FIRST_READ_BYTES = 16 * 1024
"""How much a plain connection reads at once before its body is tapped."""
_AT_ONCE_S = 0.5
"""A kept connection that breaks sooner was closed before it was used: no model is that fast."""


class ThriftySocket(socket.socket):
    """Reads little at once; asyncio would take 256 KiB of every answer before it is looked at."""

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """See `socket.socket`."""
        return super().recv(min(bufsize, _FIRST_READ_BYTES), flags)


def make_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket for `address`, not yet connected."""
    family, kind, protocol, _, _ = address
    return ThriftySocket(family, kind, protocol)


def open_session(
    connector: aiohttp.TCPConnector,
    *,
    headers: Mapping[str, str] | None = None,
    read_timeout_s: float | None = None,
    trace: aiohttp.TraceConfig | None = None,
) -> aiohttp.ClientSession:
    """A session that keeps no cookies, obeys no environment, and sets no total deadline."""
    return aiohttp.ClientSession(
        connector=connector,
        headers={"Accept-Encoding": "identity", "User-Agent": "slideloom", **(headers or {})},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=None,
            connect=CONNECT_TIMEOUT_S,
            sock_connect=CONNECT_TIMEOUT_S,
            sock_read=read_timeout_s,
        ),
        read_bufsize=_READ_BUFFER_BYTES,
        trace_configs=[trace] if trace else None,
    )


class _Stale(RequestNotSent):
    """A kept connection was dropped as it was used again."""


class _Trip(Struct):
    """How far one request got."""

    started_s: float
    is_reused: bool = False
    """Whether it went out on a kept connection."""


class ProviderLine:
    """The connections to one provider, with its key; made on the running loop."""

    def __init__(self, key: str) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self._kept = open_session(
            aiohttp.TCPConnector(limit=0, socket_factory=make_socket), headers=headers, trace=trace
        )
        self._fresh = open_session(
            aiohttp.TCPConnector(limit=0, socket_factory=make_socket, force_close=True),
            headers=headers,
            trace=trace,
        )

    @asynccontextmanager
    async def send(self, url: str, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and wait for the head of its answer.

        The connection is closed at the end, unless the answer was read whole.

        Raises:
            RequestNotSent: certainly nobody was asked.
            AnswerLost: somebody may have been.
        """
        try:
            response = await _post(self._kept, url, body)
        except _Stale:
            response = await _post(self._fresh, url, body)
        try:
            yield response
        finally:
            # Reading stops here, also when the caller was cancelled: the provider may notice.
            if response.content.is_eof():
                response.release()
            else:
                response.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._kept.close()
        await self._fresh.close()


async def _note_reuse(
    session: aiohttp.ClientSession,  # noqa: ARG001 - the signal's signature
    context: SimpleNamespace,
    params: aiohttp.TraceConnectionReuseconnParams,  # noqa: ARG001 - the signal's signature
) -> None:
    context.trace_request_ctx.is_reused = True


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> aiohttp.ClientResponse:
    trip = _Trip(asyncio.get_running_loop().time())
    upload = aiohttp.UploadTracker()
    try:
        return await session.post(
            url,
            data=body,
            headers={"Content-Type": "application/json"},
            allow_redirects=False,
            trace_request_ctx=trip,
            upload_tracker=upload,
        )
    except (aiohttp.ClientError, OSError) as error:
        raise _explain(error, trip, upload) from error


def _explain(error: Exception, trip: _Trip, upload: aiohttp.UploadTracker) -> ProviderError:
    """What it means for the bill that no answer came."""
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return RequestNotSent(words)
    is_answer = isinstance(error, aiohttp.ClientResponseError)
    took_s = asyncio.get_running_loop().time() - trip.started_s
    if trip.is_reused and took_s < _AT_ONCE_S and not is_answer:
        return _Stale(words)
    if upload.upload_complete.done() and upload.upload_complete.exception() and not is_answer:
        return RequestNotSent(words)
    return AnswerLost(words)
