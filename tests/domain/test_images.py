"""What a picture's bytes say."""

import io

import pytest
from PIL import Image

from slideloom.domain.images import NotAPicture, inspect_picture
from tests.support.pictures import picture

KINDS = [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")]


@pytest.mark.parametrize(("kind", "extension"), KINDS)
def test_type_and_size_come_from_the_bytes(kind: str, extension: str) -> None:
    facts = inspect_picture(io.BytesIO(picture(kind, (321, 123))))
    assert (facts.type, facts.width_px, facts.height_px) == (extension, 321, 123)


def test_lossless_and_extended_webp_are_read_too() -> None:
    for options in ({"lossless": True}, {"exif": b"Exif\0\0", "lossless": False}):
        buffer = io.BytesIO()
        Image.new("RGBA", (77, 33), (1, 2, 3, 128)).save(buffer, "WEBP", **options)
        facts = inspect_picture(buffer)
        assert (facts.width_px, facts.height_px) == (77, 33)


@pytest.mark.parametrize(("kind", "_"), KINDS)
@pytest.mark.parametrize("left", [1, 20, 0.5, 0.9])
def test_picture_cut_short_is_none(kind: str, _: str, left: float) -> None:
    whole = picture(kind, (400, 300))
    cut = whole[: int(len(whole) * left) if left < 1 else int(left)]
    with pytest.raises(NotAPicture):
        inspect_picture(io.BytesIO(cut))


@pytest.mark.parametrize("data", [b"", b"<html>", b"GIF89a" + b"\0" * 50, b"\xff\xd8\xff" * 30])
def test_other_bytes_are_no_picture(data: bytes) -> None:
    with pytest.raises(NotAPicture):
        inspect_picture(io.BytesIO(data))


def test_picture_beyond_forty_megapixels_is_refused() -> None:
    data = bytearray(picture("PNG"))
    data[16:24] = (12000).to_bytes(4, "big") * 2
    with pytest.raises(NotAPicture, match="12000x12000"):
        inspect_picture(io.BytesIO(bytes(data)))
