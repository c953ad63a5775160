"""Answers to what is no request, or does not become one: no handler and no middleware sees it."""

import uuid

from msgspec import Struct

from slideloom.errors import Stopping
from slideloom.web.headers import PROTECTION, Headers
from slideloom.web.problems import RETRY_S, encode_problem
from slideloom.web.words import explain


class Refusal(Struct, frozen=True):
    """What is answered; in English, as the head may be missing, and with it the language."""

    status: int
    code: str
    detail: str
    retry_s: int | None = None


MALFORMED = Refusal(400, "invalid_request", "This is not a valid HTTP/1.1 request.")
OTHER_VERSION = Refusal(
    400, "invalid_request", "The service speaks HTTP/1.1; send the request in that version."
)
WRONG_TARGET = Refusal(
    400,
    "invalid_request",
    "The request's address is that of another host than its Host header. Send the path alone.",
)
WRONG_UPGRADE = Refusal(
    400, "invalid_request", "There are no tunnels here; a WebSocket begins with a GET without body."
)
SENT_AHEAD = Refusal(
    400, "invalid_request", "Too many requests were sent ahead; wait for their answers."
)
TOO_SLOW = Refusal(408, "request_timeout", "The request did not come in time. Send it again.")
HEAD_TOO_LARGE = Refusal(
    431, "head_too_large", "The request's headers are too large; send fewer or shorter ones."
)
NO_ROOM = Refusal(
    503,
    "too_many_connections",
    "The service has no connection free. Try again soon.",
    retry_s=RETRY_S,
)
STOPPING = Refusal(503, Stopping.code, explain(Stopping(), "en"), retry_s=RETRY_S)
REFUSALS = (
    *(MALFORMED, OTHER_VERSION, WRONG_TARGET, WRONG_UPGRADE, SENT_AHEAD),
    *(TOO_SLOW, HEAD_TOO_LARGE, NO_ROOM, STOPPING),
)


def build_answer(refusal: Refusal) -> tuple[Headers, bytes]:
    """Its headers and its body; the connection is to be closed behind them."""
    request_id = uuid.uuid4().hex
    body = encode_problem(refusal.status, refusal.code, refusal.detail, request_id=request_id)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
        *PROTECTION,
    ]
    if refusal.retry_s is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_s))
    return headers, body
