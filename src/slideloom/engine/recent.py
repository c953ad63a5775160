"""How long slides took lately: what the advice on duration rests on."""

from collections import deque
from collections.abc import Iterable
from typing import Final

_COUNT: Final = 50
"""Slides that count: the last ones."""


class RecentSlides:
    """The seconds that the last slides took."""

    def __init__(self) -> None:
        self._took_s: deque[float] = deque(maxlen=_COUNT)

    def add(self, took_s: Iterable[float]) -> None:
        """More slides were made, in that many seconds each."""
        self._took_s.extend(took_s)

    def mean_s(self) -> float | None:
        """Their mean; `None` before the first."""
        return sum(self._took_s) / len(self._took_s) if self._took_s else None
