"""What a picture costs, as far as it is known: for estimates, and where a provider names no cost.

The table is data (`prices.json`), each row with its source and the day it was
seen; prices change, so what a provider says itself always wins.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from msgspec import Struct

ROUNDING_USD: Final = 1e-9
"""By less than this, sums of prices are beside the exact ones: ten times 0.24 is more than 2.4."""
_PER = 1_000_000
"""Token prices are per million."""
_MOST_TOKENS = 1_000_000_000
"""Of one call: whoever counts more has not counted."""
_VARIANT = re.compile(
    r"-preview(-\d\d-\d\d(\d\d)?)?$|-20\d\d-?\d\d-?\d\d$|-\d{6}$|-latest$|-\d{3}$"
)
"""What is hung onto a model's id without changing its price: a stage, a date, a revision."""


class TokenPrice(Struct, frozen=True, kw_only=True):
    """USD per million tokens."""

    text_in: float
    image_in: float
    image_out: float
    text_out: float | None = None
    """Also of thinking; `None`: not known, counted as pictures."""


class Price(Struct, frozen=True, kw_only=True):
    """USD for one picture."""

    low_usd: float
    """Of the cheapest size and quality."""
    high_usd: float
    """Of the dearest."""


class PriceRow(Price, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the table."""

    models: tuple[str, ...]
    """Patterns (`*`, `[.-]`) of model ids, without vendor and variant."""
    source: str
    seen: str
    """The day, `YYYY-MM-DD`."""
    tokens: TokenPrice | None = None
    """Where tokens decide."""
    says: str = ""
    """What the source says, in words."""


class _Table(Struct, frozen=True):
    rows: tuple[PriceRow, ...]


class _Count(Struct, frozen=True):
    """Tokens of one direction."""

    text: float = 0.0
    image: float = 0.0


def find_price(model: str) -> Price | None:
    """What a picture of `model` costs; `None` when the table does not know it.

    Vendors in front (`google/`, `models/`), stages and dates behind (`-preview`)
    do not matter; `:free` costs nothing.
    """
    if _is_free(model):
        return Price(low_usd=0.0, high_usd=0.0)
    row = _find_row(model)
    return None if row is None else Price(low_usd=row.low_usd, high_usd=row.high_usd)


def price_usage(model: str, usage: Mapping[str, Any] | None) -> float | None:
    """USD for the tokens of a provider's usage object; `None` when they or their price are unknown.

    Reads OpenAI's image usage and Gemini's `usageMetadata`. Tokens that are not told
    apart count as the dearer ones. Source: providers contracts 2.1 and 3.3.
    """
    if _is_free(model):
        return 0.0
    row = _find_row(model)
    if row is None or row.tokens is None or usage is None:
        return None
    try:
        counts = _read_openai(usage) or _read_gemini(usage)
    except ValueError:
        return None
    return None if counts is None else _sum_up(*counts, row.tokens)


def _sum_up(taken: _Count, made: _Count, price: TokenPrice) -> float | None:
    text_out = price.image_out if price.text_out is None else price.text_out
    millionths = taken.text * price.text_in + taken.image * price.image_in
    millionths += made.text * text_out + made.image * price.image_out
    # No tokens at all is how gateways say that they did not count.
    return round(millionths / _PER, 6) or None


@lru_cache(maxsize=1)
def load_prices() -> tuple[PriceRow, ...]:
    """The table, read when it is first asked for."""
    text = files("slideloom.domain").joinpath("prices.json").read_bytes()
    return msgspec.json.decode(text, type=_Table).rows


def _is_free(model: str) -> bool:
    return model.strip().lower().endswith(":free")


def _find_row(model: str) -> PriceRow | None:
    """The row of the model's id, as it stands or without what is hung onto it."""
    name = model.strip().lower().rpartition("/")[2].partition(":")[0]
    while True:
        for row in load_prices():
            if any(fnmatchcase(name, pattern) for pattern in row.models):
                return row
        shorter = _VARIANT.sub("", name)
        if shorter == name:
            return None
        name = shorter


def _read_openai(usage: Mapping[str, Any]) -> tuple[_Count, _Count] | None:
    if "input_tokens" not in usage and "output_tokens" not in usage:
        return None
    taken = _tell_apart(usage.get("input_tokens"), _image_tokens(usage, "input_tokens_details"))
    made = _tell_apart(usage.get("output_tokens"), _image_tokens(usage, "output_tokens_details"))
    return taken, made


def _read_gemini(usage: Mapping[str, Any]) -> tuple[_Count, _Count] | None:
    if "promptTokenCount" not in usage and "candidatesTokenCount" not in usage:
        return None
    taken = _tell_apart(usage.get("promptTokenCount"), _modality(usage, "promptTokensDetails"))
    made = _tell_apart(
        usage.get("candidatesTokenCount"), _modality(usage, "candidatesTokensDetails")
    )
    thoughts = _number(usage.get("thoughtsTokenCount"))
    return taken, _Count(text=made.text + thoughts, image=made.image)


def _image_tokens(usage: Mapping[str, Any], key: str) -> float | None:
    details = usage.get(key)
    if not isinstance(details, Mapping) or details.get("image_tokens") is None:
        return None
    return _number(details["image_tokens"])


def _modality(usage: Mapping[str, Any], key: str) -> float | None:
    details = usage.get(key)
    if not isinstance(details, list):
        return None
    told = [one for one in details if isinstance(one, Mapping) and "tokenCount" in one]
    if not told:
        return None
    return sum(_number(one["tokenCount"]) for one in told if one.get("modality") == "IMAGE")


def _tell_apart(total: object, image: float | None) -> _Count:
    whole = _number(total)
    if image is None:
        return _Count(image=whole)
    return _Count(text=max(0.0, whole - image), image=image)


def _number(value: object) -> float:
    """A count of tokens; nothing counts as none.

    Raises:
        ValueError: it is no count: text, negative, or not finite.
    """
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"not a number: {type(value).__name__}"
        raise ValueError(message)  # noqa: TRY004 - a provider's value is wrong, not our type
    if not 0 <= value <= _MOST_TOKENS:  # NaN is not either
        message = "not a count of tokens"
        raise ValueError(message)
    return float(value)
