"""The headers that protect readers, of every answer, whoever gives it."""

from collections.abc import Sequence
from typing import Final

Headers = Sequence[tuple[bytes, bytes]]
"""As ASGI has them, names in small letters."""

PROTECTION: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    # Of what is no page: it loads nothing and stands in no frame. Pages and pictures say otherwise.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    # No other site may draw it in as script or picture; pages of ALLOWED_ORIGINS read it by CORS.
    (b"cross-origin-resource-policy", b"same-origin"),
)
