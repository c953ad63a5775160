"""Requests to the service: sent, sent again where that is safe, answers read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

import aiohttp
import msgspec
from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from slideloom.client.errors import (
    NOT_JSON,
    AnswerLost,
    Busy,
    Problem,
    Refused,
    UnexpectedAnswer,
    Unreachable,
    hide_login,
    to_refusal,
)
from slideloom.client.pauses import OnWait, Pauses
from slideloom.client.tokens import to_authorization

_T = TypeVar("_T")

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
"""An export of 200 slides is made before its first byte comes."""
_MOST_BYTES = 256 * 1024 * 1024
"""Of an answer in JSON: the status of the largest deck has some tens of MB."""
_KEEP_ALIVE_S = 3.0
"""Less than the service's five: it never hangs up on a request just being sent."""
_PROXY_FAULTS = (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
"""What proxies say while the service behind them is away: it may have got the request."""
_BEGUN = "not_written_yet"
"""The service's code for what it carries out, though its database does not answer."""


class Ask(Struct, frozen=True, kw_only=True):
    """One request."""

    method: str
    path: str
    """From the service's root on, percent-encoded."""
    body: bytes | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    repeatable: bool = True
    """Whether sending it twice does no more than once."""
    timeout: aiohttp.ClientTimeout = _TIMEOUT
    also: int | None = None
    """A status beside those of success whose JSON is an answer, no refusal."""


class Caller:
    """Sends requests to one service."""

    def __init__(
        self,
        url: str,
        *,
        patience_s: float,
        language: str | None,
        headers: Mapping[str, str] | None,
        token: str | None,
        on_wait: OnWait | None,
    ) -> None:
        self._base = url.rstrip("/")
        self.url = hide_login(self._base)
        """For people to read."""
        self._patience_s = patience_s
        self._on_wait = on_wait
        self._headers = {"User-Agent": f"slideloom-client/{_own_version()}"}
        if language is not None:
            self._headers["Accept-Language"] = language
        self._headers |= headers or {}
        self._shown = to_authorization(token, self._headers)
        """What shows the token, if there is one."""
        if self._shown and self.url != self._base:
            message = 'the address has a login, and there is a token: give token="", or no login'
            raise ValueError(message)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def pauses(self) -> Pauses:
        """Whole patience."""
        return Pauses(self._patience_s, self._on_wait)

    async def fetch(self, ask: Ask, kind: type[_T]) -> _T:
        """The answer's body as a `kind`.

        Raises:
            Unreachable: no answer, as long as patience lasts.
            Refused: the service says no.
            UnexpectedAnswer: the body is of another shape.
        """

        async def read() -> bytes:
            async with self.open(ask) as answer:
                return await self._read(answer)

        return self.decode(await self.insist(ask, read), kind)

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        """The whole body.

        Raises:
            UnexpectedAnswer: it has no end.
        """
        body = bytearray()
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > _MOST_BYTES:
                message = f"{self.url} is no Slideloom: its answer has no end"
                raise UnexpectedAnswer(message)
        return bytes(body)

    def decode(self, body: bytes, kind: type[_T]) -> _T:
        """`body` as a `kind`.

        Raises:
            UnexpectedAnswer: it is of another shape.
        """
        try:
            return msgspec.json.decode(body, type=kind)
        except NOT_JSON as error:
            message = f"{self.url} is no Slideloom, or one of another version: {error}"
            raise UnexpectedAnswer(message) from error

    async def insist(self, ask: Ask, act: Callable[[], Awaitable[_T]]) -> _T:
        """The result of `act`, which sends `ask`, tried again where that is safe.

        Raises:
            AnswerLost: it must not be sent twice, and may have been carried out.
            Unreachable, Refused: what the last try raised.
        """
        pauses = self.pauses()
        while True:
            try:
                return await act()
            except (Unreachable, Refused) as error:
                if may_pass(error, repeatable=ask.repeatable):
                    await pauses.wait(error)
                elif _may_be_done(error):
                    raise AnswerLost(self.url, _to_reason(error)) from error
                else:
                    raise

    @asynccontextmanager
    async def open(self, ask: Ask) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, its body not yet read; once, without patience.

        Raises:
            Unreachable: no answer, or it breaks while it is read.
            Refused: the service says no.
        """
        try:
            async with self._send(ask) as answer:
                if not _is_answer(ask, answer):
                    problem = _parse_problem(answer, await self._read(answer))
                    raise to_refusal(problem, has_token=bool(self._shown))
                yield answer
        except aiohttp.InvalidURL as error:
            message = f"{self.url} is no web address"
            raise UnexpectedAnswer(message) from error
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(self.url, _in_words(error)) from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise Unreachable(self.url, _in_words(error), was_sent=True) from error

    def _send(self, ask: Ask) -> "aiohttp.client._RequestContextManager":
        if self._session is None:
            connector = aiohttp.TCPConnector(keepalive_timeout=_KEEP_ALIVE_S, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        if not ask.path.startswith("/"):  # joined to a host's name, it would be another host
            message = f"{self.url} is no Slideloom: {ask.path} is no address of its own"
            raise UnexpectedAnswer(message)
        headers = {**self._shown, **ask.headers}
        if ask.body is not None:
            headers["Content-Type"] = "application/json"
        return self._session.request(
            ask.method,
            URL(self._base + ask.path, encoded=True),  # a slide's id may be ".." or hold a slash
            data=ask.body,
            headers=headers,
            timeout=ask.timeout,
            allow_redirects=False,  # they may lead elsewhere, and the token with them
        )


def _is_answer(ask: Ask, answer: aiohttp.ClientResponse) -> bool:
    """Whether it is what was asked for; proxies have statuses, but not our JSON."""
    if answer.status == ask.also:
        return answer.content_type == "application/json"
    return answer.status < HTTPStatus.MULTIPLE_CHOICES


def may_pass(error: Unreachable | Refused, *, repeatable: bool) -> bool:
    """Whether the same request may be sent again, and may then succeed."""
    if _may_be_done(error):
        return repeatable
    return isinstance(error, Unreachable | Busy)


def _may_be_done(error: Unreachable | Refused) -> bool:
    """Whether the service may have carried out what it was asked, or does so yet."""
    if isinstance(error, Unreachable):
        return error.was_sent
    return error.status in _PROXY_FAULTS or error.code == _BEGUN


def _to_reason(error: Unreachable | Refused) -> str:
    return error.reason if isinstance(error, Unreachable) else str(error).rstrip(".")


def _parse_problem(answer: aiohttp.ClientResponse, body: bytes) -> Problem:
    """The problem of an answer that is none of success; proxies send other bodies."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except NOT_JSON:
        problem = Problem(status=answer.status, detail=f"{answer.status} {answer.reason or ''}")
    retry_after = answer.headers.get("Retry-After", "")
    wanted_s = float(retry_after) if retry_after.isdecimal() else None
    return replace(problem, status=answer.status, retry_after_s=wanted_s)


def _in_words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "it cannot be reached"
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return str(error) or "the connection broke"


def _own_version() -> str:
    try:
        return version("slideloom")
    except PackageNotFoundError:
        return "0"
