"""What a fault is."""

from collections.abc import Callable
from typing import Final, Literal, TypedDict, Unpack

from msgspec import Struct

from tests.support.upstream.answers import Headers
from tests.support.upstream.envelopes import plain_error
from tests.support.upstream.plan import Shape
from tests.support.upstream.scripts import Case, refuse
from tests.support.upstream.steps import Script

Player = Callable[[Case], Script]

ErrorCode = Literal[
    "rate_limited",
    "quota_exhausted",
    "auth_failed",
    "content_blocked",
    "no_image",
    "invalid_image",
    "bad_request",
    "upstream_unavailable",
    "timeout",
    "blocked_url",
]
"""Codes of a slide that an upstream can cause. Source: contract section 6."""

UNTIL_DEADLINE: Final = 0
"""As `calls`: waiting uses up no attempt, so there is no number."""
UNBILLED: Final = 4
"""Calls in all when certainly nothing was billed. Source: retry table, providers policy."""
MAYBE_BILLED: Final = 2
"""Calls in all when something may have been billed."""
ONCE: Final = 1

ALL_SHAPES: Final[tuple[Shape, ...]] = ("images", "chat", "gemini")
OPENAI_SHAPES: Final[tuple[Shape, ...]] = ("images", "chat")
"""Those with OpenAI-like bodies."""


class Fault(Struct, frozen=True, kw_only=True):
    """One way in which a call can go other than plainly well."""

    name: str
    """Begins with its scenario: `F01` to `F33` of the provider contracts, else `X`."""
    about: str
    """What the client sees."""
    script: Player
    shapes: tuple[Shape, ...] = ALL_SHAPES
    wanted: ErrorCode | None
    """Code the slide ends in when every call has this fault; `None` is success."""
    calls: int
    """Paid-path calls for one slide when each has this fault, with default settings: exactly.

    `UNTIL_DEADLINE` where there is no number.
    """
    billed: bool = False
    """Whether the upstream charges for the call."""
    also: tuple[ErrorCode, ...] = ()
    """Codes that are right as well, where the policy leaves room."""
    may_succeed: bool = False
    """Whether a more forgiving client that gets a picture out of it is right as well."""
    ratio_ok: bool = True
    """For success: whether the picture has the ratio asked for."""
    part: str = "final"
    """For success: what the right picture's stamp says of its place in the answer."""
    mends: tuple[Shape, ...] = ()
    """Shapes in which a client that finds its own wording or path asks once more, unbilled."""
    before_body: bool = False
    """Played when the head is there, before the body is read; only plans can choose it so."""
    effect: Literal["revoke_key", "empty_balance"] | None = None
    """What it does to the account for good."""
    argument: str = ""
    """What an argument behind the name means; empty when it takes none."""

    @property
    def scenario(self) -> str:
        """The part of the name that is the scenario."""
        return self.name.partition("_")[0]


class Options(TypedDict, total=False):
    """What a fault may set besides name, about and script."""

    shapes: tuple[Shape, ...]
    wanted: ErrorCode | None
    calls: int
    billed: bool
    also: tuple[ErrorCode, ...]
    may_succeed: bool
    ratio_ok: bool
    part: str
    mends: tuple[Shape, ...]
    before_body: bool
    effect: Literal["revoke_key", "empty_balance"] | None
    argument: str


def says(status: int, body: object, headers: Headers = ()) -> Player:
    """Refuses with that body, whatever was asked."""
    return lambda _: refuse(status, body, headers=headers)


def says_plainly(status: int, message: str, *, kind: str = "invalid_request_error") -> Player:
    """Refuses in the caller's dialect."""
    return lambda case: refuse(status, plain_error(case.ask.dialect, status, message, kind=kind))


def fine(name: str, about: str, script: Player, **more: Unpack[Options]) -> Fault:
    """A fault that a good client gets a picture out of, at the first call."""
    options: Options = {"wanted": None, "calls": ONCE, "billed": True, **more}
    return Fault(name=name, about=about, script=script, **options)


def lost(name: str, about: str, script: Player, **more: Unpack[Options]) -> Fault:
    """A fault that loses an answer which may have been charged."""
    options: Options = {"wanted": "upstream_unavailable", "calls": MAYBE_BILLED, **more}
    return fine(name, about, script, **options)


def refused(name: str, about: str, script: Player, **more: Unpack[Options]) -> Fault:
    """A fault that certainly was not billed and that asking again does not mend."""
    options: Options = {"wanted": "bad_request", "calls": ONCE, "billed": False, **more}
    return fine(name, about, script, **options)
