"""The key under which a result is found again."""

import hashlib
import unicodedata

from msgspec import Struct

from slideloom.domain.ratio import Ratio

_RULES = "slideloom-result-1"
"""Names the rules below: changed with them, so that no key of other rules is ever met."""


def cache_key(
    *,
    provider: str,
    model: str,
    prompt: str,
    ratio: Ratio,
    size: str | None,
    reference: str | None,
) -> str:
    """The same for requests that ask for the same picture, and for no others.

    `prompt` is the final one: how its letters are composed and how wide its gaps
    are do not matter. `reference` is the hash of the style reference's bytes.

    Returns:
        64 hexadecimal digits. Source: contract section 5.
    """
    parts = (_RULES, provider, model, _fold(prompt), str(ratio), size, reference)
    return hashlib.sha256(b"".join(map(_with_length, parts))).hexdigest()


def _fold(prompt: str) -> str:
    return " ".join(unicodedata.normalize("NFC", prompt).split())


def _with_length(part: str | None) -> bytes:
    """The length stands in front: where one part ends and the next begins is never in doubt."""
    if part is None:
        return b"-;"
    body = part.encode("utf-8", "surrogatepass")
    return b"%d:%b;" % (len(body), body)


class OnceKey(Struct, frozen=True, kw_only=True):
    """A client's own name for a request, which is carried out once."""

    text: str
    """1 to 255 visible ASCII characters."""
    digest: str
    """Of what was asked: the key stands for that alone."""
    until_s: float
    """How long it stands for it, on the wall clock."""


def to_digest(*parts: bytes) -> str:
    """What tells one request from another."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
