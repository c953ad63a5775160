"""Tokens: who may use the API, how much they may ask, and how the page is known again."""

import hmac
import math
import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Final

from msgspec import Struct
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slideloom.clock import monotonic_s
from slideloom.errors import TooManyRequests, Unauthorized
from slideloom.settings import RequestQuota
from slideloom.web.callers import set_caller
from slideloom.web.doors import is_own_page

COOKIE: Final = "slideloom_token"
"""What the page is known by."""
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_PAGE_COOKIE = re.compile(rf"(?:^|;)[ \t]*{COOKIE}=([0-9a-f]{{64}})[ \t]*(?:;|$)")
"""Python's own reader of cookies, which Starlette uses, is held up a minute by a hostile header,
and all else with it. Source: CVE-2024-7592, mended in CPython 3.11.10."""
_FOR_PAGES: Final = b"slideloom page"
_LOGIN: Final = "basic "
"""How browsers show a proxy's own password, which it may pass on: it says nothing to us."""
_OTHER_SITES: Final = {"same-site", "cross-site"}
_CACHING: Final = "private, no-cache"
"""Some caches keep what ends in .pdf or .zip for all who ask, unless they are told."""


class Tokens:
    """Knows secrets when it is shown them; keeps their digests only."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Take the secret of each name."""
        self._secrets = {name: _digest(secret) for name, secret in secrets.items()}
        self._cookies = {name: _digest(make_cookie(text)) for name, text in secrets.items()}

    def __bool__(self) -> bool:
        """Whether tokens are in use."""
        return bool(self._secrets)

    def find(self, shown: str) -> str | None:
        """Whose secret it is."""
        found = self.read(shown)
        return None if found is None else found[0]

    def read(self, shown: str) -> tuple[str, str] | None:
        """The name and the secret, of a secret; or of a pair, pasted as it is in the setting."""
        name, _, rest = shown.partition(":")
        found = _look_up(self._secrets, shown)
        if _look_up(self._secrets, rest) == name:
            return name, rest
        return None if found is None else (found, shown)

    def find_page(self, cookie: str) -> str | None:
        """Whose page brings the cookie."""
        return _look_up(self._cookies, cookie)

    def identify(self, connection: HTTPConnection) -> str | None:
        """Who asks: by the header, or else by the cookie of the service's own page."""
        shown = connection.headers.getlist("authorization")
        sent = [text for text in shown if not text.lower().startswith(_LOGIN)]
        if sent:
            found = _BEARER.fullmatch(sent[0]) if len(sent) == 1 else None
            return None if found is None else self.find(found[1])
        if _is_other_page(connection):
            return None
        cookie = _PAGE_COOKIE.search(connection.headers.get("cookie", ""))
        return None if cookie is None else self.find_page(cookie[1])


def _is_other_page(connection: HTTPConnection) -> bool:
    """Whether a page of another port or subdomain asks: browsers let it bring our cookie, too.

    By what the browser says itself, where it does, for a proxy may have written another Host.
    Of a link, no page's origin is sent.
    """
    headers = connection.headers
    if "origin" not in headers:
        return False
    if connection.scope["type"] == "websocket":
        return not is_own_page(headers["origin"], headers["host"])
    return headers.get("sec-fetch-site") in _OTHER_SITES


def make_cookie(secret: str) -> str:
    """What stands for the secret in a browser; the secret cannot be had from it."""
    return hmac.new(secret.encode(), _FOR_PAGES, sha256).hexdigest()


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


def _look_up(digests: Mapping[str, bytes], text: str) -> str | None:
    """All are compared, each in constant time: how long it takes tells nothing."""
    shown, found = _digest(text), None
    for name, digest in digests.items():
        if hmac.compare_digest(shown, digest):
            found = name
    return found


class _Window(Struct):
    """What one token may still ask."""

    left: int
    ends_at_s: float
    """On the monotonic clock."""


class RequestLimit:
    """Counts each token's requests, in windows that begin with the first."""

    def __init__(self, quota: RequestQuota) -> None:
        self._quota = quota
        self._windows: dict[str, _Window] = {}
        self._policy = f'"default";q={quota.count};w={quota.window_s}'

    def take(self, name: str) -> dict[str, str]:
        """Count one request; the headers that tell how many are left, and for how long.

        Source: draft-ietf-httpapi-ratelimit-headers.

        Raises:
            TooManyRequests: none is left.
        """
        now_s = monotonic_s()
        window = self._windows.get(name)
        if window is None or now_s >= window.ends_at_s:
            window = _Window(self._quota.count, now_s + self._quota.window_s)
            self._windows[name] = window
        left_s = math.ceil(window.ends_at_s - now_s)
        if window.left == 0:
            raise TooManyRequests(left_s)
        window.left -= 1
        return {
            "RateLimit-Policy": self._policy,
            "RateLimit": f'"default";r={window.left};t={left_s}',
        }


class TokenGate:
    """ASGI middleware: nobody gets by without a token, but to what is open to all."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: Tokens,
        quota: RequestQuota | None,
        open_paths: Collection[str],
        open_folders: tuple[str, ...],
    ) -> None:
        """Take what is open: paths, and folders with a slash at the end."""
        self._app = app
        self._tokens = tokens
        self._limit = None if quota is None else RequestLimit(quota)
        self._open_paths = frozenset(open_paths)
        self._open_folders = open_folders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, and say whose it is.

        Raises:
            Unauthorized, TooManyRequests: not now.
        """
        if scope["type"] == "lifespan" or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        name = self._tokens.identify(HTTPConnection(scope))
        if name is None:
            raise Unauthorized
        set_caller(scope, name)
        told = {} if self._limit is None else self._limit.take(name)
        await self._app(scope, receive, _add_headers(send, told))

    def _is_open(self, path: str) -> bool:
        return path in self._open_paths or path.startswith(self._open_folders)


def _add_headers(send: Send, headers: Mapping[str, str]) -> Send:
    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer = MutableHeaders(scope=message)
            answer.update(headers)
            answer.setdefault("Cache-Control", _CACHING)
        await send(message)

    return send_with
