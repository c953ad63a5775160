"""When a provider says to come back: it has many ways of saying so."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime

from slideloom.providers.answers import Answer, Json

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_IN_WORDS = re.compile(
    r"(?:try again|retry|reset\w{0,10})\D{0,20}?\b(?:in|after)\s+"
    r"~?([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(ms|s|m|h)?",
    re.IGNORECASE,
)
_WORDS_CHARS = 500
"""How much of a message is read: a hostile one must not hold up the loop."""
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_EPOCH_MS = 1e11
"""Larger numbers are milliseconds since 1970; the year 5138 in seconds."""
_EPOCH_S = 1e9
"""Larger numbers are seconds since 1970; 31 years as a duration."""


def find_retry_after(answer: Answer, error: Json, message: str, *, now_s: float) -> float | None:
    """Seconds to wait, in the policy's reading order; `None` when nothing is said.

    Args:
        answer: the answer.
        error: its error object; empty when there is none.
        message: the error in the provider's words.
        now_s: seconds since 1970.
    """
    metadata = error.get("metadata")
    more = metadata.get("headers") if isinstance(metadata, dict) else None
    mirrored = {str(k).lower(): str(v) for k, v in more.items()} if isinstance(more, dict) else {}
    ways: tuple[Callable[[], float | None], ...] = (
        lambda: _from_availability(error),
        lambda: _from_header(answer.headers.get("retry-after"), now_s),
        lambda: _scaled(answer.headers.get("retry-after-ms"), 0.001),
        lambda: _from_resets({**mirrored, **answer.headers}, now_s),
        lambda: _from_details(error),
        lambda: _from_words(message),
    )
    found = (way() for way in ways)
    return next((max(0.0, wait_s) for wait_s in found if wait_s is not None), None)


def _number(value: object) -> float | None:
    """A finite number, also one written as a string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _scaled(value: object, unit_s: float) -> float | None:
    number = _number(value)
    return None if number is None else number * unit_s


def _from_availability(error: Json) -> float | None:
    availability = error.get("availability")
    return _number(availability.get("retry_after")) if isinstance(availability, dict) else None


def _from_header(value: str | None, now_s: float) -> float | None:
    """`Retry-After`: seconds or a date."""
    if value is None or (number := _number(value)) is not None:
        return number if value is not None else None
    try:
        return parsedate_to_datetime(value).timestamp() - now_s
    except (ValueError, OverflowError):
        return None


def _from_resets(headers: Mapping[str, str], now_s: float) -> float | None:
    """`X-RateLimit-Reset` (OpenRouter), else the last of OpenAI's `x-ratelimit-reset-*`."""
    number = _number(headers.get("x-ratelimit-reset"))
    if number is not None:
        if number > _EPOCH_MS:
            return number / 1000 - now_s
        return number - now_s if number > _EPOCH_S else number
    return max(_resets(headers), default=None)


def _resets(headers: Mapping[str, str]) -> Iterator[float]:
    """Durations until the limits that are used up, or until all, when none is said to be."""
    names = [name for name in headers if name.startswith("x-ratelimit-reset-")]
    used_up = [n for n in names if headers.get(n.replace("-reset-", "-remaining-")) == "0"]
    for name in used_up or names:
        wait_s = read_duration(headers[name])
        if wait_s is not None:
            yield wait_s


def _from_details(error: Json) -> float | None:
    """google.rpc.RetryInfo."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(delay := detail.get("retryDelay"), str):
            return read_duration(delay)
    return None


def _from_words(message: str) -> float | None:
    found = _IN_WORDS.search(message[:_WORDS_CHARS])
    return float(found[1]) * _UNITS_S[(found[2] or "s").lower()] if found else None


def read_duration(text: str) -> float | None:
    """`47.4s`, `120ms`, `1m2s` or a bare number of seconds; else `None`."""
    if (number := _number(text)) is not None:
        return number
    found = _DURATION.fullmatch(text.strip())
    if not found or not any(found.groups()):
        return None
    hours, minutes, seconds, thousandths = (float(part or 0) for part in found.groups())
    return _number(hours * 3600 + minutes * 60 + seconds + thousandths / 1000)
