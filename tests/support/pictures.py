"""Small real pictures."""

import io

from PIL import Image


def picture(kind: str = "PNG", size: tuple[int, int] = (160, 90)) -> bytes:
    """A picture of that type and size in pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (11, 61, 145)).save(buffer, kind)
    return buffer.getvalue()
