"""Aspect ratios: `W:H`, up to four digits a side."""

import re
from math import gcd

from msgspec import Struct

RATIO_PATTERN = r"^[1-9][0-9]{0,3}:[1-9][0-9]{0,3}$"
"""For JSON Schema; `parse_ratio` also refuses a line feed behind the ratio."""

TOLERANCE = 0.03
"""A picture whose ratio is off by more is reported. Source: providers policy."""


class Ratio(Struct, frozen=True):
    """Width to height, as ordered (not reduced)."""

    width: int
    height: int

    def __str__(self) -> str:
        """The ratio as users write it, reduced: `16:9`."""
        divisor = gcd(self.width, self.height)
        return f"{self.width // divisor}:{self.height // divisor}"

    def fits(self, *, width_px: int, height_px: int) -> bool:
        """Whether a picture of that size has this ratio, within the tolerance."""
        return abs(width_px * self.height / (height_px * self.width) - 1) <= TOLERANCE


def parse_ratio(text: str) -> Ratio:
    """Read `W:H`.

    Raises:
        ValueError: it is not two whole numbers of one to four digits.
    """
    if re.fullmatch(RATIO_PATTERN.strip("^$"), text) is None:
        message = f"not an aspect ratio like 16:9: {text[:40]!r}"
        raise ValueError(message)
    width, height = text.split(":")
    return Ratio(int(width), int(height))
