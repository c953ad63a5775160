"""A provider that lures the service to addresses, and a spy at every socket that connects."""

import asyncio
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Struct, field

PUBLIC_IP = "93.184.216.34"
"""Stands for the Internet: who connects to it comes to the lure's own far host."""
FAR_HOST = "cdn.example"
DEAD_IP = "1.1.1.1"
"""Is public too, but nobody is there."""
_LURE_MARK = re.compile(rb"lure (\d+)\b")
_HOP = re.compile(rb"GET /hop/(\d+)")


Handler = Callable[[bytes], Awaitable[bytes]]


class Lure(Struct, frozen=True, kw_only=True):
    """Where one slide's picture is said to lie."""

    address: str
    """As the provider's answer gives it."""
    redirect: str = ""
    """Where the far host sends on whoever asks it for this lure's `/hop/`."""
    names: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    """What the names in it resolve to: at the first question, the second, and from then on."""


class Sockets:
    """What sockets connected to, and what names were resolved to; nothing reaches the network."""

    def __init__(
        self, names: Mapping[str, tuple[str, ...]], lures: Sequence[Lure], *, far_port: int
    ) -> None:
        """`names` resolve always, the lures' as they say; the far host really is at `far_port`."""
        self.connected: list[tuple[str, int]] = []
        self._far_port = far_port
        self._names: dict[str, tuple[tuple[str, ...], ...]] = {FAR_HOST: ((PUBLIC_IP,),)}
        for name, ips in names.items():
            self._names[name.encode("idna").decode()] = (ips,)
        for lure in lures:
            self._names |= lure.names

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Stand before every `connect` and every resolution."""
        connect, resolve = socket.socket.connect, socket.getaddrinfo

        def spy(sock: socket.socket, address: Any) -> None:
            if sock.family not in {socket.AF_INET, socket.AF_INET6}:
                connect(sock, address)
                return
            host, port = address[:2]
            self.connected.append((host, port))
            if host == PUBLIC_IP:
                connect(sock, ("127.0.0.1", self._far_port))
            elif host in {"127.0.0.1", "::1"}:
                connect(sock, address)
            else:
                raise ConnectionRefusedError(111, "no network in tests")

        def look_up(host: Any, port: Any, *more: Any, **named: Any) -> Any:
            if host in {None, "", "127.0.0.1"}:
                return resolve(host, port, *more, **named)
            return [_to_info(ip, port) for ip in self._find(host.rstrip(".").lower())]

        patch.setattr(socket.socket, "connect", spy)
        patch.setattr(socket, "getaddrinfo", look_up)

    def find_strays(self, known_ports: Collection[int]) -> list[tuple[str, int]]:
        """Connections to what is neither public nor a known port of this machine."""
        return [
            (host, port)
            for host, port in self.connected
            if host not in {PUBLIC_IP, DEAD_IP}
            and not (host == "127.0.0.1" and port in known_ports)
        ]

    def _find(self, name: str) -> tuple[str, ...]:
        if name not in self._names:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        first, *rest = self._names[name]
        if rest:
            self._names[name] = tuple(rest)
        return first


def _to_info(ip: str, port: int) -> tuple[Any, ...]:
    if ":" in ip:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (ip, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)


class LureHosts:
    """The provider, its far host behind TLS, and a private host that nobody may find."""

    def __init__(self, lures: Sequence[Lure], *, shape: str, is_stream: bool) -> None:
        self.asked: list[bytes] = []
        """All that the provider was sent."""
        self.far_asked: list[bytes] = []
        self.private_asked: list[bytes] = []
        self.known_ports: set[int] = set()
        """Of the provider and the service: who connects to these has not strayed."""
        self._lures = lures
        self._shape = shape
        self._is_stream = is_stream

    async def serve(self, request: bytes) -> bytes:
        """The provider's answer."""
        self.asked.append(request)
        found = _LURE_MARK.search(request)
        address = self._lures[int(found[1])].address if found else ""
        document = _ANSWERS[self._shape](address)
        if self._is_stream:
            body = f": working\n\ndata: {json.dumps(document)}\n\ndata: [DONE]\n\n"
            return _to_answer("200 OK", body, "Content-Type: text/event-stream")
        return _to_answer("200 OK", json.dumps(document), "Content-Type: application/json")

    async def serve_far(self, request: bytes) -> bytes:
        """A redirect where one is meant; else it is just not well."""
        self.far_asked.append(request)
        found = _HOP.match(request)
        if found is None:
            return _to_answer("503 Service Unavailable", "")
        target = self._lures[int(found[1])].redirect
        return _to_answer("302 Found", "", f"Location: {target}")

    async def serve_private(self, request: bytes) -> bytes:
        """Secrets of the machine's own network."""
        self.private_asked.append(request)
        return _to_answer("200 OK", "secret")


@asynccontextmanager
async def listening(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free loopback port, which this gives, that answers one request a connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            writer.write(await handler(head + body))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # a greeting that is none is counted where it is looked at
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _to_answer(status: str, body: str, *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}", *headers)
    return "\r\n".join((*lines, "Connection: close", "", body)).encode()


_ANSWERS: dict[str, Any] = {
    "images": lambda address: {"data": [{"url": address}]},
    "chat": lambda address: {
        "choices": [{"message": {"images": [{"type": "image_url", "image_url": {"url": address}}]}}]
    },
    "gemini": lambda address: {
        "candidates": [{"content": {"parts": [{"fileData": {"fileUri": address}}]}}]
    },
    "markdown": lambda address: {
        "choices": [{"message": {"content": f"Here: ![slide]({address})"}}]
    },
}
