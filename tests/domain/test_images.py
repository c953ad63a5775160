"""What a picture's bytes say."""

import io

import pytest
from PIL import Image

from slideloom.domain.images import FitMode, NotAPicture, fitted_size, inspect_picture
from slideloom.domain.ratio import Ratio
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


@pytest.mark.parametrize(
    ("size", "mode", "fitted"),
    [
        ((1000, 1000), "crop", (1000, 562)),
        ((1000, 1000), "pad", (1778, 1000)),
        ((2000, 500), "crop", (889, 500)),
        ((2000, 500), "pad", (2000, 1125)),
        ((1376, 768), "crop", None),  # within the tolerance
        ((6000, 6000), "crop", (6000, 3375)),
        ((6000, 6000), "pad", None),  # 64 megapixels
    ],
)
def test_crop_takes_away_and_pad_adds(
    size: tuple[int, int], mode: FitMode, fitted: tuple[int, int] | None
) -> None:
    assert fitted_size(Ratio(16, 9), mode, width_px=size[0], height_px=size[1]) == fitted


def test_steepest_ratio_leaves_one_pixel() -> None:
    assert fitted_size(Ratio(9999, 1), "crop", width_px=300, height_px=300) == (300, 1)
    assert fitted_size(Ratio(1, 9999), "crop", width_px=300, height_px=300) == (1, 300)
