"""The Idempotency-Key header: a request that is sent again is carried out once."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request

from slideloom.clock import wall_s
from slideloom.domain.keys import OnceKey, to_digest
from slideloom.errors import InvalidRequest
from slideloom.web.callers import to_owner
from slideloom.web.endpoint import Parameter

_KEPT_S = 24 * 3600.0
"""Source: contract section 2."""
_HEADER = "Idempotency-Key"
_VISIBLE = r"[!-~]{1,255}"

REPLAYED = {"Idempotent-Replayed": "true"}
"""The header of an answer to a request that was carried out before."""
ONCE_KEY = Parameter(
    name=_HEADER,
    where="header",
    type=Annotated[str, Meta(pattern=f"^{_VISIBLE}$")],
    description="1 to 255 visible ASCII characters: the same key and body within 24 h give the"
    " same batch (`Idempotent-Replayed: true`), also after a restart.",
)


def read_once_key(request: Request, asked: Struct) -> OnceKey | None:
    """The caller's own name for `asked`, which it stands for at this address alone.

    A key in double quotes, as the IETF draft writes it, is the same as without.

    Raises:
        InvalidRequest: no key of that sort, or several.
    """
    sent = request.headers.getlist(_HEADER)
    if not sent:
        return None
    text = sent[0].strip()
    if len(text) > 2 and text[0] == text[-1] == '"':  # noqa: PLR2004 - both quotes and a character
        text = text[1:-1]
    if len(sent) > 1 or re.fullmatch(_VISIBLE, text) is None:
        message = "must be 1 to 255 visible ASCII characters"
        raise InvalidRequest(message, ("header", _HEADER))
    digest = to_digest(request.scope["path"].encode(), msgspec.json.encode(asked))
    owner = to_owner(request)
    # No key has a blank, so nobody's stands for another's.
    text = f"{owner} {text}" if owner else text
    return OnceKey(text=text, digest=digest, until_s=wall_s() + _KEPT_S)
