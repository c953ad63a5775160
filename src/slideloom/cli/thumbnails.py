"""A deck at a glance in the terminal: one small sheet of its pictures, where colours allow it."""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

Way = Literal["kitty", "iterm", "blocks"]
"""A terminal's own pictures, or half a cell of colour for each of few points."""

_SHORTEST_CELLS = 24
"""Terminal columns a picture needs to be told from its neighbours."""
_POINTS_PER_CELL = {"kitty": 10, "iterm": 10, "blocks": 1}
_MOST_PICTURES = 60
_KITTY_PIECE = 4096
"""Characters of base64 in one escape sequence. Source: kitty's graphics protocol."""


def find_way(console: Console, environ: Mapping[str, str] = os.environ) -> Way | None:
    """How this terminal can show pictures, if it can."""
    if not console.is_terminal or console.no_color:
        return None
    if "TMUX" not in environ and "STY" not in environ:  # they swallow what they do not know
        if "KITTY_WINDOW_ID" in environ or environ.get("TERM_PROGRAM") == "ghostty":
            return "kitty"
        if environ.get("TERM_PROGRAM") in {"iTerm.app", "WezTerm"}:
            return "iterm"
    return "blocks" if console.color_system == "truecolor" else None


def show_sheet(console: Console, pictures: Sequence[Path], way: Way) -> None:
    """Draw the pictures side by side; blocks while they are decoded."""
    columns = max(1, console.width // _SHORTEST_CELLS)
    width = (console.width // columns - 1) * _POINTS_PER_CELL[way]
    sheet = _lay_out([_shrink(path, width) for path in pictures[:_MOST_PICTURES]], columns)
    match way:
        case "blocks":
            console.print(_to_blocks(sheet))
        case "iterm":
            data = base64.b64encode(_to_png(sheet)).decode()
            console.file.write(f"\x1b]1337;File=inline=1;size={len(data)}:{data}\a\n")
        case "kitty":
            console.file.write(_to_kitty(_to_png(sheet)) + "\n")


def _shrink(path: Path, width: int) -> Image.Image:
    with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as picture:
        height = max(1, round(picture.height * width / picture.width))
        picture.draft("RGB", (width, height))
        return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _lay_out(thumbs: Sequence[Image.Image], columns: int) -> Image.Image:
    """One picture of all, a gap between them; an even number of rows, two to a cell."""
    gap = max(1, thumbs[0].width // 24)
    width, height = thumbs[0].width + gap, max(thumb.height for thumb in thumbs) + gap
    height += height % 2
    rows = -(-len(thumbs) // columns)
    sheet = Image.new("RGB", (width * min(columns, len(thumbs)), height * rows))
    for number, thumb in enumerate(thumbs):
        sheet.paste(thumb, (number % columns * width, number // columns * height))
    return sheet


def _to_blocks(sheet: Image.Image) -> Text:
    """Two points a cell: the upper one is its colour, the lower one its ground."""
    text = Text()
    points = sheet.load()
    assert points is not None  # noqa: S101 - it was just made
    for top in range(0, sheet.height, 2):
        for left in range(sheet.width):
            upper, lower = (_to_colour(points[left, top + row]) for row in (0, 1))
            text.append("▀", Style(color=upper, bgcolor=lower))
        text.append("\n")
    return text


def _to_colour(point: object) -> Color:
    red, green, blue = point if isinstance(point, tuple) else (0, 0, 0)
    return Color.from_rgb(red, green, blue)


def _to_png(sheet: Image.Image) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _to_kitty(png: bytes) -> str:
    data = base64.b64encode(png).decode()
    pieces = [data[at : at + _KITTY_PIECE] for at in range(0, len(data), _KITTY_PIECE)]
    last = len(pieces) - 1
    return "".join(
        f"\x1b_G{'a=T,f=100,' * (number == 0)}m={int(number < last)};{piece}\x1b\\"
        for number, piece in enumerate(pieces)
    )
