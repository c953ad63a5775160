"""What a picture's own bytes say about it: type, size, and whether it is whole."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import BinaryIO, Final, Literal

from msgspec import Struct

from slideloom.domain.ratio import Ratio

PictureType = Literal["png", "jpg", "webp"]
FitMode = Literal["crop", "pad"]
"""What is done to a picture of another ratio: cut away what is too much, or add what is missing."""

MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
)
"""By type."""
MAX_PIXELS = 40_000_000
"""A larger picture is refused: decoding it would cost whoever opens it hundreds of MB."""
MAX_SIDE_PX = 16383
"""No picture made here has a longer side: WebP can say no more. Source: RFC 6386, section 9.1."""
MAX_BYTES = 64 * 1024 * 1024
"""A larger answer is cut off. Source: providers policy."""
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers: all of C0..CF but the Huffman, extension and arithmetic tables."""
_JPEG_TAIL_BYTES = 64
"""How far from the end the end-of-image marker may be: some writers pad."""


class PictureFacts(Struct, frozen=True):
    """A picture, looked at."""

    type: PictureType
    """Its true type, which is also its file name's extension."""
    width_px: int
    height_px: int
    size_bytes: int


class NotAPicture(ValueError):
    """The bytes are not a whole PNG, JPEG or WebP picture of a sane size."""


def inspect_picture(source: BinaryIO) -> PictureFacts:
    """Look at a picture's header and trailer; its pixels are not decoded.

    Raises:
        NotAPicture: unknown type, cut short, or more than 40 megapixels.
    """
    size_bytes = source.seek(0, 2)
    source.seek(0)
    head = source.read(32)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        kind: PictureType = "png"
        width, height = _png_size(source, head, size_bytes)
    elif head.startswith(b"\xff\xd8\xff"):
        kind = "jpg"
        width, height = _jpeg_size(source, size_bytes)
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        kind = "webp"
        width, height = _webp_size(head, size_bytes)
    else:
        message = "the bytes are no PNG, JPEG or WebP picture"
        raise NotAPicture(message)
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        message = f"a picture of {width}x{height} pixels"
        raise NotAPicture(message)
    return PictureFacts(type=kind, width_px=width, height_px=height, size_bytes=size_bytes)


def fitted_size(
    ratio: Ratio, mode: FitMode, *, width_px: int, height_px: int
) -> tuple[int, int] | None:
    """The width and height that give a picture its ratio; `None`: it stays as it is.

    Either because it fits within the tolerance, or because padding it would
    make it larger, or longer, than a picture may be.
    """
    if ratio.fits(width_px=width_px, height_px=height_px):
        return None
    too_wide = width_px * ratio.height > height_px * ratio.width
    if too_wide == (mode == "crop"):
        size = max(1, round(height_px * ratio.width / ratio.height)), height_px
    else:
        size = width_px, max(1, round(width_px * ratio.height / ratio.width))
    return size if size[0] * size[1] <= MAX_PIXELS and max(size) <= MAX_SIDE_PX else None


def _cut_short(kind: str) -> NotAPicture:
    return NotAPicture(f"the {kind} picture is cut short")


def _png_size(source: BinaryIO, head: bytes, size_bytes: int) -> tuple[int, int]:
    source.seek(max(0, size_bytes - 12))
    if head[12:16] != b"IHDR" or source.read(8) != b"\0\0\0\0IEND":
        raise _cut_short("PNG")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _jpeg_size(source: BinaryIO, size_bytes: int) -> tuple[int, int]:
    source.seek(max(0, size_bytes - _JPEG_TAIL_BYTES))
    if b"\xff\xd9" not in source.read():
        raise _cut_short("JPEG")
    position = 2
    while position < size_bytes:
        source.seek(position)
        segment = source.read(9)
        if len(segment) < 9 or segment[0] != 0xFF:  # noqa: PLR2004 - the marker's own bytes
            break
        if segment[1] == 0xFF:  # noqa: PLR2004 - a fill byte before the marker
            position += 1
            continue
        if segment[1] in _JPEG_FRAMES:
            return int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")
        position += 2 + int.from_bytes(segment[2:4], "big")
    raise _cut_short("JPEG")


def _webp_size(head: bytes, size_bytes: int) -> tuple[int, int]:
    if size_bytes < int.from_bytes(head[4:8], "little") + 8:
        raise _cut_short("WebP")
    match head[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(
                head[27:30], "little"
            )
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            return (
                int.from_bytes(head[26:28], "little") & 0x3FFF,
                int.from_bytes(head[28:30], "little") & 0x3FFF,
            )
        case _:
            raise _cut_short("WebP")
