"""Which model is asked: the first one, or the fallback while the first is down. Plain decisions.

Never for content: a refusal says nothing about the model. Source: providers policy, issue 3.
"""

import math

from slideloom.errors import ProviderError, UpstreamDown

_FAILURES = 3
"""So many in a row, of any slides, and the first model counts as down."""
_DOWN_S = 60.0
"""So long the fallback is asked at once; then the first model gets another chance."""


def is_models_trouble(error: ProviderError) -> bool:
    """Whether another model of the same provider may well answer."""
    return error.is_capacity or isinstance(error, UpstreamDown)


class ModelChoice:
    """How the first model is, as its answers show."""

    def __init__(self, fallback: str | None) -> None:
        """Take the model to ask instead; without one, nothing ever changes."""
        self.fallback = fallback
        self._failures = 0
        """In a row."""
        self._down_until_s = -math.inf

    def choose(self, first: str, *, is_turned_away: bool, now_s: float) -> str:
        """The model for the next call; `is_turned_away` when the first failed this slide."""
        if self.fallback is not None and (is_turned_away or now_s < self._down_until_s):
            return self.fallback
        return first

    def note(self, model: str, error: ProviderError | None, *, now_s: float) -> None:
        """A call was answered by `model`."""
        if model == self.fallback:
            return
        if error is None or not is_models_trouble(error):
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= _FAILURES:
            self._down_until_s = now_s + _DOWN_S
