"""Connections to a provider: who is asked, and how far a call got."""

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from slideloom.errors import AnswerLost, ProviderError, RequestNotSent
from slideloom.providers.bases import read_place
from slideloom.providers.trouble import describe_trouble
from slideloom.tracing import trace_headers

CONNECT_TIMEOUT_S = 15.0
"""For finding and reaching a host, TLS included; the caller bounds everything after."""
_READ_BUFFER_BYTES = 256 * 1024
"""aiohttp pauses reading at twice that: never, for a tap empties its buffer at once."""
_FIRST_READ_BYTES = 16 * 1024
"""How much a plain connection reads at once before its body is tapped."""


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
    )


class ProviderLine:
    """The connections to one provider; made on the running loop.

    Each call has a connection of its own. A call takes seconds, a handshake a
    fraction of one; and a kept connection may be closed just when it is used
    again, so that nobody knows whether the call was paid, or hold bytes of an
    earlier answer, so that a slide gets another one's picture.
    """

    def __init__(self) -> None:
        self._session = open_session(
            aiohttp.TCPConnector(limit=0, socket_factory=make_socket, force_close=True),
            headers={"Accept": "application/json"},
        )

    @asynccontextmanager
    async def send(
        self, url: str, body: bytes | None = None, *, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and wait for the head of its answer; the connection is closed at the end.

        Args:
            url: whom to ask.
            body: JSON to post; without one it is a plain GET.
            headers: what shows the key, in the way of the dialect spoken in this call.

        Raises:
            RequestNotSent: certainly nobody was asked.
            AnswerLost: somebody may have been.
        """
        upload = aiohttp.UploadTracker()
        posted: dict[str, Any] = {}
        if body is not None:
            posted = {"data": body, "upload_tracker": upload}
            headers = {**headers, "Content-Type": "application/json"}
        try:
            response = await self._session.request(
                "GET" if body is None else "POST",
                url,
                headers={**headers, **trace_headers()},
                allow_redirects=False,
                **posted,
            )
        except (aiohttp.ClientError, OSError) as error:
            raise _explain(error, upload, place=read_place(url)) from error
        try:
            yield response
        finally:
            # Also when the caller was cancelled: the provider may notice.
            response.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


def _explain(error: Exception, upload: aiohttp.UploadTracker, *, place: str) -> ProviderError:
    """What it means for the bill that no answer came."""
    words = describe_trouble(error, place=place)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return RequestNotSent(words)
    is_answer = isinstance(error, aiohttp.ClientResponseError)
    # Still pending: the rest of the request is in our own buffer, so nobody has all of it.
    is_sent = upload.upload_complete.done() and not upload.upload_complete.exception()
    if not is_sent and not is_answer:
        return RequestNotSent("the connection was lost before the request was sent")
    return AnswerLost(words)
