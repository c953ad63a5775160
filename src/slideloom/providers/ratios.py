"""An aspect ratio in a provider's own dialect."""

import math
from functools import lru_cache

from slideloom.domain.ratio import Ratio

# fmt: off
NAMED_RATIOS = (
    "1:1", "1:2", "1:4", "1:8", "2:1", "2:3", "2.35:1", "3:2", "3:4",
    "4:1", "4:3", "4:5", "5:2", "5:4", "5:7", "7:5", "8:1", "9:16",
    "16:9", "9:19.5", "19.5:9", "9:20", "20:9", "9:21", "21:9",
)
# fmt: on
"""What may be asked for by name. Source: contracts 1.2; providers clamp to their subset."""

_STEP_PX = 16
_LEAST_PIXELS = 655_360
_MOST_PIXELS = 8_294_400
_LONGEST_PX = 3840
_STEEPEST = 3
"""Legal sizes are multiples of 16, within 1:3 and 3:1. Source: contracts 2.1."""
_WANTED_PIXELS = 1536 * 864
"""About what a slide needs: larger costs more."""
_CLASSIC_SIZES = {(1, 1): (1024, 1024), (3, 2): (1536, 1024), (2, 3): (1024, 1536)}
"""All that older models know."""
_EXACTNESS = 100
"""How much a deviation of the ratio weighs against one of the pixel count."""


@lru_cache
def name_ratio(ratio: Ratio, names: tuple[str, ...] = NAMED_RATIOS) -> str:
    """The nearest ratio that has one of `names`."""
    return min(names, key=lambda name: _distance(_value(name), ratio.width / ratio.height))


@lru_cache
def choose_size(ratio: Ratio) -> tuple[int, int]:
    """The best legal width and height in pixels, the ratio as exact as can be."""
    divisor = math.gcd(ratio.width, ratio.height)
    classic = _CLASSIC_SIZES.get((ratio.width // divisor, ratio.height // divisor))
    if classic:
        return classic
    wanted = min(max(ratio.width / ratio.height, 1 / _STEEPEST), _STEEPEST)
    sizes = (
        (width, height)
        for width in range(_STEP_PX, _LONGEST_PX + 1, _STEP_PX)
        for height in _heights(width / wanted)
        if _is_legal(width, height)
    )
    return min(sizes, key=lambda size: _cost(size, wanted))


def _value(name: str) -> float:
    width, height = name.split(":")
    return float(width) / float(height)


def _distance(one: float, other: float) -> float:
    return abs(math.log(one / other))


def _heights(exact_px: float) -> tuple[int, int]:
    below = int(exact_px // _STEP_PX) * _STEP_PX
    return below, below + _STEP_PX


def _is_legal(width: int, height: int) -> bool:
    return (
        0 < height <= _LONGEST_PX
        and _LEAST_PIXELS <= width * height <= _MOST_PIXELS
        and max(width, height) <= _STEEPEST * min(width, height)
    )


def _cost(size: tuple[int, int], wanted: float) -> float:
    width, height = size
    return _EXACTNESS * _distance(width / height, wanted) + _distance(
        width * height, _WANTED_PIXELS
    )
