"""Where in an answer an error is, and what it says, in anyone's form.

Source: provider contracts, sections 1.5 (OpenRouter), 2.3 (OpenAI), 3.3 (Google)
and 4 (all others).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from slideloom.providers.answers import Answer, Json

_MESSAGE_KEYS = ("message", "msg", "detail", "details", "error", "title", "description")
_WORD_KEYS = (
    "code",
    "type",
    "status",
    "error_type",
    "provider_code",
    "reason",
    "limit_source",
    "quotaId",
)
_INNER_KEYS = ("metadata", "availability", "details", "violations", "innererror", "error")
_USELESS_MESSAGE = "provider returned error"
"""What OpenRouter says when the true message is in `metadata.raw`."""
_SUCCESS_CODES = (None, "", 0, "0", 200, "200", "success", "ok")
_UNKNOWN = re.compile(
    r"(?:unknown|unsupported|unrecognized|unexpected)[ _](?:request )?(?:parameter|argument|field)"
    r"|extra_forbidden|unknown name",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"['\"`]([\w.]+)['\"`]")
_DEEPEST = 6


class Complaint(Struct, frozen=True):
    """An error object, read."""

    error: Json
    message: str
    words: tuple[str, ...]
    """Machine-readable words, in lower case."""
    quoted: tuple[str, ...]
    """Such words of the provider behind the provider, out of `metadata.raw`."""

    @property
    def code(self) -> str | None:
        """The word that best names the error."""
        code = self.error.get("code")
        if isinstance(code, str | int) and not isinstance(code, bool):
            return str(code)[:100]
        return self.words[0][:100] if self.words else None

    @property
    def status(self) -> int | None:
        """The HTTP status the body speaks of."""
        for key in ("code", "http_status", "status"):
            value = self.error.get(key)
            if isinstance(value, str) and value.isdecimal() and len(value) == 3:  # noqa: PLR2004
                value = int(value)
            if isinstance(value, int) and 400 <= value < 600:  # noqa: PLR2004 - HTTP
                return value
        return None

    @property
    def is_retryable(self) -> bool | None:
        """What the provider itself says about asking again."""
        availability = self.error.get("availability")
        value = availability.get("retryable") if isinstance(availability, dict) else None
        return value if isinstance(value, bool) else None


def find_complaint(answer: Answer, *, has_picture: bool) -> Complaint | None:
    """The first error object in the answer; `None` when there is none."""
    for item in answer.objects:
        for error in _errors_in(item, is_good=answer.is_good, has_picture=has_picture):
            return read_complaint(error)
    return None


def read_complaint(error: Json) -> Complaint:
    """Dig out an error object's message and words."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    message = _find_message(error, 0)
    if not message or message.lower().startswith(_USELESS_MESSAGE):
        message = _find_message(_opened(raw), 0) or message
    return Complaint(
        error,
        message,
        tuple(word.lower() for word in _find_words(error, 0)),
        tuple(word.lower() for word in _find_words(_opened(raw), 0)),
    )


def find_parameter(answer: Answer, names: Iterable[str]) -> str | None:
    """Which of the named parameters the provider does not know, when that is its complaint.

    Source: OpenAI's `unknown_parameter`, with and without `param` (F24); FastAPI's and Google's
    words.
    """
    complaint = find_complaint(answer, has_picture=False)
    if complaint is None or not _UNKNOWN.search(" ".join((*complaint.words, complaint.message))):
        return None
    availability = complaint.error.get("availability")
    constraint = availability.get("constraint") if isinstance(availability, dict) else None
    told = (
        complaint.error.get("param"),
        constraint.get("field") if isinstance(constraint, dict) else None,
        *(
            ".".join(map(str, loc[1:]))
            for d in list_dicts(complaint.error.get("detail"))
            if isinstance(loc := d.get("loc"), list)
        ),
        *_QUOTED.findall(complaint.message),
    )
    heads = {str(name).partition(".")[0].partition("[")[0] for name in told if name}
    return next((name for name in names if name in heads), None)


def list_dicts(value: object) -> Iterator[Json]:
    """The objects of what should be a list of objects."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item


def _errors_in(item: Json, *, is_good: bool, has_picture: bool) -> Iterator[Json]:
    is_part = has_picture and "partial" in str(item.get("type"))
    if not is_part and (error := _as_error(item.get("error"))):
        yield error
    for choice in list_dicts(item.get("choices")):
        if error := _as_error(choice.get("error")):
            yield error
    if has_picture:
        return
    for entry in list_dicts(item.get("data")):
        if error := _as_error(entry.get("error")):
            yield error
    if _is_bare_error(item, is_good=is_good):
        yield item


def _as_error(value: object) -> Json | None:
    """An error object from whatever stands under `error`."""
    match value:
        case dict() if not _is_blank(value):
            return value
        case str() if value:
            return {"message": value}
        case [first, *_]:
            return _as_error(first)
        case _:
            return None


def _is_blank(value: object) -> bool:
    """Whether it says nothing: gateways put an empty form of their error beside a picture."""
    if isinstance(value, dict):
        return all(map(_is_blank, value.values()))
    return value in (None, "", 0, "0") or value == []


def _is_bare_error(item: Json, *, is_good: bool) -> bool:
    """Whether it is an error without an envelope, as FastAPI's, RFC 9457's, DashScope's."""
    if not is_good:
        return True
    if item.get("type") == "error" or "detail" in item or "errors" in item:
        return True
    has_result = any(item.get(key) for key in ("data", "choices", "candidates", "output"))
    return "message" in item and item.get("code") not in _SUCCESS_CODES and not has_result


def _opened(raw: object) -> object:
    """`metadata.raw`: an object, JSON in a string, or a plain string."""
    if not isinstance(raw, str):
        return raw
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return raw


def _find_message(node: object, depth: int) -> str:
    """The words for people, as deep as they may be."""
    if depth > _DEEPEST:
        return ""
    match node:
        case str():
            return node.strip()
        case dict():
            found = (_find_message(node.get(key), depth + 1) for key in _MESSAGE_KEYS)
            return next((message for message in found if message), "")
        case list():
            return "; ".join(filter(None, (_find_message(item, depth + 1) for item in node[:5])))
        case _:
            return ""


def _find_words(node: object, depth: int) -> Iterator[str]:
    """The words for machines."""
    if depth > _DEEPEST:
        return
    if isinstance(node, list):
        for item in node[:20]:
            yield from _find_words(item, depth + 1)
    if not isinstance(node, dict):
        return
    values: list[Any] = [node.get(key) for key in _WORD_KEYS]
    yield from (value for value in values if isinstance(value, str) and value)
    if any(node.get(key) for key in ("flagged_input", "reasons", "patterns", "moderation_details")):
        # OpenRouter's input moderation and guardrails name what they found, but no code.
        yield "moderation_blocked"
    for key in _INNER_KEYS:
        yield from _find_words(node.get(key), depth + 1)
