"""The inside of a line: emphasis and code as styled runs, and how wide a line will be."""

import re
import unicodedata
from collections.abc import Sequence
from typing import TypeAlias

Run: TypeAlias = tuple[str, str]
"""Text and its style: "" plain, "b" bold, "c" code, "n" a number set large."""

LATIN_EM = 0.55
"""Width of a Latin letter in ems, the mean over English text in Noto Sans SC."""
LONG_WORD = 18
"""Letters after which a word without blanks may be broken anywhere."""
BREAK = "\u200b"
"""Allows a line break, draws nothing."""

JOIN = "\u2060"
"""Forbids a line break, draws nothing."""
CUT = "…" + JOIN
"""Ends a text that was cut; users' own ellipses have no `JOIN` behind them."""

_RANGE = re.compile(r"(\d)([–~～-])(?=\d)")
_MARKED = re.compile(
    r"\*\*(?=\S)(.+?)(?<=\S)\*\*|`([^`]+)`|\[([^\]\[]+)\]\((?:https?:|mailto:|[/#.])[^)\s]*\)"
)
_LONG = re.compile(rf"[!-~\u00a1-\u052f]{{{LONG_WORD},}}")
_SEAM = re.compile(r"(?<=[/._\-=&?:,;@}])(?=[\w{])|(?<=[a-z])(?=[A-Z])")


def split_runs(line: str) -> tuple[Run, ...]:
    """Give the styled runs of a line: **bold**, `code` and [link](target) lose their marks."""
    runs: list[Run] = []
    end = 0
    for found in _MARKED.finditer(line):
        bold, code, link = found.groups()
        runs += [
            (line[end : found.start()], ""),
            (bold or code or link, "b" if bold else "c" if code else ""),
        ]
        end = found.end()
    runs.append((line[end:], ""))
    return tuple((breakable(text), style) for text, style in runs if text)


def breakable(text: str) -> str:
    """Let very long words break, at their seams or anywhere; keep number ranges together."""
    text = _RANGE.sub(rf"\1{JOIN}\2{JOIN}", text)
    return _LONG.sub(lambda word: BREAK.join(map(_crumble, _SEAM.split(word[0]))), text)


def plain_text(runs: Sequence[Run]) -> str:
    """Give the text of runs, without styles and break marks."""
    return "".join(text for text, _ in runs).replace(BREAK, "").replace(JOIN, "")


def weight(text: str) -> float:
    """Estimate the width of `text` in ems."""
    return sum(
        1.0 if unicodedata.east_asian_width(char) in "WF" else LATIN_EM
        for char in text
        if char != BREAK
    )


def cap_runs(runs: Sequence[Run], max_weight: float) -> tuple[Run, ...]:
    """Cut runs at about `max_weight` ems, with an ellipsis where something went."""
    kept: list[Run] = []
    room = max_weight
    for text, style in runs:
        if weight(text) > room:
            return (*kept, (_head(text, room) + CUT, style))
        kept.append((text, style))
        room -= weight(text)
    return tuple(kept)


def _head(text: str, room: float) -> str:
    for index, char in enumerate(text):
        room -= weight(char)
        if room < 0:
            return text[:index]
    return text


def _crumble(piece: str) -> str:
    return piece if len(piece) < LONG_WORD else BREAK.join(piece)
