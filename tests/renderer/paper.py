"""Builders of slides, and what a typeset page holds: characters, their places, fonts."""

import json
from collections.abc import Iterator
from contextlib import closing
from ctypes import create_string_buffer
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import pypdfium2
from pypdfium2 import raw

from slideloom.renderer import SlideText
from slideloom.renderer.page import compose
from slideloom.renderer.typeset import Typesetter

DECKS = Path(__file__).parents[1] / "data" / "decks"
DECK_NAMES = ("batch-report-zh", "slidev-starter", "composable-vue")
RATIOS = ((16, 9), (4, 3), (1, 1), (9, 16))
INKLESS = " \u200b\u2060\xa0"
"""Characters of a page that leave no mark."""
STYLE = "科技风格，主色 #0B3D91，辅色 #1FA2FF，背景 #F5F8FC，强调色 #FFB020"


class Glyph(msgspec.Struct, frozen=True):
    """A drawn character and the box of its ink, in points from the lower left corner."""

    char: str
    left: float
    bottom: float
    right: float
    top: float


class Page(msgspec.Struct, frozen=True):
    """What a PDF page holds."""

    width: float
    height: float
    glyphs: tuple[Glyph, ...]
    fonts: frozenset[str]
    page_count: int
    text_cut: bool = False
    """Whether the renderer says that something is missing."""

    @property
    def text(self) -> str:
        return "".join(glyph.char for glyph in self.glyphs)


def make_slide(  # noqa: PLR0913  (a slide has seven parts)
    title: str = "标题",
    content_text: str = "",
    *,
    kind: Literal["cover", "content", "ending"] = "content",
    style_prompt: str = STYLE,
    ratio: tuple[int, int] = (16, 9),
    page_num: int | None = 7,
    visual_desc: str = "",
) -> SlideText:
    return SlideText(
        kind=kind,
        title=title,
        content_text=content_text,
        visual_desc=visual_desc,
        style_prompt=style_prompt,
        ratio=ratio,
        page_num=page_num,
    )


def load_deck(name: str, ratio: tuple[int, int] = (16, 9)) -> list[SlideText]:
    deck = json.loads((DECKS / f"{name}.json").read_text(encoding="utf-8"))
    return [
        make_slide(
            slide["title"],
            slide["content_text"],
            kind=slide["type"],
            style_prompt=deck["style_prompt"],
            ratio=ratio,
            page_num=slide["page_num"],
            visual_desc=slide["visual_desc"],
        )
        for slide in deck["slides"]
    ]


@cache
def typesetter() -> Typesetter:
    """The one typesetter of the tests' thread."""
    return Typesetter()


def read_page(slide: SlideText) -> Page:
    """Typeset a slide and read its page back."""
    with closing(pypdfium2.PdfDocument(typesetter().to_pdf(slide))) as document:
        page = document[0]
        width, height = page.get_size()
        return Page(
            width=width,
            height=height,
            glyphs=tuple(_glyphs(page.get_textpage())),
            fonts=frozenset(_fonts(page)),
            page_count=len(document),
            text_cut=document.get_metadata_value("Keywords") == "text_cut",
        )


def tofu_error(slide: SlideText) -> str | None:
    """Give typst's complaint when a character has no glyph: archive PDFs must not have such."""
    sheet = msgspec.json.encode(compose(slide)).decode()
    try:
        typesetter()._compiler.compile(
            format="pdf", sys_inputs={"sheet": sheet}, pdf_standards="a-2b", timestamp=0
        )
    except RuntimeError as error:
        return str(error)
    return None


def misplaced(page: Page) -> list[str]:
    """Say which characters are off the page or on top of one another."""
    glyphs = [glyph for glyph in page.glyphs if glyph.char not in INKLESS]
    faults = [f"off the page: {glyph}" for glyph in glyphs if not _inside(glyph, page)]
    ordered = sorted(glyphs, key=lambda glyph: glyph.left)
    open_ones: list[Glyph] = []
    for glyph in ordered:
        open_ones = [other for other in open_ones if other.right > glyph.left]
        faults += [f"{other} under {glyph}" for other in open_ones if _overlap(glyph, other) > 0.25]
        open_ones.append(glyph)
    return faults


def _inside(glyph: Glyph, page: Page) -> bool:
    return (
        glyph.left >= 0
        and glyph.bottom >= 0
        and glyph.right <= page.width
        and glyph.top <= page.height
    )


def _overlap(one: Glyph, other: Glyph) -> float:
    """Give the shared area as a share of the smaller box; letters of a ligature share theirs."""
    if _box(one) == _box(other):
        return 0.0
    wide = min(one.right, other.right) - max(one.left, other.left)
    high = min(one.top, other.top) - max(one.bottom, other.bottom)
    if wide <= 0 or high <= 0:
        return 0.0
    areas = ((g.right - g.left) * (g.top - g.bottom) for g in (one, other))
    return wide * high / min(areas)


def _box(glyph: Glyph) -> tuple[float, float, float, float]:
    return glyph.left, glyph.bottom, glyph.right, glyph.top


def _glyphs(textpage: Any) -> Iterator[Glyph]:
    for index in range(textpage.count_chars()):
        if raw.FPDFText_IsGenerated(textpage.raw, index):
            continue
        char = chr(raw.FPDFText_GetUnicode(textpage.raw, index))
        left, bottom, right, top = textpage.get_charbox(index)
        yield Glyph(char, left, bottom, right, top)


def _fonts(page: Any) -> Iterator[str]:
    for item in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=8):
        font = raw.FPDFTextObj_GetFont(item.raw)
        buffer = create_string_buffer(200)
        raw.FPDFFont_GetBaseFontName(font, buffer, len(buffer))
        yield buffer.value.decode().split("+")[-1]
