"""The token by which a service knows its client: where it comes from, and how it is sent."""

import os
from collections.abc import Mapping

VARIABLE = "SLIDELOOM_TOKEN"
"""Where it is looked for unless it is given."""


def to_authorization(
    token: str | None, headers: Mapping[str, str], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The header that shows `token`, or that of the environment where it is `None`.

    Nothing for an empty token, and where `headers` have an Authorization of their own.

    Raises:
        ValueError: it cannot stand in a header. It is not repeated: it would be logged.
    """
    secret = (environ.get(VARIABLE, "") if token is None else token).strip()
    if not secret or any(name.lower() == "authorization" for name in headers):
        return {}
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        message = "the token holds a blank, a line break or a strange character"
        raise ValueError(message)
    return {"Authorization": f"Bearer {secret}"}
