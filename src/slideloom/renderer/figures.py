"""Numbers worth showing large: "5 页：从 125 秒到 27 秒", "Latency: 27 ms", "8.3× faster"."""

import re
from collections.abc import Sequence

import msgspec

from slideloom.renderer.inline import Run, plain_text, weight

MAX_FIGURES = 4
"""More in a row are too small to be worth it."""
MAX_LABEL, MAX_VALUE = 16.0, 13.0
"""Ems; longer ones are sentences with numbers in them."""

_NUMBER = (
    r"[$¥€£]?[+\-−]?(?<![\w.])\d+(?:[.,]\d+)*(?:\s?[–~～-]\s?\d+(?:[.,]\d+)*)?"
    r"(?:\s?(?:%|‰|[×xX](?!\w)|[kKMB]\b))?"
)
_UNIT = (
    r"(?:\s?(?:倍|秒|毫秒|分钟|分|小时|天|周|个月|月|年|万|亿|千|元|页|张|次|人|个|台|家|项|名|度|米|公里|公斤|吨"
    r"|ms|s|sec|seconds?|min|minutes?|h|hours?|days?|weeks?|months?|years?|GB|MB|KB|TB|px|fps|users?|people)(?![A-Za-z]))?"
)
_FIGURE = re.compile(_NUMBER + _UNIT)
_CHANGE = re.compile(
    rf"^(?:(?:从|由|from)\s*)?{_NUMBER}{_UNIT}\s*(?:(?:降|升|减|增|提升|降低|缩短)?[到至]|→|->|to)\s*{_NUMBER}{_UNIT}$",
    re.IGNORECASE,
)
_PIECE = re.compile(_NUMBER)
_VALUE = re.compile(r"\d+(?:[.,]\d+)*")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A large value and the words that go with it."""

    label: tuple[Run, ...]
    """The words, set small; may be empty."""
    value: tuple[Run, ...]
    """The value; its numbers have the style "n"."""
    bars: tuple[float, ...] = ()
    """A change's two numbers as shares of the greater one."""


def find_figures(lines: Sequence[tuple[Sequence[Run], str, Sequence[Run]]]) -> list[Figure | None]:
    """Give a figure or `None` for each (key, separator, text); nothing unless figures prevail.

    They prevail when there are at most four, no more than one line is none, and at least one is.
    """
    found = [_to_figure(plain_text(key), sep, plain_text(text)) for key, sep, text in lines]
    count = sum(figure is not None for figure in found)
    if not 1 <= count <= MAX_FIGURES or len(found) - count > 1 or (count == 1 and len(found) > 1):
        return []
    return found


def _to_figure(key: str, sep: str, text: str) -> Figure | None:
    if key:
        whole = _CHANGE.match(text) or _FIGURE.fullmatch(text)
        if whole and weight(key) <= MAX_LABEL and weight(text) <= MAX_VALUE:
            return Figure(label=((key, ""),), value=_mark_numbers(text), bars=_shares(text))
        text = key + sep + text
    if (found := _last_figure(text)) and _fits(text[: found.start()], found[0]):
        return Figure(label=((text[: found.start()].strip(), ""),), value=_mark_numbers(found[0]))
    if (found := _FIGURE.match(text)) and _fits(text[found.end() :], found[0]):
        return Figure(label=((text[found.end() :].strip(), ""),), value=_mark_numbers(found[0]))
    return None


def _last_figure(text: str) -> re.Match[str] | None:
    return next((found for found in _FIGURE.finditer(text) if found.end() == len(text)), None)


def _fits(label: str, value: str) -> bool:
    """Refuse labels with numbers or sentence marks, and bare numbers: names, like "Vue 3"."""
    bare = re.fullmatch(r"\d+(?:\.\d+)*", value.strip())
    clear = not re.search(r"[\d，。；,;:：]", label)
    return (
        clear and not bare and 0 < weight(label.strip()) <= MAX_LABEL and weight(value) <= MAX_VALUE
    )


def _mark_numbers(text: str) -> tuple[Run, ...]:
    runs: list[Run] = []
    end = 0
    for found in _PIECE.finditer(text):
        runs += [(text[end : found.start()], ""), (found[0], "n")]
        end = found.end()
    runs.append((text[end:], ""))
    return tuple(run for run in runs if run[0])


def _shares(text: str) -> tuple[float, ...]:
    """Give the two numbers of a change as shares of the greater one."""
    if not _CHANGE.match(text):
        return ()
    values = [float(piece.replace(",", "")) for piece in _VALUE.findall(text)]
    if len(values) != 2 or min(values) < 0 or max(values) == 0:  # noqa: PLR2004
        return ()
    return tuple(value / max(values) for value in values)
