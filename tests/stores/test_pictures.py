"""Pictures decoded, changed and encoded again."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageDraw

from slideloom.domain.images import NotAPicture, inspect_picture
from slideloom.domain.ratio import Ratio
from slideloom.stores.pictures import fit_picture, shrink_reference, shrink_to_width
from tests.support.pictures import encode, picture

WIDE = Ratio(16, 9)
KINDS = [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")]
RED, BLUE, GREEN = (200, 20, 20), (20, 20, 200), (20, 200, 20)


def decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def is_near(one: Any, other: tuple[int, ...], *, by: int = 6) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


def striped(size: tuple[int, int] = (600, 600)) -> Image.Image:
    """Red at the left, green in the middle, blue at the right."""
    image = Image.new("RGB", size, GREEN)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, size[0] // 4, size[1]), RED)
    draw.rectangle((size[0] * 3 // 4, 0, size[0], size[1]), BLUE)
    return image


@pytest.mark.parametrize(("kind", "extension"), KINDS)
@pytest.mark.parametrize("size", [(600, 600), (900, 300), (300, 900)])
def test_picture_gets_its_ratio_and_keeps_its_type(
    kind: str, extension: str, size: tuple[int, int]
) -> None:
    for mode in ("crop", "pad"):
        data = fit_picture(picture(kind, size), WIDE, mode)
        facts = inspect_picture(io.BytesIO(data))
        assert facts.type == extension
        assert abs(facts.width_px / facts.height_px - 16 / 9) < 0.01
        decode(data).load()


def test_crop_keeps_the_middle() -> None:
    image = striped((1600, 300))
    cropped = decode(fit_picture(encode(image), WIDE, "crop"))
    assert cropped.size == (533, 300)
    assert cropped.getpixel((0, 0)) == cropped.getpixel((532, 299)) == GREEN


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pad_continues_each_border_in_its_own_colour(kind: str) -> None:
    padded = decode(fit_picture(encode(striped(), kind), WIDE, "pad"))
    assert padded.size == (1067, 600)
    assert is_near(padded.getpixel((2, 300)), RED)
    assert is_near(padded.getpixel((533, 300)), GREEN)
    assert is_near(padded.getpixel((1064, 300)), BLUE)


def test_pad_adds_above_and_below_too() -> None:
    upright = striped((600, 600)).transpose(Image.Transpose.ROTATE_90)
    padded = decode(fit_picture(encode(upright), Ratio(9, 16), "pad"))
    assert padded.size == (600, 1067)
    assert padded.getpixel((300, 0)) == padded.getpixel((0, 200)) == BLUE
    assert padded.getpixel((300, 1066)) == padded.getpixel((599, 1000)) == RED


def test_picture_within_the_tolerance_comes_back_byte_for_byte() -> None:
    data = picture("JPEG", (1376, 768))
    assert fit_picture(data, WIDE, "crop") == data


@pytest.mark.slow
def test_picture_that_padding_would_make_too_large_stays_as_it_is() -> None:
    data = encode(Image.new("L", (6000, 6000)))
    assert fit_picture(data, WIDE, "pad") == data


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_picture_that_padding_would_make_too_long_stays_as_it_is(kind: str) -> None:
    data = picture(kind, (60, 60))
    assert fit_picture(data, Ratio(9999, 1), "pad") == data


def test_copy_of_a_picture_too_tall_for_webp_is_smaller() -> None:
    assert decode(shrink_to_width(picture(size=(300, 20_000)), 320)).size == (246, 16_383)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_pixels_is_fitted(mode: str) -> None:
    data = encode(Image.new(mode, (90, 90)))
    assert decode(fit_picture(data, WIDE, "crop")).size == (90, 51)
    assert decode(fit_picture(data, WIDE, "pad")).size == (160, 90)
    assert shrink_reference(data)[0] == "image/jpeg"


def test_sixteen_bits_of_grey_are_not_cut_off() -> None:
    data = encode(Image.new("I;16", (90, 90), 0x8000))
    assert decode(fit_picture(data, WIDE, "pad")).getpixel((1, 1)) == 128


def test_what_is_see_through_stays_so() -> None:
    for data in (
        encode(Image.new("RGBA", (90, 90), (1, 2, 3, 40))),
        encode(Image.new("RGBA", (90, 90), (1, 2, 3, 40)).quantize()),
        encode(Image.new("RGB", (90, 90), RED), transparency=RED),
    ):
        for mode in ("crop", "pad"):
            fitted = decode(fit_picture(data, WIDE, mode)).convert("RGBA")
            pixel = fitted.getpixel((0, 0))
            assert isinstance(pixel, tuple)
            assert pixel[3] < 50


def test_colour_profile_is_kept() -> None:
    data = encode(striped(), icc_profile=b"a profile")
    assert decode(fit_picture(data, WIDE, "crop")).info["icc_profile"] == b"a profile"


def test_turned_photograph_is_fitted_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    data = encode(striped((900, 300)), "JPEG", exif=exif)
    fitted = decode(fit_picture(data, Ratio(9, 16), "crop"))
    assert fitted.height == 533
    assert 0x0112 not in fitted.getexif()


def _png(width: int, height: int, pixels: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        checked = name + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg/>",
        b"GIF89a" + b"\0" * 99,
        picture("JPEG", (400, 300))[:300],
        _png(100, 100, b"no zlib"),
        _png(9000, 9000, b""),  # 81 megapixels, said in a few bytes
        b"RIFF" + (60).to_bytes(4, "little") + b"WEBPVP8L" + b"\x00" * 52,
    ],
)
def test_what_is_no_whole_picture_is_refused(data: bytes) -> None:
    with pytest.raises(NotAPicture):
        fit_picture(data, WIDE, "crop")
    with pytest.raises(NotAPicture):
        shrink_reference(data)


def test_size_that_only_the_decoder_sees_is_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("slideloom.stores.pictures.MAX_PIXELS", 100)
    with pytest.raises(NotAPicture, match="160x90 pixels"):
        shrink_reference(picture())


@pytest.mark.parametrize(("kind", "_"), KINDS)
@pytest.mark.slow
def test_reference_is_a_small_jpeg(kind: str, _: str) -> None:
    media_type, data = shrink_reference(encode(striped((3000, 2000)), kind))
    assert media_type == "image/jpeg"
    assert decode(data).size == (1024, 683)
    assert len(data) < 200_000


def test_small_reference_keeps_its_size_and_loses_what_is_not_pixels() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    _, data = shrink_reference(encode(striped((60, 40)), "JPEG", exif=exif, comment="private"))
    assert decode(data).size == (60, 40)
    assert b"camera" not in data
    assert b"private" not in data


def test_see_through_reference_lies_on_white() -> None:
    _, data = shrink_reference(encode(Image.new("RGBA", (50, 50), (0, 0, 0, 0))))
    assert decode(data).getpixel((25, 25)) == (255, 255, 255)


def test_same_reference_gives_the_same_bytes() -> None:
    assert shrink_reference(picture()) == shrink_reference(picture())


@pytest.mark.parametrize(("kind", "_"), KINDS)
def test_copy_is_a_webp_of_the_width_and_never_larger_than_the_picture(kind: str, _: str) -> None:
    data = picture(kind, (900, 300))
    assert decode(shrink_to_width(data, 320)).size == (320, 107)
    assert decode(shrink_to_width(data, 1280)).size == (900, 300)
    assert decode(shrink_to_width(data, 320)).format == "WEBP"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_copy_of_any_kind_of_pixels_looks_alike(mode: str) -> None:
    image = Image.new("L", (400, 225), 200).convert("I;16" if mode == "I;16" else mode)
    if mode == "I;16":
        image = image.point(lambda grey: grey * 256)
    light = 255 if mode == "1" else 200
    small = decode(shrink_to_width(encode(image), 320)).convert("RGB")
    assert is_near(small.getpixel((160, 90)), (light, light, light))


def test_copy_of_a_print_picture_has_screen_colours() -> None:
    small = decode(shrink_to_width(encode(Image.new("CMYK", (400, 225)), "JPEG"), 320))
    assert small.mode == "RGB"
    assert is_near(small.getpixel((160, 90)), (255, 255, 255))


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("CMYK", "JPEG")])
def test_copy_in_other_colours_leaves_the_profile_behind(mode: str, kind: str) -> None:
    data = encode(Image.new(mode, (400, 225)), kind, icc_profile=b"of grey or ink")
    assert "icc_profile" not in decode(shrink_to_width(data, 320)).info


def test_copy_stays_see_through_and_keeps_its_colour_profile() -> None:
    clear = Image.new("RGBA", (400, 225), (200, 20, 20, 0))
    small = decode(shrink_to_width(encode(clear, icc_profile=b"a profile"), 320))
    assert small.getpixel((160, 90))[3] == 0  # type: ignore[index]  # RGBA
    assert small.info["icc_profile"] == b"a profile"


@pytest.mark.parametrize("data", [b"", b"GIF89a", picture("JPEG")[:200]])
def test_what_is_no_picture_has_no_copy(data: bytes) -> None:
    with pytest.raises(NotAPicture):
        shrink_to_width(data, 320)
