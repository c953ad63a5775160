"""Pictures decoded, changed and encoded again: blocking work, for a worker thread."""

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

from PIL import ExifTags, Image, ImageOps

from slideloom.domain.images import (
    MAX_PIXELS,
    MAX_SIDE_PX,
    FitMode,
    NotAPicture,
    PictureFacts,
    PictureType,
    fitted_size,
    inspect_picture,
)
from slideloom.domain.ratio import Ratio

_SAVED_AS: Final[dict[PictureType, tuple[str, dict[str, Any]]]] = {
    "png": ("PNG", {}),
    # Full colour resolution: letters on a coloured ground keep their edges.
    "jpg": ("JPEG", {"quality": 92, "subsampling": 0}),
    "webp": ("WEBP", {"quality": 92}),
}
_FORMATS = ("PNG", "JPEG", "WEBP")
_PNG_INTERLACED = 28
"""Where in a PNG it stands."""
_PNG_FIRST_PART = 8
"""Behind the signature."""
_COLOURED = frozenset({"P", "RGB", "RGBA", "CMYK"})
"""Pixels whose colour profile still fits when they are written again."""
_BORDER_PARTS = 50
"""A border is this part of a side: its colour is not one stray line's."""
_REFERENCE_PX = 1024
_REFERENCE_QUALITY = 85
"""Enough to show a style, and some 200 KB: it is sent with every call. Source: contract."""
_THUMBNAIL: Final[dict[str, Any]] = {"quality": 80, "method": 2}
"""Of WebP; a slower method makes it 3 % smaller and takes twice as long."""
_DECODE_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises over broken pictures."""


def fit_picture(data: bytes, ratio: Ratio, mode: FitMode) -> bytes:
    """The picture in that ratio and of the same type; as it is where nothing is to be done.

    Cropped around its middle, or padded on both sides, each in its border's mean colour.

    Raises:
        NotAPicture: it cannot be decoded, or has more than 40 megapixels.
    """
    facts = inspect_picture(io.BytesIO(data))
    image = _decode(data)
    size = fitted_size(ratio, mode, width_px=image.width, height_px=image.height)
    if size is None:
        return data
    fitted = (_crop if mode == "crop" else _pad)(_with_plain_colours(image), size)
    kind, options = _SAVED_AS[facts.type]
    return _encode(fitted, kind, icc_profile=image.info.get("icc_profile"), **options)


def shrink_reference(data: bytes) -> tuple[str, bytes]:
    """A style reference as it is sent: media type and bytes of a JPEG, long side 1024 px at most.

    What is see-through becomes white; nothing but the pixels is kept.

    Raises:
        NotAPicture: no PNG, JPEG or WebP, broken, or more than 40 megapixels.
    """
    inspect_picture(io.BytesIO(data))
    image = _decode(data, wanted_px=_REFERENCE_PX)
    image.thumbnail((_REFERENCE_PX, _REFERENCE_PX), Image.Resampling.LANCZOS)
    flat = _on_white(image)
    flat.info.clear()  # comments and such, which Pillow would write again
    return "image/jpeg", _encode(flat, "JPEG", quality=_REFERENCE_QUALITY)


def shrink_to_width(data: bytes, width_px: int) -> bytes:
    """The picture as WebP, at most so wide; see-through stays see-through.

    Raises:
        NotAPicture: no PNG, JPEG or WebP, broken, or more than 40 megapixels.
    """
    inspect_picture(io.BytesIO(data))
    image = _with_plain_colours(_decode(data, wanted_px=width_px))
    image.thumbnail((width_px, min(image.height, MAX_SIDE_PX)), Image.Resampling.LANCZOS)
    profile = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA"} else None
    return _encode(image, "WEBP", icc_profile=profile, **_THUMBNAIL)


def to_plain_picture(data: bytes) -> tuple[PictureFacts, bytes]:
    """The picture as every program shows it: PNG or JPEG, upright, not see-through; what it is.

    Most stay as they are, to the byte.

    Raises:
        NotAPicture: no PNG, JPEG or WebP, broken, or more than 40 megapixels.
    """
    facts = inspect_picture(io.BytesIO(data))
    if _is_plain(data, facts.type):
        return facts, data
    image = _decode(data)
    profile = image.info.get("icc_profile") if image.mode in _COLOURED else None
    if facts.type == "jpg":
        plain = _encode(image, "JPEG", quality=95, subsampling=0, icc_profile=profile)
    else:  # without loss, but in a fifth of the time that the best compression takes
        plain = _encode(_on_white(image), "PNG", compress_level=1, icc_profile=profile)
    return inspect_picture(io.BytesIO(plain)), plain


def _is_plain(data: bytes, kind: PictureType) -> bool:
    """Whether it can stay as it is; a JPEG's pixels are not looked at, a PNG's are checked."""
    with _decoding(), Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        _check_pixels(opened)
        if kind == "jpg":
            return bool(opened.getexif().get(ExifTags.Base.Orientation, 1) == 1)
        if kind == "webp" or opened.has_transparency_data or not _is_pdf_ready(data, opened):
            return False
        opened.verify()  # the check sums of all parts
        return True


def _is_pdf_ready(data: bytes, png: Image.Image) -> bool:
    """Whether a PNG's rows can stand in a PDF: not interlaced, no palette that has a profile."""
    has_odd_palette = png.mode == "P" and "icc_profile" in png.info
    return not data[_PNG_INTERLACED] and not has_odd_palette and _are_parts_whole(data)


def _are_parts_whole(png: bytes) -> bool:
    """Whether a PNG consists of parts up to its last byte, and nothing else."""
    position = _PNG_FIRST_PART
    while position < len(png):
        position += 12 + int.from_bytes(png[position : position + 4], "big")
    return position == len(png)


def _decode(data: bytes, *, wanted_px: int | None = None) -> Image.Image:
    """The picture, upright; a JPEG not much wider than `wanted_px`.

    Raises:
        NotAPicture: it is broken, or larger than its header says.
    """
    with _decoding():
        opened = Image.open(io.BytesIO(data), formats=_FORMATS)
        _check_pixels(opened)
        if wanted_px is not None:
            opened.draft(None, (wanted_px, 1))
        opened.load()
        ImageOps.exif_transpose(opened, in_place=True)
        return _in_eight_bits(opened)


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """What Pillow raises over broken pictures, as our own error."""
    try:
        yield
    except NotAPicture:
        raise
    except _DECODE_FAULTS as error:
        message = f"the picture cannot be decoded: {error}"
        raise NotAPicture(message) from error


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """Sixteen bits of grey would be cut off at 255 by whatever is done next."""
    if not image.mode.startswith("I;16"):
        return image
    return image.point(lambda grey: grey * (1 / 256)).convert("L")


def _check_pixels(image: Image.Image) -> None:
    """Before decoding, by the decoder's own word: a hostile file may name two sizes."""
    if image.width * image.height > MAX_PIXELS:
        message = f"a picture of {image.width}x{image.height} pixels"
        raise NotAPicture(message)


def _crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return image.crop((left, top, left + size[0], top + size[1]))


def _pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    width, height = image.size
    canvas = Image.new(image.mode, size)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    if size[0] > width:
        part = max(1, width // _BORDER_PARTS)
        canvas.paste(_mean_colour(image, (0, 0, part, height)), (0, 0, left, height))
        far = (width - part, 0, width, height)
        canvas.paste(_mean_colour(image, far), (left + width, 0, *size))
    else:
        part = max(1, height // _BORDER_PARTS)
        canvas.paste(_mean_colour(image, (0, 0, width, part)), (0, 0, width, top))
        far = (0, height - part, width, height)
        canvas.paste(_mean_colour(image, far), (0, top + height, *size))
    canvas.paste(image, (left, top))
    return canvas


def _with_plain_colours(image: Image.Image) -> Image.Image:
    """In a mode whose mean colour is what one sees: no palette, no colour that stands for none."""
    if image.mode in {"LA", "RGBA"}:
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")


def _mean_colour(image: Image.Image, box: tuple[int, int, int, int]) -> Any:  # noqa: ANN401 - Pillow's colours
    return image.crop(box).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    ground = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(ground, layer).convert("RGB")


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's own
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
