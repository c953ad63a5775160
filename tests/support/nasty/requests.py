"""What a nasty request is made of: the bytes on the wire, and good parts to spoil."""

import json
from typing import Any

from msgspec import Struct

from tests.support.orders import deck

JSON = b"application/json"


class Known(Struct, frozen=True):
    """What is there to be asked for."""

    batch_id: str
    session_id: str
    picture: str
    """The name of a file below `/assets/`."""


class Sent(Struct, frozen=True, kw_only=True):
    """One request, or what is to be taken for one."""

    name: str
    """What is wrong with it."""
    wire: bytes
    then: bytes = b""
    """What is sent once an answer has begun."""
    is_whole: bool = True
    """Whether an answer, and its end, must come at once."""
    is_head: bool = False
    """Whether its answers have no body."""


def to_wire(
    target: bytes,
    *headers: tuple[bytes, bytes],
    method: bytes = b"GET",
    body: bytes | None = None,
    content_type: bytes = JSON,
) -> bytes:
    """A request that is well framed, whatever is in it; the connection ends with its answer."""
    lines = [(b"Host", b"localhost"), (b"Connection", b"close"), *headers]
    if body is not None:
        lines += [(b"Content-Type", content_type), (b"Content-Length", b"%d" % len(body))]
    head = b"".join(b"%s: %s\r\n" % line for line in lines)
    return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method, target, head, body or b"")


def encode(body: Any) -> bytes:
    return json.dumps(body).encode()


DECK = encode(deck(2, max_workers=3, aspect_ratio="16:9", model="m", max_cost_usd=0.5))
SINGLE = encode({"style_prompt": "calm", "visual_desc": "a loom", "page_num": 3})
PROJECT = encode({"project": {"title": "t", "slides": [{"title": "a", "page_num": 1}]}})
IDS = encode({"slide_ids": ["s1"]})
GOOD_BODIES = (DECK, SINGLE, PROJECT, IDS, encode({"batch_id": "x"}))


def list_routes(known: Known) -> list[tuple[bytes, bytes, bytes | None]]:
    """Every route: its address, method and body."""
    batch = b"/api/slide/batch/" + known.batch_id.encode()
    gets = (
        *(b"/", b"/healthz", b"/readyz", b"/metrics", b"/api/docs", b"/api/openapi.json"),
        *(b"/static/page.css", b"/static/vendor/x.js", b"/assets/" + known.picture.encode()),
        *(
            b"/api/slide/batch",
            batch,
            b"/api/slide/batch/unknown",
            b"/api/slide/batch/active-count",
        ),
        *(b"/api/slide/batch/config/validate", b"/api/slide/batch/config/optimal", b"/api/sign-in"),
        *(batch + b"/export.zip", batch + b"/export.pptx", batch + b"/export.pdf"),
        *(
            b"/api/slide/batch/unknown/events",
            b"/api/sessions/" + known.session_id.encode() + b"/logs",
        ),
    )
    posts = {
        b"/api/slide/batch/generate": DECK,
        b"/api/slide/batch/estimate": DECK,
        b"/api/slide/batch/status": encode({"batch_id": known.batch_id}),
        b"/api/slide/generate": SINGLE,
        b"/api/slide/regenerate": SINGLE,
        b"/api/export/pptx": PROJECT,
        batch + b"/cancel": None,
        batch + b"/retry": IDS,
        b"/api/slide/batch/unknown/retry": IDS,
        b"/api/sign-in": encode({"token": "secret"}),
        b"/api/sign-out": None,
        batch + b"/slides/s1/regenerate": None,
        batch + b"/slides/s1/versions/1/restore": None,
    }
    return [
        *((target, b"GET", None) for target in gets),
        *((target, b"POST", body) for target, body in posts.items()),
    ]
