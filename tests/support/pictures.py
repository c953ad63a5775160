"""Small real pictures."""

import io
import zlib
from typing import Any

from PIL import Image


def picture(kind: str = "PNG", size: tuple[int, int] = (160, 90)) -> bytes:
    """A picture of that type and size in pixels."""
    return encode(Image.new("RGB", size, (11, 61, 145)), kind)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The image as a file of that type; Pillow's own options."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def polyglot(png: bytes, page: bytes = b"<!doctype html><script>alert(1)</script>") -> bytes:
    """The PNG with a web page in a part of its own: a whole picture still."""
    body = b"tEXtComment\0" + page
    part = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return png[:_PNG_HEAD_BYTES] + part + png[_PNG_HEAD_BYTES:]


_PNG_HEAD_BYTES = 33
"""Of the signature and the first part."""
