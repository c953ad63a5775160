"""Small real pictures."""

import io
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
