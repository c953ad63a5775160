"""All open connections of the HTTP server: who is looked at, and who goes when there are too many.

Nothing waits for a connection: one timer looks at all of them, about once a second (four
thousand take it a few milliseconds), at what they note in passing.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from typing import Protocol

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """What a connection may take; times are kept to within `look_s`."""

    head_s: float = 10.0
    """From opening, or from a further request's first byte, to the end of its head: a head is a
    packet or two, so a line that loses most of its packets has done that by then."""
    body_s: float = 10.0
    """What a body has in any case, ..."""
    body_bytes_per_s: float = 16 * 1024
    """... and how fast the rest must come: the largest, 2 MB, may take over two minutes, but one
    that drips is known after ten seconds."""
    stuck_s: float = 60.0
    """How long a reader may take nothing of what is sent: longer than a phone's dead spot."""
    close_s: float = 2.0
    """How long what is still sent is taken in, unread, after a refusal. Were it not, the system
    would reset the connection, and the sender might never see the refusal."""
    head_bytes: int = 64 * 1024
    """Of a head, and of what frames a body (trailers, chunk extensions): four times what any
    browser sends with its cookies."""
    waiting: int = 16
    """Requests sent ahead on one connection that may wait for their turn: none of our clients
    sends any, and each is kept in memory."""
    look_s: float = 1.0
    """How often the connections are looked at."""


_ENDED_AT_ONCE, _PAUSE_S = 20, 0.005
"""Those that are late together, as they came together, are not all refused in one go: a thousand
would hold up everybody else for a tenth of a second."""


class Member(Protocol):
    """A connection, as the crowd knows it."""

    def is_late(self, now_s: float) -> bool:
        """Whether it took too long."""

    def end(self) -> None:
        """Close it, as it took too long."""

    def put_out(self) -> None:
        """Close it at once, and leave."""


class Crowd:
    """The HTTP connections of one server."""

    def __init__(self, most: int, limits: Limits | None = None) -> None:
        """`most` connections, those over WebSocket among them."""
        self.limits = limits or Limits()
        self._most = most
        self._open: set[Member] = set()
        self._idle: OrderedDict[Member, None] = OrderedDict()
        """Those on which no request is under way; the longest so first. No plain dict: it is slow
        to find its first entry where many before it were removed."""
        self._late: list[Member] = []
        self._is_watched = False

    def enter(self, one: Member, connections: Collection[object]) -> bool:
        """Take in a new connection, for which the longest idle one goes if there are too many.

        `connections` are the server's, `one` among them; who is put out leaves them.

        Returns:
            Whether there is room for it; if not, it should be refused soon.
        """
        self._open.add(one)
        self._idle[one] = None
        if not self._is_watched:
            self._watch()
        while len(connections) > self._most:
            oldest = next(iter(self._idle))
            if oldest is one:
                return False
            oldest.put_out()
        return True

    def leave(self, one: Member) -> None:
        """It is closed."""
        self._open.discard(one)
        self._idle.pop(one, None)

    def work(self, one: Member) -> None:
        """A request is under way on it."""
        self._idle.pop(one, None)

    def rest(self, one: Member) -> None:
        """No request is under way on it."""
        self._idle[one] = None

    def _look(self) -> None:
        if not self._late:
            now_s = asyncio.get_running_loop().time()
            self._late = [one for one in tuple(self._open) if one.is_late(now_s)]
        try:
            self._end_some()
        finally:  # whatever goes wrong with one, the others are looked at
            self._watch()

    def _end_some(self) -> None:
        now_s = asyncio.get_running_loop().time()
        late, self._late = self._late[:_ENDED_AT_ONCE], self._late[_ENDED_AT_ONCE:]
        for one in late:
            if one in self._open and one.is_late(now_s):
                one.end()

    def _watch(self) -> None:
        self._is_watched = bool(self._open)
        if self._is_watched:
            pause_s = _PAUSE_S if self._late else self.limits.look_s
            asyncio.get_running_loop().call_later(pause_s, self._look)
