"""Colour arithmetic: hex, mixing, WCAG contrast, and shifting a colour until it can be read."""

from typing import TypeAlias

Rgb: TypeAlias = tuple[float, float, float]
"""Red, green, blue, each 0..1, sRGB."""

BLACK: Rgb = (0.0, 0.0, 0.0)
WHITE: Rgb = (1.0, 1.0, 1.0)
TEXT_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3 (AA) for text of any size."""
LINEAR_BELOW = 0.04045
"""Where the sRGB curve stops being straight."""
DARK_BELOW = 0.18
"""Relative luminance under which white reads better than black."""
_STEPS = 40


def from_hex(code: str) -> Rgb:
    """Give the colour of 3, 4, 6 or 8 hex digits; a last alpha part is ignored."""
    digits = "".join(char * 2 for char in code[:3]) if len(code) < 6 else code[:6]  # noqa: PLR2004
    red, green, blue = (int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4))
    return red, green, blue


def to_hex(colour: Rgb) -> str:
    """Give `#rrggbb`."""
    return "#" + "".join(f"{round(part * 255):02x}" for part in colour)


def mix(colour: Rgb, other: Rgb, share: float) -> Rgb:
    """Give `colour` with `share` (0..1) of `other` in it."""
    red, green, blue = (a + (b - a) * share for a, b in zip(colour, other, strict=True))
    return red, green, blue


def luminance(colour: Rgb) -> float:
    """Give the relative luminance, 0..1 (WCAG 2.2)."""
    red, green, blue = (
        part / 12.92 if part <= LINEAR_BELOW else ((part + 0.055) / 1.055) ** 2.4 for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Rgb, other: Rgb) -> float:
    """Give the WCAG contrast ratio, 1..21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def is_dark(colour: Rgb) -> bool:
    """Whether white reads better on `colour` than black does."""
    return luminance(colour) < DARK_BELOW


def chroma(colour: Rgb) -> float:
    """Give how far `colour` is from grey, 0..1."""
    return max(colour) - min(colour)


def readable(colour: Rgb, *grounds: Rgb, ratio: float = TEXT_CONTRAST) -> Rgb:
    """Give `colour`, or the nearest on its way to black or white that reads on all `grounds`."""
    drawn = [_as_drawn(ground) for ground in grounds]

    def worst(candidate: Rgb) -> float:
        return min(contrast(_as_drawn(candidate), ground) for ground in drawn)

    pole = max((BLACK, WHITE), key=worst)
    steps = (mix(colour, pole, step / _STEPS) for step in range(_STEPS + 1))
    return _as_drawn(next((candidate for candidate in steps if worst(candidate) >= ratio), pole))


def _as_drawn(colour: Rgb) -> Rgb:
    return from_hex(to_hex(colour)[1:])
