"""Many readers of one event stream at once, on plain sockets: what each had, and when."""

import re
import selectors
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct

_EVENT = re.compile(rb"^id: ([0-9]+)\nevent: (\S+)\ndata: (.*)\n\n", re.MULTILINE)
_IMAGE = re.compile(rb'"image_url":"/assets/([^"]+)"')
_END = b"event: batch.finished"
_PATIENCE_S = 60.0


class Heard(Struct, frozen=True):
    """One event, as all readers had it."""

    number: int
    name: str
    image: str | None
    at_s: tuple[float, ...]
    """When each reader had it, once and in order, on the wall clock; the earliest first."""

    @property
    def first_s(self) -> float:
        """When the first reader had it."""
        return self.at_s[0]

    @property
    def last_s(self) -> float:
        """When the last reader had it."""
        return self.at_s[-1]

    @property
    def readers(self) -> int:
        """How many had it."""
        return len(self.at_s)

    @property
    def spread_ms(self) -> float:
        """From the first reader to the last."""
        return (self.last_s - self.first_s) * 1000


def open_readers(url: str, path: str, count: int) -> list[socket.socket]:
    """Connections that have asked for the events and begin to be answered."""
    place = urlsplit(url)
    request = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
    readers = []
    for _ in range(count):
        reader = socket.create_connection((place.hostname or "", place.port or 80), _PATIENCE_S)
        reader.sendall(request)
        readers.append(reader)
    for reader in readers:
        reader.recv(1, socket.MSG_PEEK)
    return readers


def hear_out(readers: Sequence[socket.socket]) -> list[Heard]:
    """Read on until every reader has the last event; what they had, and when."""
    pieces: dict[int, list[tuple[float, bytes]]] = {}
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            reader.settimeout(0)
            selector.register(reader, selectors.EVENT_READ, pieces.setdefault(reader.fileno(), []))
        left = len(readers)
        until_s = time.monotonic() + _PATIENCE_S
        while left and time.monotonic() < until_s:
            for key, _ in selector.select(1.0):
                data = key.fileobj.recv(262_144)  # type: ignore[union-attr]
                key.data.append((time.time(), data))
                if not data or _END in data:
                    left -= 1
                    selector.unregister(key.fileobj)
    return _compare(list(pieces.values()))


def _compare(readers: list[list[tuple[float, bytes]]]) -> list[Heard]:
    times: dict[int, list[float]] = {}
    texts: dict[int, tuple[str, str | None]] = {}
    for pieces in readers:
        expected = 1
        for at_s, data in pieces:
            for number, name, news in _EVENT.findall(data):
                assert int(number) == expected, (number, expected)
                expected += 1
                image = _IMAGE.search(news) if name == b"slide.done" else None
                texts[int(number)] = (name.decode(), image[1].decode() if image else None)
                times.setdefault(int(number), []).append(at_s)
    return [
        Heard(number, *texts[number], tuple(sorted(at))) for number, at in sorted(times.items())
    ]
