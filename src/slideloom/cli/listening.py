"""The port of `slideloom serve`, and how many connections the system lets it have."""

import contextlib
import errno
import resource
import socket
from typing import Any

from slideloom.settings import Settings

_BACKLOG = 2048
_ACCEPTED_AT_ONCE = 32
"""Connections taken before those taken are counted; asyncio would take as many as may wait."""
_KEPT_FILES = 200
"""Open files that are no readers' connections: logs, the database, threads' and processes' pipes,
three rounds of `_ACCEPTED_AT_ONCE`, and a call and a picture for each of some forty slides. Where
hundreds are made at once and files run out, no picture is ordered that could not be kept."""
_FEWEST_CONNECTIONS = 16
_OUT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class CannotListenError(Exception):
    """The port is not to be had; turned into one line where the command ends."""


def listen(settings: Settings) -> socket.socket:
    """The port, taken before anything is opened: two services must not share one database."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol by name: asyncio sends without delay only where it is, and an
    # answer in two pieces would wait 40 ms for the client's acknowledgement.
    listener = _Listener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        message = f"cannot listen on {where}: {error.strerror or error}; set HOST or PORT"
        raise CannotListenError(message) from error
    return listener


def fit_connections(wished: int) -> int:
    """As many connections as this process may open, up to `wished`; it is let open more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for more in (hard, wished + _KEPT_FILES):  # macOS has no hard limit, and does not mean it
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            break
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wished
    return min(wished, max(soft - _KEPT_FILES, _FEWEST_CONNECTIONS))


class _Listener(socket.socket):
    """Takes connections a few at a time; where no file is left for one, that is told only once.

    asyncio would try as often as connections may wait, and log each. Source: CPython 3.11,
    `BaseSelectorEventLoop._accept_connection`.
    """

    _is_out = False
    _accepted = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """See `socket.socket`."""
        if self._is_out or self._accepted == _ACCEPTED_AT_ONCE:
            self._is_out, self._accepted = False, 0
            raise BlockingIOError  # ends this round; another begins at once, or in a second
        try:
            taken = super().accept()
        except OSError as error:
            self._is_out, self._accepted = error.errno in _OUT_OF_FILES, 0
            raise
        self._accepted += 1
        return taken
