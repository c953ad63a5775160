"""Composes a slide: arrangement, colours, voice and drawing. The templates do the rest.

The outcome is a `Sheet`, handed to typst as JSON: every text in it is data and never read as code.
"""

import re
from typing import Literal, TypeAlias

import msgspec

from slideloom.renderer.content import (
    MAX_LINE_CHARS,
    MAX_TEXT_CHARS,
    Block,
    parse_content,
    parse_lines,
)
from slideloom.renderer.glyphs import clean_line, loses, needs_serif
from slideloom.renderer.inline import Run, breakable, cap_runs, plain_text, weight
from slideloom.renderer.layout import Layout, PageFacts, choose_layout
from slideloom.renderer.motifs import choose_motif, seed_of
from slideloom.renderer.palette import Palette, parse_scheme
from slideloom.renderer.slide import SlideText
from slideloom.renderer.voice import Voice, find_voice

Shape: TypeAlias = Literal["wide", "square", "tall", "strip"]

LONG_SIDE_PX = 1920
"""The long side of every picture."""
MIN_SIDE_PX = 48
"""The short side at extreme ratios: enough for one line of small type."""
MAX_TITLE_WEIGHT = 150.0
"""Ems of a title; at the smallest type about half a page."""
UNITS = 1440
"""Design units that the side of a square of the page's area has: 16:9 is 1920 by 1080 of them."""
STRONG_LAYOUTS = ("cover", "ending", "section", "picture")
"""Pages on the deck's strong ground."""
STRIP_FROM = 4.5
"""Ratio from which a page is a strip with room for a title only."""
WIDE_FROM, TALL_BELOW = 1.2, 0.84
"""Ratios between which a page is composed as a square."""

SEED_STEP = 7919
"""Between the seeds of a slide's takes; prime, so that no modulus of a drawing misses it."""

_BLANKS = str.maketrans(dict.fromkeys("\n\r\t\v\f\x85\u2028\u2029", " "))


_JOINING = re.compile("[\u0600-\u08ff\u0900-\u0dff\u1800-\u18af\ufb50-\ufdff\ufe70-\ufeff]")
"""Arabic and Syriac, the scripts of India, Mongolian."""


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """All a template needs to draw one page."""

    width: int
    """Pixels, and points of the PDF page."""
    height: int
    """Pixels, and points of the PDF page."""
    unit: float
    """Points of one design unit: a 16:9 page is 1920 by 1080 units."""
    shape: Shape
    """Which composition fits the ratio."""
    layout: Layout
    """Which arrangement fits the texts."""
    lang: str
    """Rules of line breaking and punctuation: zh, ja or en."""
    joins: bool
    """Whether a script occurs whose letters join, so that none may be spaced."""
    serif_help: bool
    """Whether letters occur that only the serif face has, so that all text is set in it."""
    voice: Voice
    """Manners of the deck."""
    palette: Palette
    """Colours of this page."""
    panel: Palette
    """Colours of the panel that holds the drawing of a content page."""
    motif: str
    """Name of the drawing."""
    seed: int
    """Varies the drawing."""
    swaps: bool
    """Whether the drawing takes the deck's second colour for its first."""
    turn: int
    """Counts the pages, so that like pages take turns in how they look."""
    title: tuple[Run, ...]
    """Set large."""
    lines: tuple[tuple[Run, ...], ...] = ()
    """The other texts of a cover or ending, as lines under its title."""
    blocks: tuple[Block, ...] = ()
    """The same texts for pages that set them as content: also covers whose lines have no room."""
    is_cut: bool = False
    """Whether something of the texts is left out already, besides what ends in `CUT`."""
    page_num: int | None = None
    """Set small."""


def compose(slide: SlideText) -> Sheet:
    """Decide everything about a page that can be decided without measuring type."""
    width, height = size_px(slide.ratio)
    shape = shape_of(width, height)
    texts = _read(slide, shape)
    seed = seed_of(slide.title, slide.content_text, slide.visual_desc)
    turn = (slide.page_num if slide.page_num is not None else seed) + slide.take - 1
    motif = choose_motif(slide, turn + seed_of(slide.style_prompt))
    facts = PageFacts(
        kind=slide.kind,
        title_weight=weight(plain_text(texts.title)),
        has_lines=bool(texts.lines),
        blocks=texts.blocks,
        turn=turn,
        pictured=motif.named,
    )
    layout = choose_layout(facts)
    scheme = parse_scheme(slide.style_prompt)
    all_text = slide.title[:MAX_LINE_CHARS] + slide.content_text[:MAX_LINE_CHARS]
    return Sheet(
        width=width,
        height=height,
        unit=(width * height) ** 0.5 / UNITS,
        shape=shape,
        layout=layout,
        lang=find_language(all_text),
        joins=_JOINING.search(all_text) is not None,
        serif_help=needs_serif(all_text),
        voice=find_voice(slide.style_prompt),
        panel=scheme.cover,
        palette=scheme.cover if layout in STRONG_LAYOUTS else scheme.page,
        motif=motif.name,
        seed=(seed + (slide.take - 1) * SEED_STEP) % 100_000,
        swaps=slide.take % 2 == 0,
        turn=turn % 1000,
        title=texts.title,
        lines=_subtitle(texts, layout),
        is_cut=len(slide.content_text) > MAX_TEXT_CHARS
        or loses(slide.title[:MAX_LINE_CHARS])
        or loses(slide.content_text[:MAX_TEXT_CHARS]),
        blocks=texts.blocks,
        page_num=slide.page_num,
    )


class _Texts(msgspec.Struct, frozen=True):
    title: tuple[Run, ...]
    lines: tuple[tuple[Run, ...], ...]
    blocks: tuple[Block, ...]


def _read(slide: SlideText, shape: Shape) -> _Texts:
    """Read a slide's texts; a first line stands in for a title where pages cannot do without."""
    title_text = " ".join(clean_line(slide.title[:MAX_LINE_CHARS].translate(_BLANKS)).split())
    title = cap_runs(((breakable(title_text), ""),) if title_text else (), MAX_TITLE_WEIGHT)
    blocks = parse_content(slide.content_text, title=title_text)
    if slide.kind == "content" and shape != "strip":
        return _Texts(title, (), blocks)
    lines = parse_lines(slide.content_text)
    if title or not lines:
        return _Texts(title, lines, blocks)
    rest = parse_content(slide.content_text, title=plain_text(lines[0]))
    return _Texts(cap_runs(lines[0], MAX_TITLE_WEIGHT), lines[1:], rest)


def _subtitle(texts: _Texts, layout: Layout) -> tuple[tuple[Run, ...], ...]:
    """Give the lines under a title: a section page's only sentence is one."""
    if layout != "section":
        return texts.lines
    items = (item for block in texts.blocks for item in block.items)
    return tuple((*item.key, (item.sep, ""), *item.text) for item in items)


def size_px(ratio: tuple[int, int]) -> tuple[int, int]:
    """Give width and height with a long side of 1920 px; the short one at least 48 px."""
    width, height = ratio
    short = max(MIN_SIDE_PX, round(LONG_SIDE_PX * min(ratio) / max(ratio)))
    return (LONG_SIDE_PX, short) if width >= height else (short, LONG_SIDE_PX)


def shape_of(width: int, height: int) -> Shape:
    """Give the family of compositions for a size."""
    ratio = width / height
    if max(ratio, 1 / ratio) > STRIP_FROM:
        return "strip"
    if ratio >= WIDE_FROM:
        return "wide"
    return "square" if ratio >= TALL_BELOW else "tall"


def find_language(text: str) -> str:
    """Give zh, ja or en by the script: it decides line breaking and punctuation."""
    if any("\u3040" <= char <= "\u30ff" for char in text):
        return "ja"
    return "zh" if any("\u4e00" <= char <= "\u9fff" for char in text) else "en"
