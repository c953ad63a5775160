"""Server-sent events, as far as the service uses them."""

from collections.abc import AsyncGenerator

import aiohttp
from msgspec import Struct

from slideloom.client.errors import UnexpectedAnswer

_PIECE_BYTES = 64 * 1024
_MOST_BYTES = 64 * 1024 * 1024
"""Of one event; a slide's is a few MB at most."""


class Frame(Struct, frozen=True):
    """One event of a stream, or a sign of life (`data` is empty)."""

    id: str = ""
    name: str = ""
    data: bytes = b""


async def read_frames(stream: aiohttp.StreamReader) -> AsyncGenerator[Frame, None]:
    """The frames of a stream until it ends; what is cut off at its end is none.

    Not line by line: aiohttp gives up on lines as long as a slide's prompt can be.

    Raises:
        UnexpectedAnswer: an event has no end.
    """
    rest = b""
    async for piece in stream.iter_chunked(_PIECE_BYTES):
        *blocks, rest = (rest + piece).split(b"\n\n")
        if len(rest) > _MOST_BYTES:
            raise UnexpectedAnswer("the stream is none of a Slideloom: an event has no end")
        for block in blocks:
            frame = _parse(block)
            if frame is not None:
                yield frame


def _parse(block: bytes) -> Frame | None:
    """The frame of a block; none where it only sets how to come back."""
    fields: dict[bytes, bytes] = {}
    is_alive = False
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        is_alive |= not name
        fields[name] = value.removeprefix(b" ")
    if b"data" in fields:
        number, kind = fields.get(b"id", b""), fields.get(b"event", b"")
        return Frame(number.decode("latin-1"), kind.decode("latin-1"), fields[b"data"])
    return Frame() if is_alive else None
