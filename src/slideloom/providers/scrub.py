"""A provider's words, fit to be logged and shown: short, and without keys."""

import re
from typing import Any

DETAIL_CHARS = 500
"""How many of the provider's words are kept."""
_PART_CHARS = 8
"""So much of a key is already too much to show."""
_LIKE_A_KEY = re.compile(r"\b(?:sk|pk|key|rk)-[A-Za-z0-9_*.-]{8,}|\bBearer\s+\S+|\bAIza[\w-]{10,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_HIDDEN = "[key]"


class Scrubber:
    """Takes the given keys, and whatever looks like another, out of texts."""

    def __init__(self, *keys: str) -> None:
        self._parts = {
            key[at : at + _PART_CHARS]
            for key in keys
            for at in range(max(1, len(key) - _PART_CHARS + 1))
            if key
        }
        self._lengths = sorted({len(part) for part in self._parts}, reverse=True)

    def __call__(self, text: str) -> str:
        """`text` on one line, cut to 500 characters, without keys and bytes that are no text."""
        text = text[: 8 * DETAIL_CHARS].encode("utf-8", "replace").decode("utf-8")
        line = _CONTROL.sub(" ", _LIKE_A_KEY.sub(_HIDDEN, self._hide(text)))
        return line.strip()[:DETAIL_CHARS]

    def tree(self, value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """A JSON value with every text in it cleaned, names too."""
        match value:
            case str():
                return self(value)
            case list():
                return [self.tree(item) for item in value]
            case dict():
                return {self(name): self.tree(item) for name, item in value.items()}
            case _:
                return value

    def _hide(self, text: str) -> str:
        """Hide every stretch of `text` that is made of parts of a key."""
        if not any(part in text for part in self._parts):
            return text  # as nearly every text is: worth a fast way
        stretches: list[tuple[int, int]] = []
        for at in range(len(text)):
            end = self._find_end(text, at)
            if end is None:
                continue
            if stretches and at <= stretches[-1][1]:
                stretches[-1] = (stretches[-1][0], max(end, stretches[-1][1]))
            else:
                stretches.append((at, end))
        for start, end in reversed(stretches):
            text = text[:start] + _HIDDEN + text[end:]
        return text

    def _find_end(self, text: str, at: int) -> int | None:
        """Where the part of a key ends that begins there, if one does."""
        ends = (at + length for length in self._lengths)
        return next((end for end in ends if text[at:end] in self._parts), None)
