"""What the renderer is given and what it raises."""

from typing import Literal

import msgspec


class SlideText(msgspec.Struct, frozen=True, kw_only=True):
    """One slide, as texts: all the renderer knows of a deck."""

    kind: Literal["cover", "content", "ending"]
    """Which of the three compositions the page gets."""
    title: str
    """Printed word for word, save what no bundled font can draw; may be empty."""
    content_text: str
    """Printed; its lines become bullets, steps, figures, code or paragraphs. May be empty."""
    visual_desc: str
    """Never printed; its words choose the drawing."""
    style_prompt: str
    """Never printed; gives colours, type and shapes, the same for every slide of a deck."""
    ratio: tuple[int, int]
    """Width to height, each 1..9999."""
    page_num: int | None = None
    """1-based; printed small when given."""
    take: int = 1
    """Another number, another drawing and arrangement of the same texts; 1 or more."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A typeset slide."""

    jpeg: bytes
    """Long side 1920 px."""
    text_cut: bool
    """Whether something of the texts is not on it: for want of room, or of a font that draws it."""


class RenderError(Exception):
    """A slide could not be typeset; asking again with the same slide will not help."""
