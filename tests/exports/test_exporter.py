"""Decks to take home, of every kind of picture, on paper of every ratio."""

import asyncio
import io
import struct
import tempfile
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pypdfium2
import pytest
from PIL import Image, ImageCms, ImageDraw
from pptx import Presentation
from pptx.shapes.picture import Picture

from slideloom.domain.album import Album, AlbumPage
from slideloom.domain.ratio import Ratio
from slideloom.errors import NoPictures, StorageFull, StoreError
from slideloom.exports.exporter import Exporter, MadeFile
from tests.support.parts import MemoryImageStore
from tests.support.pictures import encode, picture

WIDE = Ratio(16, 9)


def corners(mode: str = "RGB", size: tuple[int, int] = (320, 180)) -> Image.Image:
    """Red at the top left, blue at the bottom right, white between."""
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, size[0] // 2, size[1] // 2), "red")
    pen.rectangle((size[0] // 2, size[1] // 2, *size), "blue")
    return image.convert(mode, dither=Image.Dither.NONE)


def turned(turn: int) -> bytes:
    """The corners as a camera that lies so writes them: seen upright, they are as ever."""
    exif = Image.Exif()
    exif[0x0112] = turn
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = corners()
    return encode(image.transpose(undo[turn]) if turn in undo else image, "JPEG", exif=exif)


def clear(mode: str) -> Image.Image:
    """The corners, where what is white is see-through black."""
    image = corners("RGBA")
    mask = corners().convert("L").point(lambda grey: 0 if grey == 255 else 255)
    return Image.composite(image, Image.new("RGBA", image.size), mask).convert(mode)


def srgb() -> bytes:
    """The usual colour profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def png(rows: bytes, *, depth: int, colour_type: int, interlaced: int = 0) -> bytes:
    """A PNG of a kind that Pillow reads but does not write."""
    head = struct.pack(">IIBBBBB", 320, 180, depth, colour_type, 0, 0, interlaced)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def deep_rows(mode: str) -> bytes:
    """The corners in sixteen bits a channel, whose white is see-through where there is alpha."""
    raw = (clear(mode) if "A" in mode else corners(mode)).tobytes()
    row_bytes = 320 * len(mode)
    rows = (raw[at : at + row_bytes] for at in range(0, len(raw), row_bytes))
    return b"".join(b"\0" + bytes(b for value in row for b in (value, value)) for row in rows)


def interlaced_rows() -> bytes:
    """The corners in the seven passes of an interlaced PNG."""
    passes = (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)
    image = corners()
    rows = bytearray()
    for left, top, right_by, down_by in (*passes, (0, 1, 1, 2)):
        for y in range(top, 180, down_by):
            rows.append(0)
            for x in range(left, 320, right_by):
                pixel = image.getpixel((x, y))
                assert isinstance(pixel, tuple)
                rows += bytes(pixel)
    return bytes(rows)


PICTURES: Final[dict[str, Callable[[], bytes]]] = {
    "PNG 1": lambda: encode(corners("1"), "PNG"),
    "PNG L": lambda: encode(corners("L"), "PNG"),
    "PNG P": lambda: encode(corners("P"), "PNG"),
    "PNG RGB": lambda: encode(corners(), "PNG"),
    "PNG RGBA": lambda: encode(clear("RGBA"), "PNG"),
    "PNG LA": lambda: encode(clear("LA"), "PNG"),
    "PNG P see-through": lambda: encode(clear("RGBA").quantize(), "PNG"),
    "PNG RGB, one colour see-through": lambda: encode(
        corners(), "PNG", transparency=(255, 255, 255)
    ),
    "PNG L 16 bit": lambda: png(deep_rows("L"), depth=16, colour_type=0),
    "PNG RGB 16 bit": lambda: png(deep_rows("RGB"), depth=16, colour_type=2),
    "PNG RGBA 16 bit": lambda: png(deep_rows("RGBA"), depth=16, colour_type=6),
    "PNG interlaced": lambda: png(interlaced_rows(), depth=8, colour_type=2, interlaced=1),
    "PNG P with a profile": lambda: encode(corners("P"), "PNG", icc_profile=srgb()),
    "PNG RGBA with a profile": lambda: encode(clear("RGBA"), "PNG", icc_profile=srgb()),
    "PNG animated": lambda: encode(
        corners(), "PNG", save_all=True, append_images=[corners("L").convert("RGB")]
    ),
    "JPEG": lambda: encode(corners(), "JPEG"),
    "JPEG L": lambda: encode(corners("L"), "JPEG"),
    "JPEG CMYK": lambda: encode(corners("CMYK"), "JPEG"),
    "JPEG progressive": lambda: encode(corners(), "JPEG", progressive=True),
    "JPEG of several": lambda: encode(corners(), "MPO", save_all=True, append_images=[corners()]),
    **{f"JPEG turned {turn}": partial(turned, turn) for turn in range(1, 9)},
    "WebP": lambda: encode(corners(), "WEBP"),
    "WebP RGBA": lambda: encode(clear("RGBA"), "WEBP", lossless=True),
    "WebP animated": lambda: encode(
        corners(), "WEBP", save_all=True, append_images=[corners("L").convert("RGB")]
    ),
}
CHANGED = {f"JPEG turned {turn}" for turn in range(2, 9)}
"""They are turned upright."""


@pytest.fixture
def store() -> MemoryImageStore:
    return MemoryImageStore()


@pytest.fixture
async def exporter(store: MemoryImageStore) -> AsyncIterator[Exporter]:
    made = Exporter(store)
    yield made
    made.close()


def keep(store: MemoryImageStore, *pictures: bytes, **changes: Any) -> Album:
    """An album of those pictures, kept as `1`, `2` and so on."""
    names = [str(number) for number, _ in enumerate(pictures, 1)]
    store.kept.update(zip(names, pictures, strict=True))
    pages = tuple(
        AlbumPage(image=name, page_num=int(name), title=f"Title {name}", notes="") for name in names
    )
    facts: dict[str, Any] = {"title": "Deck", "ratio": WIDE, "pages": pages}
    return Album(**facts | changes)


def take(made: MadeFile) -> bytes:
    """Read the whole file, whose length was said before."""
    body = b"".join(made.pieces)
    made.close()
    assert len(body) == made.size_bytes
    return body


def find_pictures(pptx: bytes) -> list[Picture]:
    """The one shape of each page."""
    shown = [list(page.shapes) for page in Presentation(io.BytesIO(pptx)).slides]
    assert {len(shapes) for shapes in shown} == {1}
    return [shapes[0] for shapes in shown]


def show_pdf(pdf: bytes) -> list[Image.Image]:
    """Its pages, as they look: 72 pixels an inch."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        return [page.render(scale=1).to_pil().convert("RGB") for page in document]
    finally:
        document.close()


def look_at_corners(image: Image.Image) -> list[str]:
    """What the top left, top right and bottom right quarters look like: dark, or white."""
    is_deep = image.mode == "I;16"  # which Pillow would cut off at 255
    grey, white = (image, 0xFFFF) if is_deep else (image.convert("L"), 0xFF)
    places = [(image.width * x // 4, image.height * y // 4) for x, y in ((1, 1), (3, 1), (3, 3))]
    return ["white" if grey.getpixel(place) == white else "dark" for place in places]


@pytest.mark.parametrize("kind", PICTURES)
async def test_every_kind_of_picture_is_shown_upright_on_white(
    store: MemoryImageStore, exporter: Exporter, kind: str
) -> None:
    data = PICTURES[kind]()
    album = keep(store, data)
    (shape,) = find_pictures(take(await exporter.make_pptx(album)))
    pdf = take(await exporter.make_pdf(album))
    inside = Image.open(io.BytesIO(shape.image.blob))
    (page,) = show_pdf(pdf)
    for shown in (inside, page):
        assert look_at_corners(shown) == ["dark", "white", "dark"]
    assert page.size == (960, 540)
    assert shape.width / shape.height == pytest.approx(16 / 9, abs=0.001)
    assert not inside.has_transparency_data
    if data.startswith(b"\xff\xd8") and kind not in CHANGED:
        assert shape.image.blob == data
        assert data in pdf or kind == "JPEG of several"


DAMAGED: Final[dict[str, bytes]] = {
    "empty": b"",
    "another type": b"GIF89a" + bytes(50),
    "cut short": encode(corners(), "PNG")[:-20],
    "one bit is wrong": bytes(
        byte ^ (place == 60) for place, byte in enumerate(encode(corners(), "PNG"))
    ),
    "its end has a length": encode(corners(), "PNG")[:-10]
    + b"\x01"
    + encode(corners(), "PNG")[-9:],
    "its rows are none": png(b"", depth=8, colour_type=6),
    "its interlaced rows are none": png(b"", depth=8, colour_type=2, interlaced=1),
    "a WebP of nothing": encode(corners(), "WEBP")[:40].ljust(len(encode(corners(), "WEBP")), b"x"),
}


@pytest.mark.parametrize("make", [Exporter.make_pptx, Exporter.make_pdf])
async def test_picture_with_odd_bytes_between_its_parts_is_written_anew(
    store: MemoryImageStore, exporter: Exporter, make: Any
) -> None:
    whole = encode(corners(), "PNG")
    made = await make(exporter, keep(store, whole[:-12] + b"\xff" * 30 + whole[-12:]))
    assert made.album.missing == ()
    assert take(made)


async def test_picture_that_says_it_has_no_pixels_an_inch_is_on_its_page(
    store: MemoryImageStore, exporter: Exporter
) -> None:
    album = keep(store, encode(corners(), "PNG", dpi=(0.1, 0.1)))
    (page,) = show_pdf(take(await exporter.make_pdf(album)))
    assert look_at_corners(page) == ["dark", "white", "dark"]


@pytest.mark.parametrize("what", DAMAGED)
@pytest.mark.parametrize("make", [Exporter.make_pptx, Exporter.make_pdf])
async def test_damaged_picture_is_left_out_and_named(
    store: MemoryImageStore, exporter: Exporter, make: Any, what: str
) -> None:
    made = await make(exporter, keep(store, picture(), DAMAGED[what], picture(), missing=(9,)))
    assert made.album.missing == (2, 9)
    take(made)
    with pytest.raises(NoPictures):
        await make(exporter, keep(store, DAMAGED[what]))


@pytest.mark.parametrize(
    "ratio", [WIDE, Ratio(4, 3), Ratio(1, 1), Ratio(9, 16), Ratio(1921, 1080), Ratio(9999, 1)]
)
@pytest.mark.parametrize("size_px", [(320, 180), (180, 320), (200, 200)])
async def test_picture_of_any_ratio_lies_undistorted_in_the_middle_of_any_paper(
    store: MemoryImageStore, exporter: Exporter, ratio: Ratio, size_px: tuple[int, int]
) -> None:
    album = keep(store, picture("JPEG", size_px), ratio=ratio)
    deck = Presentation(io.BytesIO(take(await exporter.make_pptx(album))))
    shape = deck.slides[0].shapes[0]
    wanted = size_px[0] / size_px[1]
    assert shape.width / shape.height == pytest.approx(wanted, rel=0.001)
    assert shape.left * 2 + shape.width == pytest.approx(deck.slide_width, abs=2)
    assert shape.top * 2 + shape.height == pytest.approx(deck.slide_height, abs=2)
    assert shape.left * shape.top == pytest.approx(0, abs=2), "as large as it can be"
    document = pypdfium2.PdfDocument(take(await exporter.make_pdf(album)))
    page = document[0]
    left, bottom, right, top = next(iter(page.get_objects())).get_bounds()
    assert (right - left) / (top - bottom) == pytest.approx(wanted, rel=0.001)
    assert (left + right, bottom + top) == pytest.approx(page.get_size(), abs=0.1)
    document.close()


async def test_picture_on_two_pages_is_in_the_file_once(
    store: MemoryImageStore, exporter: Exporter
) -> None:
    album = keep(store, picture("JPEG"), picture("PNG"))
    again = (*album.pages, *album.pages)
    body = take(await exporter.make_pptx(Album(title="", ratio=WIDE, pages=again)))
    assert body.count(picture("JPEG")) == body.count(picture("PNG")) == 1
    assert [shape.image.ext for shape in find_pictures(body)] == ["jpg", "png", "jpg", "png"]


async def test_deck_is_written_under_no_name(
    store: MemoryImageStore,
    exporter: Exporter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for make in (exporter.make_pptx, exporter.make_pdf):
        made = await make(keep(store, encode(corners(), "WEBP")))
        assert list(tmp_path.iterdir()) == []
        made.close()


async def test_no_room_for_temporary_files_is_told(
    store: MemoryImageStore, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(StorageFull, match="temporary file"):
        await exporter.make_pptx(keep(store, picture()))


async def test_picture_that_goes_in_the_middle_is_told(
    store: MemoryImageStore, exporter: Exporter
) -> None:
    album = keep(store, picture())
    store.kept.clear()
    with pytest.raises(StoreError):
        await exporter.make_pdf(album)


async def test_picture_that_is_gone_is_left_out_of_the_zip(
    store: MemoryImageStore, exporter: Exporter
) -> None:
    album = keep(store, picture(), picture(), missing=(9,))
    del store.kept["1"]
    made = await exporter.open_zip(album)
    assert made.album.missing == (1, 9)
    take(made)
    store.kept.clear()
    with pytest.raises(NoPictures):
        await exporter.open_zip(album)


async def test_decks_are_made_one_at_a_time(
    store: MemoryImageStore, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: list[int] = [0]
    most: list[int] = []

    def write(*_: object) -> None:
        under_way[0] += 1
        most.append(under_way[0])
        under_way[0] -= 1

    monkeypatch.setattr("slideloom.exports.pptx.write_pptx", write)
    monkeypatch.setattr("slideloom.exports.pdf.write_pdf", write)
    album = keep(store, picture())
    files = await asyncio.gather(
        *(make(album) for make in (exporter.make_pptx, exporter.make_pdf) * 3)
    )
    for made in files:
        made.close()
    assert most == [1] * 6


@pytest.mark.slow
async def test_powerpoint_file_takes_the_memory_of_one_picture(
    store: MemoryImageStore, exporter: Exporter
) -> None:
    one = picture("JPEG") + bytes(4 * 1024 * 1024)
    one = one[:-2] + b"\xff\xd9"
    album = keep(store, *([one] * 30))
    tracemalloc.start()
    try:
        made = await exporter.make_pptx(album)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    made.close()
    assert peak_bytes < 3 * len(one)
