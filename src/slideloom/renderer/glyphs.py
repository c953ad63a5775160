"""Text a bundled font can draw: what would show as a box, or steer the typesetter, is gone."""

import re
import struct
import unicodedata
from functools import cache
from importlib.resources import files
from itertools import chain

FONT_FILE = "NotoSansSC-Regular.ttf"
"""The text face; the bold face has the same characters (tested)."""

SERIF_RANGES = (
    (0x100, 0x190), (0x193, 0x19F), (0x1A2, 0x1AE), (0x1B1, 0x1CC), (0x1DD, 0x1F7), (0x1FA, 0x24F),
    (0x386, 0x386), (0x388, 0x38A), (0x38C, 0x38C), (0x38E, 0x390), (0x3AA, 0x3B0), (0x3CA, 0x3CE),
    (0x400, 0x45F), (0x490, 0x4C4), (0x5D0, 0x5EA), (0x1E00, 0x1E3D), (0x1E40, 0x1E9B),
)  # fmt: skip
"""Letters that Libertinus Serif draws, inside the typst wheel (0.15), and Noto Sans SC does not."""

MONO_RANGES = (
    (0x60C, 0x60C), (0x61B, 0x61B), (0x61F, 0x61F), (0x621, 0x63A), (0x640, 0x64A), (0x660, 0x669),
    (0x67E, 0x67E), (0x686, 0x686), (0x698, 0x698), (0x6A9, 0x6A9), (0x6AF, 0x6AF), (0x6CC, 0x6CC),
    (0x6F0, 0x6F9), (0x21A9, 0x21AA), (0x2242, 0x2247), (0x2288, 0x2289), (0x22C2, 0x22C3),
)  # fmt: skip
"""Arabic letters and a few signs drawn by DejaVu Sans Mono, also inside the typst wheel."""

REPLACED = str.maketrans(
    {
        "\t": "    ", "\u00a0": " ", "\u2007": " ", "\u202f": " ", "\u3000": " ", "\u2011": "-",
        "✔": "✓", "✘": "×", "✖": "×", "➜": "→", "➔": "→", "➡": "→", "⮕": "→", "⟶": "→", "⟹": "⇒",
        "✅": "✓", "❌": "×", "❗": "!", "❓": "?", "⭐": "★", "❤": "♥", "₹": "Rs",
        "\u00ad": None, "\u200b": None, "\u200d": None, "\u2060": None, "\ufe0f": None,
    }
)  # fmt: skip
"""Stand-ins for characters that no bundled font has, or that carry no ink."""

EMOJI_DOT = "•"
"""Stands where an emoji stood: no bundled font draws them, a gap would be silent."""

_EMOJI = re.compile("[\u231a-\u23ff\u2600-\u27bf\u2b05-\u2b55\U0001f000-\U0001faff]")
_EMOJI_JOINED = re.compile(
    f"(?:{_EMOJI.pattern}[\ufe0f\U0001f3fb-\U0001f3ff]*\u200d)+(?={_EMOJI.pattern})"
)
_FLAG = re.compile("([\U0001f1e6-\U0001f1ff])[\U0001f1e6-\U0001f1ff]")
_JOINED = re.compile("[\u200c\u200d\ufe00-\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0000-\U000e007f]")
_KEYCAP = re.compile("([0-9#*])\ufe0f?\u20e3")


@cache
def drawable() -> frozenset[int]:
    """Code points that some bundled font has a glyph for; read once from the font file (30 ms)."""
    helpers = chain(SERIF_RANGES, MONO_RANGES)
    return _noto().union(*(range(first, last + 1) for first, last in helpers))


def needs_serif(text: str) -> bool:
    """Whether `text` has letters only Libertinus Serif draws; it then draws all Latin ones."""
    known = _noto()
    wanted = (ord(char) for char in text if not char.isascii() and ord(char) not in known)
    return any(first <= code <= last for code in wanted for first, last in SERIF_RANGES)


def clean_line(text: str) -> str:
    """Give one line with only drawable characters; leading blanks stay."""
    text = _EMOJI_JOINED.sub("", _FLAG.sub(r"\1", _KEYCAP.sub(r"\1", text))).translate(REPLACED)
    text = unicodedata.normalize("NFC", _JOINED.sub("", text.encode("utf-8", "ignore").decode()))
    known = drawable()
    kept = "".join(char if ord(char) in known else _nearest(char, known) for char in text)
    indent = kept[: len(kept) - len(kept.lstrip())]
    return indent + kept[len(indent) :].rstrip()


def loses(text: str) -> bool:
    """Whether a picture lacks something of `text`: an emoji, or letters that no font here has."""
    known = drawable()
    rare = {
        char
        for char in unicodedata.normalize("NFC", text.translate(REPLACED))
        if ord(char) not in known
    }
    return any(
        unicodedata.category(char)[0] in "LNPS" and _nearest(char, known) in ("", EMOJI_DOT)
        for char in rare
        if not _JOINED.match(char)
    )


def _nearest(char: str, known: frozenset[int]) -> str:
    """The compatible or unaccented form of `char` when there is one to draw, else nothing."""
    plain = unicodedata.normalize("NFKD", char)
    kept = "".join(part for part in plain if ord(part) in known and not unicodedata.combining(part))
    return kept or (EMOJI_DOT if _EMOJI.match(char) else "")


@cache
def _noto() -> frozenset[int]:
    font = files(__package__).joinpath("fonts", FONT_FILE).read_bytes()
    return frozenset(
        chain.from_iterable(range(first, last + 1) for first, last in _cmap_spans(font))
    )


def _cmap_spans(font: bytes) -> list[tuple[int, int]]:
    """The (first, last) code points of the font's full Unicode table.

    Source: OpenType 1.9, `cmap` format 12.
    """
    table_count = struct.unpack_from(">H", font, 4)[0]
    records = (struct.unpack_from(">4s4xII", font, 12 + 16 * index) for index in range(table_count))
    cmap = next(offset for tag, offset, _ in records if tag == b"cmap")
    count = struct.unpack_from(">H", font, cmap + 2)[0]
    encodings = (struct.unpack_from(">HHI", font, cmap + 4 + 8 * index) for index in range(count))
    start = next(
        cmap + offset for platform, encoding, offset in encodings if (platform, encoding) == (3, 10)
    )
    groups = struct.unpack_from(">I", font, start + 12)[0]
    return [struct.unpack_from(">II", font, start + 16 + 12 * index) for index in range(groups)]
