"""Which trace work belongs to, as W3C Trace Context has it; tasks take it along by themselves.

What a request causes has its trace id, in every log line and every call to the
provider, also after the answer. Source: w3.org/TR/trace-context, sections 3.2 and 3.3.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

Kind = Literal["request", "resume", "batch", "slide", "attempt"]
Fact = str | int | float | bool | None
"""`None` is not told."""

_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace_id>[0-9a-f]{32})"
    r"-(?!0{16})(?P<span_id>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_KNOWN_FLAGS = 0b11
"""Sampled, and random (level 2); the others must not be passed on."""
_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS = 32
_MOST_STATE_CHARS = 512
"""So much must be passed on, at least."""


class Trace(Struct, frozen=True, kw_only=True):
    """A place in a trace."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits: the step that is the parent of what it causes."""
    flags: int = 0
    state: str = ""
    """What others keep with the trace (`tracestate`); passed on as it came."""

    def to_headers(self) -> dict[str, str]:
        """As a request carries it."""
        headers = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"}
        return headers | ({"tracestate": self.state} if self.state else {})


class Span:
    """One step of a trace; this one is told to nobody."""

    def __init__(self, tracer: "Tracer", trace: Trace) -> None:
        self.tracer = tracer
        self.trace = trace

    def note(self, **facts: Fact) -> None:
        """Facts about it; an `error_code` says that it failed."""

    def end(self) -> None:
        """It is over."""


class Tracer:
    """Begins the steps of traces; this one gives them ids, and tells nobody."""

    def begin(self, kind: Kind, parent: Trace | None, **facts: Fact) -> Span:
        """A step below `parent`, or the first of a new trace."""
        del kind, facts
        span_id = secrets.token_hex(8)
        if parent is None:
            return Span(self, Trace(trace_id=secrets.token_hex(16), span_id=span_id))
        return Span(self, replace(parent, span_id=span_id))

    async def close(self) -> None:
        """Tell what is left to be told."""


_current: ContextVar[Span | None] = ContextVar("span", default=None)


def find_trace() -> Trace | None:
    """Where in a trace this code runs."""
    span = _current.get()
    return None if span is None else span.trace


def trace_headers() -> Mapping[str, str]:
    """What a request from here carries; nothing outside of a trace."""
    trace = find_trace()
    return {} if trace is None else trace.to_headers()


@contextmanager
def within(span: Span) -> Iterator[Span]:
    """Have what runs inside, and the tasks begun there, belong to `span`, which ends then."""
    token = _current.set(span)
    try:
        yield span
    except BaseException as error:
        span.note(error_code=getattr(error, "code", type(error).__name__))
        raise
    finally:
        _current.reset(token)
        span.end()


@contextmanager
def step(kind: Kind, **facts: Fact) -> Iterator[Span]:
    """Have what runs inside be a step below the current one."""
    span = _current.get()
    tracer, parent = (Tracer(), None) if span is None else (span.tracer, span.trace)
    with within(tracer.begin(kind, parent, **facts)) as begun:
        yield begun


def read_trace(headers: Iterable[tuple[bytes, bytes]]) -> Trace | None:
    """What the sender of a request says of its trace; `None`: a new one is to be begun.

    Args:
        headers: as ASGI has them, names in small letters.
    """
    found: dict[bytes, list[str]] = {b"traceparent": [], b"tracestate": []}
    for name, value in headers:
        if name in found:
            found[name].append(value.decode("latin-1").strip(" \t"))
    parents = found[b"traceparent"]
    told = _TRACEPARENT.fullmatch(parents[0]) if len(parents) == 1 else None
    if told is None or (told["version"] == "00" and told["more"]):
        return None
    return Trace(
        trace_id=told["trace_id"],
        span_id=told["span_id"],
        flags=int(told["flags"], 16) & _KNOWN_FLAGS,
        state=_read_state(",".join(found[b"tracestate"])),
    )


def _read_state(text: str) -> str:
    """The state if it is valid and not too long, else nothing: the trace goes on without."""
    members = [member.strip(" \t") for member in text.split(",")]
    members = [member for member in members if member]
    keys = {member.partition("=")[0] for member in members}
    state = ",".join(members)
    is_valid = (
        len(keys) == len(members) <= _MOST_MEMBERS
        and len(state) <= _MOST_STATE_CHARS
        and all(map(_MEMBER.fullmatch, members))
    )
    return state if is_valid else ""
