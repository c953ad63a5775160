"""Which requests are let in: by the name they ask for, and by the page they come from.

A page of any web site can have its reader's browser ask here. Under a name of its own that leads
to this machine (DNS rebinding) it could read the answers, so only known names are answered;
under ours it can still send, so it must say that it is one of ours. Source: reliability §1.3.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from slideloom.errors import ForeignOrigin, MalformedHost, NotJson, WrongHost

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - nothing is bound here
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(?::[0-9]{0,5})?")
_JSON = "application/json"
_PORTS = {"http": ":80", "https": ":443"}
"""Browsers leave them out of an origin; some proxies put them into Host."""


class Doors:
    """Knows the service's names, and the web sites whose pages may use it."""

    def __init__(self, *, host: str, hosts: Iterable[str], origins: Iterable[str]) -> None:
        """Take the address it listens at, its further names (`*.name`: all below), and sites."""
        own = () if host in _ANY_ADDRESS else (f"[{host}]" if ":" in host else host,)
        names = [name.lower().removesuffix(".") for name in (*_LOOPBACK, *own, *hosts)]
        self._names = frozenset(name for name in names if not name.startswith("*"))
        self._endings = tuple(name[1:] for name in names if name.startswith("*"))
        self._origins = frozenset(origins)
        # They all ask by one or two names.
        self._parse_host = lru_cache(maxsize=64)(self._read_host)

    def check(self, scope: Any) -> None:  # noqa: ANN401 - as ASGI has it
        """Look at a request or a WebSocket handshake.

        Raises:
            MalformedHost, WrongHost: it does not ask for us.
            ForeignOrigin: another web site's page asks.
            NotJson: it brings something else, as forms do.
        """
        headers = scope["headers"]
        host = self._check_host([value for name, value in headers if name == b"host"])
        fields = dict(headers)
        if b"origin" in fields:
            self._check_origin([value for name, value in headers if name == b"origin"], host)
        if scope["type"] == "http" and scope["method"] == "POST":
            _check_type(fields)

    def _check_host(self, sent: list[bytes]) -> str:
        """The host, as it was sent but in small letters."""
        if len(sent) != 1:
            raise MalformedHost
        return self._parse_host(sent[0])

    def _read_host(self, sent: bytes) -> str:
        host = sent.decode("latin-1").lower()
        found = _HOST.fullmatch(host)
        if found is None:
            raise MalformedHost
        name = found["name"].removesuffix(".")
        if name not in self._names and not name.endswith(self._endings):
            raise WrongHost(name)
        return host

    def _check_origin(self, sent: list[bytes], host: str) -> None:
        origin = sent[0].decode("latin-1") if len(sent) == 1 else "several"
        if not is_own_page(origin, host) and origin not in self._origins:
            raise ForeignOrigin(origin)


def is_own_page(origin: str, host: str) -> bool:
    """Whether a page of the service's own asks.

    The schemes need not be the same: a proxy may have taken TLS off.
    """
    scheme, _, authority = origin.lower().partition("://")
    return scheme in _PORTS and host.lower() in {authority, authority + _PORTS[scheme]}


def _check_type(fields: dict[bytes, bytes]) -> None:
    """Whatever the route does with a body: browsers send forms without asking first."""
    if b"transfer-encoding" not in fields and fields.get(b"content-length", b"0") == b"0":
        return
    refuse_other_types(fields.get(b"content-type", b"").decode("latin-1"))


def refuse_other_types(media_type: str) -> None:
    """Make sure that a body is declared as JSON.

    Raises:
        NotJson: it is not.
    """
    if media_type.partition(";")[0].strip().lower() != _JSON:
        raise NotJson(media_type)
