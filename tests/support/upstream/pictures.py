"""Real pictures of any geometry and size, made once and shared, each answer's with its own stamp.

A stamp is a small metadata chunk near the front that tells which call and prompt the picture
belongs to. The parts before and in it have lengths that are multiples of three, so the base64 of
the shared parts is shared too, and a stamped picture costs a hundred bytes of work.
"""

import re
import struct
import zlib
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from random import Random

import pybase64
from msgspec import Struct
from PIL import Image, ImageDraw

from tests.support.upstream.plan import MediaType
from tests.support.upstream.steps import Pieces

_STAMP_CHARS = 111
"""A multiple of three; the chunk around it is made one by the format's own overhead."""
_STAMP_PATTERN = re.compile(rb"upstream-stamp: call=(\d+) prompt=([0-9a-f]{16}) part=(\S+)")
_PNG_HEAD_BYTES = 33
"""Signature and IHDR."""
_JPEG_HEAD_BYTES = 20
"""SOI and JFIF's APP0, as Pillow writes them."""
_SEGMENT_BYTES = 65533
"""Most that fits into one JPEG comment segment."""
_SHAPES = 9
"""Rectangles in a picture, each in its own colour."""


class Stamp(Struct, frozen=True):
    """What a picture says about its own making."""

    call: int
    """Number of the call in the bill."""
    prompt_key: str
    """`prompt_key` of the prompt it was made for."""
    part: str
    """`final`, or `draft-1`, `second` … where an answer has several."""


class Plate(Struct, frozen=True):
    """One picture, all but its stamp."""

    media_type: MediaType
    width_px: int
    height_px: int
    before: bytes
    after: bytes
    before_b64: bytes
    after_b64: bytes

    def raw(self, stamp: Stamp) -> bytes:
        """The whole file."""
        return self.before + _stamp_chunk(self.media_type, stamp) + self.after

    def b64(self, stamp: Stamp) -> Pieces:
        """The whole file in base64; only the small middle is new."""
        middle = pybase64.b64encode(_stamp_chunk(self.media_type, stamp))
        return self.before_b64, middle, self.after_b64


@lru_cache(maxsize=32)
def make_plate(
    media_type: MediaType, width_px: int, height_px: int, *, size_bytes: int, seed: int
) -> Plate:
    """Draw a picture; a smaller one is padded with random bytes to `size_bytes`, and is valid."""
    image = _draw(width_px, height_px, seed)
    buffer = BytesIO()
    match media_type:
        case "image/png":
            image.save(buffer, "PNG", compress_level=6)
            before, after = _open_png(buffer.getvalue(), size_bytes, seed)
        case "image/jpeg":
            image.convert("RGB").save(buffer, "JPEG", quality=60)
            before, after = _open_jpeg(buffer.getvalue(), size_bytes, seed)
        case "image/webp":
            image.convert("RGB").save(buffer, "WEBP", quality=40, method=0)
            before, after = _open_webp(buffer.getvalue(), size_bytes, seed, (width_px, height_px))
    return Plate(
        media_type,
        width_px,
        height_px,
        before,
        after,
        pybase64.b64encode(before),
        pybase64.b64encode(after),
    )


def prompt_key(prompt: str) -> str:
    """What a stamp says of a prompt: 16 hexadecimal digits."""
    return sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_stamp(picture: bytes) -> Stamp | None:
    """The stamp in a picture, if it is one of ours."""
    found = _STAMP_PATTERN.search(picture)
    if found is None:
        return None
    return Stamp(int(found[1]), found[2].decode(), found[3].decode())


def _draw(width_px: int, height_px: int, seed: int) -> Image.Image:
    dice = Random(f"{seed}:{width_px}x{height_px}")
    image = Image.new("P", (width_px, height_px))
    image.putpalette(dice.randbytes(3 * (_SHAPES + 1)))
    pen = ImageDraw.Draw(image)
    for colour in range(1, _SHAPES + 1):
        left, top = dice.randrange(width_px), dice.randrange(height_px)
        right, bottom = dice.randrange(left, width_px), dice.randrange(top, height_px)
        pen.rectangle((left, top, right, bottom), fill=colour)
    return image


def _stamp_text(stamp: Stamp) -> bytes:
    text = f"upstream-stamp: call={stamp.call} prompt={stamp.prompt_key} part={stamp.part}"
    return text.encode().ljust(_STAMP_CHARS)


def _stamp_chunk(media_type: MediaType, stamp: Stamp) -> bytes:
    text = _stamp_text(stamp)
    match media_type:
        case "image/png":
            return _png_chunk(b"tEXt", b"Title\0" + text)
        case "image/jpeg":
            return _jpeg_comment(text + b"  ")
        case "image/webp":
            return _riff_chunk(b"STMP", text + b" ")


def _padding(size_bytes: int, seed: int) -> bytes:
    return Random(seed).randbytes(size_bytes)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _open_png(picture: bytes, size_bytes: int, seed: int) -> tuple[bytes, bytes]:
    missing = (
        size_bytes - len(picture) - len(_png_chunk(b"tEXt", b"Title\0" + bytes(_STAMP_CHARS))) - 12
    )
    pad = _png_chunk(b"spAd", _padding(missing, seed)) if missing >= 0 else b""
    return picture[:_PNG_HEAD_BYTES], pad + picture[_PNG_HEAD_BYTES:]


def _jpeg_comment(data: bytes) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", len(data) + 2) + data


def _open_jpeg(picture: bytes, size_bytes: int, seed: int) -> tuple[bytes, bytes]:
    before = picture[:_JPEG_HEAD_BYTES] + _jpeg_comment(b"   ")
    stamp_bytes = len(_jpeg_comment(bytes(_STAMP_CHARS + 2)))
    missing = size_bytes - len(picture) - len(before) + _JPEG_HEAD_BYTES - stamp_bytes
    pad = bytearray()
    noise = _padding(max(missing, 0), seed)
    while missing - len(pad) >= 4:
        room = min(missing - len(pad) - 4, _SEGMENT_BYTES)
        if 0 < missing - len(pad) - 4 - room < 4:
            room -= 4
        pad += _jpeg_comment(noise[len(pad) : len(pad) + room])
    return before, bytes(pad) + picture[_JPEG_HEAD_BYTES:]


def _riff_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _open_webp(
    picture: bytes, size_bytes: int, seed: int, size_px: tuple[int, int]
) -> tuple[bytes, bytes]:
    width_px, height_px = size_px
    extent = struct.pack("<I", width_px - 1)[:3] + struct.pack("<I", height_px - 1)[:3]
    extended = _riff_chunk(b"VP8X", bytes(4) + extent)
    body = picture[12:]
    stamp_bytes = len(_riff_chunk(b"STMP", bytes(_STAMP_CHARS + 1)))
    missing = size_bytes - 12 - len(extended) - stamp_bytes - len(body) - 8
    after = body + (_riff_chunk(b"PADD", _padding(missing, seed)) if missing >= 0 else b"")
    whole = 4 + len(extended) + stamp_bytes + len(after)
    return b"RIFF" + struct.pack("<I", whole) + b"WEBP" + extended, after
