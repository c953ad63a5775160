"""What the client raises, in one tree, by what the caller can do.

ClientError
├── UnreadableDeck        the deck file is none we can read
├── Unreachable           no answer from the service, for as long as the client is patient
│   └── AnswerLost            what was asked may have been carried out: look before asking again
├── WaitTimeout           the batch had not ended in time; it goes on
├── UnexpectedAnswer      whoever answers there is no Slideloom, or one of another version
└── Refused               the service says no: `code`, `detail`, `request_id`, `errors`
    ├── InvalidRequest        the request must change (400, 403, 413, 415, 421, 422)
    ├── NotSignedIn           the service wants a token, or another one (401)
    ├── NotFound              no such batch, slide or version (404)
    ├── Conflict              not now: the slide is under way, no picture is there yet (409)
    ├── Busy                  later: too many requests, or the service stops (429, 503)
    ├── DailyLimit            not today: what a day may cost is used up (429)
    └── ServiceFault          the service failed (other 5xx)
"""

import re
from http import HTTPStatus

import msgspec
from msgspec import Struct

from slideloom.client.tokens import VARIABLE

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises over what is no JSON of the wanted shape, or nested too deep."""


def hide_login(url: str) -> str:
    """The address without a user's name and password, to be shown."""
    return re.sub(r"//[^/?#]*@", "//", url)


class FieldProblem(Struct, frozen=True):
    """What is wrong at one place of a request."""

    loc: tuple[str | int, ...]
    """The way there, from `body`, `query` or `header` on."""
    msg: str


class Problem(Struct, frozen=True, kw_only=True):
    """The service's error answer (RFC 9457)."""

    status: int
    detail: str = ""
    """What a person can do about it."""
    code: str = "unknown"
    """Stable; for programs. The API page lists them."""
    request_id: str = ""
    """Finds the request in the service's log."""
    errors: tuple[FieldProblem, ...] = ()
    retry_after_s: float | None = None
    """When asking again may help, where the service says so."""


class ClientError(Exception):
    """Anything the client raises on purpose."""

    @property
    def code(self) -> str:
        """What went wrong, for programs."""
        return next((_CODES[kind] for kind in type(self).__mro__ if kind in _CODES), "internal")


class UnreadableDeck(ClientError):
    """The deck file cannot be read, or is no deck."""


class Unreachable(ClientError):
    """The service gave no answer, for as long as the client is patient."""

    def __init__(self, url: str, reason: str, *, was_sent: bool = False) -> None:
        self.url = hide_login(url)
        super().__init__(f"no answer from {self.url}: {reason}")
        self.reason = reason
        self.was_sent = was_sent
        """Whether the request may have reached the service."""


class AnswerLost(Unreachable):
    """The connection broke after a request that must not be sent twice: it may be carried out."""

    def __init__(self, url: str, reason: str) -> None:
        words = f"{reason}; it may have been carried out: look at the status first"
        super().__init__(url, words, was_sent=True)


class WaitTimeout(ClientError):
    """The batch had not ended in time; it goes on."""

    def __init__(self, batch_id: str, timeout_s: float) -> None:
        super().__init__(f"batch {batch_id} has not ended within {timeout_s:g} s; it goes on")
        self.batch_id = batch_id


class UnexpectedAnswer(ClientError):
    """The answer is not what a Slideloom of this version sends."""


class Refused(ClientError):
    """The service says no, and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or f"HTTP {problem.status}")
        self.problem = problem

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def code(self) -> str:
        """What went wrong, for programs."""
        return self.problem.code

    @property
    def detail(self) -> str:
        """What went wrong, for people."""
        return self.problem.detail

    @property
    def request_id(self) -> str:
        """Finds the request in the service's log."""
        return self.problem.request_id

    @property
    def errors(self) -> tuple[FieldProblem, ...]:
        """What is wrong, place by place."""
        return self.problem.errors


class InvalidRequest(Refused):
    """The request must change."""


class NotSignedIn(Refused):
    """The service wants a token, or does not take this one."""

    def __init__(self, problem: Problem, *, has_token: bool) -> None:
        super().__init__(problem)
        self.has_token = has_token
        """Whether one was sent."""

    def __str__(self) -> str:
        what = "does not take this token" if self.has_token else "wants a token"
        return f"the service {what}: set {VARIABLE}, or give token="


class NotFound(Refused):
    """There is no such batch, slide or version (any more)."""


class Conflict(Refused):
    """It cannot be done now: the slide is under way, or no picture is there yet."""


class Busy(Refused):
    """It was not done; it can be later."""


class DailyLimit(Refused):
    """What the service may spend in a day is used up; nothing was ordered."""


class ServiceFault(Refused):
    """The service failed; its log has the details under the request id."""


_CODES: dict[type, str] = {
    UnreadableDeck: "unreadable_deck",
    Unreachable: "unreachable",
    AnswerLost: "answer_lost",
    WaitTimeout: "wait_timeout",
    UnexpectedAnswer: "unexpected_answer",
}
"""Of those that the service did not name."""
_DAILY = "daily_cost_limit"
"""A 429 that no client has the patience for: it lasts until midnight UTC."""
_KINDS: dict[int, type[Refused]] = {
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.TOO_MANY_REQUESTS: Busy,
    HTTPStatus.SERVICE_UNAVAILABLE: Busy,
}


def to_refusal(problem: Problem, *, has_token: bool) -> Refused:
    """The error for a problem answer; `has_token`: whether one was sent."""
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return NotSignedIn(problem, has_token=has_token)
    if problem.code == _DAILY:
        return DailyLimit(problem)
    rest = ServiceFault if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else InvalidRequest
    return _KINDS.get(problem.status, rest)(problem)
