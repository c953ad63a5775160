"""Requests no honest client sends, as the bytes that go over the wire.

`list_corpus` are those thought of by people, `draw` makes others by chance, always the same ones
of the same random source.
"""

import random

from tests.support.mutants import mutate
from tests.support.nasty.bodies import MEDIA_TYPES, bad_bodies, bad_media_types
from tests.support.nasty.heads import (
    HEADER_NAMES,
    HEADER_VALUES,
    METHODS,
    PATH_PARTS,
    QUERIES,
    bad_headers,
    bad_methods,
    bad_targets,
    one_line,
)
from tests.support.nasty.requests import GOOD_BODIES, JSON, Known, Sent, list_routes, to_wire
from tests.support.nasty.wires import bad_framing, bad_handshakes


def list_corpus(known: Known) -> list[Sent]:
    """All that people thought of."""
    return [
        *bad_bodies(),
        *bad_media_types(),
        *bad_headers(known),
        *bad_targets(known),
        *bad_methods(known),
        *bad_framing(),
        *bad_handshakes(known),
    ]


def draw(source: random.Random, known: Known) -> Sent:
    """One more, by chance."""
    target, method, body = source.choice(list_routes(known))
    headers: list[tuple[bytes, bytes]] = [(b"Prefer", b"respond-async")]
    kinds = source.sample(("body", "header", "target", "query", "method"), source.choice((1, 1, 2)))
    content_type = JSON
    if "body" in kinds:
        good = body if body is not None else source.choice(GOOD_BODIES)
        body = mutate(source, good)
        content_type = source.choice((JSON, JSON, JSON, *MEDIA_TYPES))
        method = source.choice((b"POST", method))
    if "header" in kinds:
        headers += [
            (source.choice(HEADER_NAMES), one_line(source.choice(HEADER_VALUES)))
            for _ in range(source.randint(1, 4))
        ]
    if "target" in kinds:
        part = source.choice(PATH_PARTS)
        at = source.choice([i for i, byte in enumerate(target) if byte == b"/"[0]])
        target = target[: at + 1] + part + target[source.choice((at + 1, len(target))) :]
    if "query" in kinds:
        target += source.choice((b"?", b"&", b";")) + source.choice(QUERIES)
    if "method" in kinds:
        method = source.choice(METHODS)
    return Sent(
        name=f"drawn: {', '.join(kinds)} of {target[:60].decode('latin-1')}",
        wire=to_wire(target, *headers, method=method, body=body, content_type=content_type),
        is_whole=not target.partition(b"?")[0].endswith(b"/events"),
        is_head=method == b"HEAD",
    )
