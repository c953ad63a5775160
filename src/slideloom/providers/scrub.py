"""A provider's words, fit to be logged and shown: short, and without the key."""

import re

DETAIL_CHARS = 500
"""How many of the provider's words are kept."""
_PART_CHARS = 8
"""So much of a key is already too much to show."""
_LIKE_A_KEY = re.compile(r"\b(?:sk|pk|key|rk)-[A-Za-z0-9_*.-]{8,}|\bBearer\s+\S+|\bAIza[\w-]{10,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_HIDDEN = "[key]"


class Scrubber:
    """Takes one key, and whatever looks like another, out of texts."""

    def __init__(self, key: str) -> None:
        self._parts = {key[at : at + _PART_CHARS] for at in range(len(key) - _PART_CHARS + 1)}
        if key and not self._parts:
            self._parts = {key}
        self._longest = max(map(len, self._parts), default=0)

    def __call__(self, text: str) -> str:
        """`text` on one line, cut to 500 characters, without keys and bytes that are no text."""
        text = text[: 8 * DETAIL_CHARS].encode("utf-8", "replace").decode("utf-8")
        line = _CONTROL.sub(" ", _LIKE_A_KEY.sub(_HIDDEN, self._hide(text)))
        return line.strip()[:DETAIL_CHARS]

    def _hide(self, text: str) -> str:
        """Hide every stretch of `text` that is made of parts of the key."""
        stretches: list[tuple[int, int]] = []
        for at in range(len(text) - self._longest + 1) if self._longest else ():
            if text[at : at + self._longest] not in self._parts:
                continue
            if stretches and at <= stretches[-1][1]:
                stretches[-1] = (stretches[-1][0], at + self._longest)
            else:
                stretches.append((at, at + self._longest))
        for start, end in reversed(stretches):
            text = text[:start] + _HIDDEN + text[end:]
        return text
