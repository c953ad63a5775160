"""PowerPoint files as another program opens them."""

import asyncio
import io
import shutil
import time
from pathlib import Path
from typing import Any, Final

import pypdfium2
import pytest
from msgspec import Struct
from PIL import Image, ImageChops, ImageStat
from pptx import Presentation

from slideloom.domain.album import Album, AlbumPage
from slideloom.domain.ratio import Ratio, parse_ratio
from slideloom.exports.exporter import Exporter
from tests.exports.test_exporter import take
from tests.support.crowds import crowd_session, fetch, paid_settings, serving, stretch
from tests.support.parts import MemoryImageStore
from tests.support.pictures import encode
from tests.support.upstream import Plan, spawn_upstream

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice Impress"),
]

_RATIOS: Final = ("16:9", "4:3", "1:1", "9:16", "1921:1080")
_SLIDES: Final = 30
_WIDE: Final = Ratio(16, 9)
_MUST_S: Final = 3.0
_MB: Final = 1024 * 1024


class Shown(Struct, frozen=True):
    """A page of what the other program made."""

    width_pt: float
    height_pt: float
    box_pt: tuple[float, float, float, float]
    """Left, bottom, right and top of its one picture."""
    look: Image.Image

    @property
    def ratio(self) -> float:
        """Of the page."""
        return self.width_pt / self.height_pt

    @property
    def picture_ratio(self) -> float:
        """Of the picture on it."""
        left, bottom, right, top = self.box_pt
        return (right - left) / (top - bottom)


async def open_elsewhere(pptx: bytes, folder: Path) -> list[Shown]:
    """The deck's pages as LibreOffice prints them."""
    deck = folder / "deck.pptx"
    deck.write_bytes(pptx)
    process = await asyncio.create_subprocess_exec(
        *("soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless"),
        *("--convert-to", "pdf", "--outdir", str(folder), str(deck)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said
    document = pypdfium2.PdfDocument(folder / "deck.pdf")
    try:
        return [_show(page) for page in document]
    finally:
        document.close()


def _show(page: Any) -> Shown:
    pictures = [one for one in page.get_objects() if isinstance(one, pypdfium2.PdfImage)]
    assert len(pictures) == 1
    look = page.render(scale=0.5).to_pil().convert("RGB")
    width_pt, height_pt = page.get_size()
    return Shown(width_pt, height_pt, pictures[0].get_bounds(), look)


def find_nearest(page: Image.Image, pictures: list[Image.Image]) -> int:
    """Which of the pictures, all small and of one size, the page shows."""
    small = page.resize(pictures[0].size)

    def distance(place: int) -> float:
        return sum(ImageStat.Stat(ImageChops.difference(small, pictures[place])).mean)

    return min(range(len(pictures)), key=distance)


@pytest.mark.parametrize("ratio", _RATIOS)
@pytest.mark.parametrize("maker", ["renderer", "emulator"])
async def test_thirty_slides_open_with_thirty_pages_of_the_right_shape(
    tmp_path: Path, ratio: str, maker: str
) -> None:
    slides = [
        {"title": f"{n} 第{n}页", "visual_desc": f"page {n}", "content_text": f"- text {n}"}
        for n in range(1, _SLIDES + 1)
    ]
    deck = {"slides": slides, "style_prompt": "calm", "aspect_ratio": ratio, "max_workers": 10}
    plan = Plan(media_type="image/png", image_bytes=_MB, record_bodies=False)
    async with spawn_upstream(plan) as upstream, crowd_session() as session:
        settings = {} if maker == "renderer" else paid_settings(upstream)
        async with serving(tmp_path, **settings) as service:
            url = f"{service.url}/api/slide/batch"
            async with session.post(f"{url}/generate", json=deck) as answer:
                batch = await answer.json()
            assert batch["successful"] == _SLIDES
            began_s = time.perf_counter()
            async with session.get(f"{url}/{batch['batch_id']}/export.pptx") as answer:
                body = await answer.read()
            wall_s = time.perf_counter() - began_s
            assert (await fetch(session, service.url + "/healthz")) is not None
    assert wall_s < _MUST_S * stretch()
    names = [Path(result["image_url"]).name for result in batch["results"]]
    assets = tmp_path / "static" / "assets"
    pictures = [Image.open(assets / name).convert("RGB") for name in names]
    small = [image.resize((image.width // 4, image.height // 4)) for image in pictures]
    pages = await open_elsewhere(body, tmp_path)
    assert len(pages) == _SLIDES
    wanted = parse_ratio(ratio)
    for place, page in enumerate(pages):
        assert page.ratio == pytest.approx(wanted.width / wanted.height, rel=0.005)
        width_px, height_px = pictures[place].size
        assert page.picture_ratio == pytest.approx(width_px / height_px, rel=0.01)
        if maker == "renderer":
            assert find_nearest(page.look, small) == place
    for slide, shown in zip(slides, Presentation(io.BytesIO(body)).slides, strict=True):
        assert shown.shapes[0]._element.nvPicPr.cNvPr.get("descr") == slide["title"]
        assert shown.notes_slide.notes_text_frame.text.startswith(slide["title"])


@pytest.mark.parametrize("ratio", _RATIOS)
@pytest.mark.parametrize("size_px", [(320, 180), (180, 320), (250, 250)])
async def test_pictures_of_another_ratio_keep_it_in_the_middle_and_in_order(
    tmp_path: Path, ratio: str, size_px: tuple[int, int]
) -> None:
    colours = [(n * 37 % 256, n * 91 % 256, n * 53 % 256) for n in range(1, 13)]
    pictures = [encode(Image.new("RGB", size_px, colour), "JPEG") for colour in colours]
    pages = await open_elsewhere(await make_pptx(pictures, ratio=parse_ratio(ratio)), tmp_path)
    assert len(pages) == len(colours)
    for page, colour in zip(pages, colours, strict=True):
        assert page.picture_ratio == pytest.approx(size_px[0] / size_px[1], rel=0.01)
        left, bottom, right, top = page.box_pt
        assert (left + right, bottom + top) == pytest.approx((page.width_pt, page.height_pt), abs=1)
        middle = page.look.getpixel((page.look.width // 2, page.look.height // 2))
        assert middle == pytest.approx(colour, abs=4)


async def test_any_titles_of_two_hundred_slides_make_a_readable_file(tmp_path: Path) -> None:
    odd = [
        "封面：织机",
        "🧵👩‍👩‍👧",
        "",
        "a\0b\x01\x1f\x7f\x85\ufffe\uffff",
        "<&>\"']]>\r\n\v\t",
        "\u202erl",
    ]
    pictures = [encode(Image.new("RGB", (160, 90), (n, 0, 0)), "PNG") for n in range(200)]
    titles = [odd[n % len(odd)] for n in range(200)]
    pages = await open_elsewhere(await make_pptx(pictures, titles=titles), tmp_path)
    assert [page.look.getpixel((9, 9)) for page in pages] == [(n, 0, 0) for n in range(200)]


async def make_pptx(
    pictures: list[bytes], *, ratio: Ratio = _WIDE, titles: list[str] | None = None
) -> bytes:
    """A deck of those pictures."""
    store = MemoryImageStore()
    exporter = Exporter(store)
    pages = []
    for number, data in enumerate(pictures, 1):
        name = f"{number}"
        title = titles[number - 1] if titles else name
        store.kept[name] = data
        pages.append(AlbumPage(image=name, page_num=number, title=title, notes=title))
    try:
        album = Album(title=pages[0].title, ratio=ratio, pages=tuple(pages))
        return take(await exporter.make_pptx(album))
    finally:
        exporter.close()
