"""What a slide says, as blocks: bullets, steps, pairs, figures, chips, code, tables and paragraphs.

    content_text -> lines (cleaned, capped) -> one mark per line -> runs of like lines -> blocks

Nothing here knows sizes or colours.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

import msgspec

from slideloom.renderer.figures import find_figures
from slideloom.renderer.glyphs import clean_line
from slideloom.renderer.inline import CUT, Run, cap_runs, plain_text, split_runs, weight

MAX_LINES = 120
"""More lines than any page can hold at the smallest type; the rest is cut with an ellipsis."""
MAX_LINE_WEIGHT = 4000.0
"""Ems of one line; more fills a whole page by itself."""
MAX_PAGE_WEIGHT = 4000.0
"""Ems of one page, which is full with them at the smallest type."""
MAX_TEXT_CHARS, MAX_LINE_CHARS = 20_000, 8_000
"""Characters looked at; what is behind them could not be seen on a page anyway."""
MAX_COLUMNS, MAX_CELL_WEIGHT = 8, 80.0
"""Columns of a table, and ems of a cell, that a page has room for."""
CHIP_WEIGHT = 11.0
"""Ems up to which a line without punctuation is a label, not a sentence."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a block."""

    text: tuple[Run, ...]
    """What it says, without its mark and key."""
    level: int = 0
    """Depth of indentation, 0..2."""
    mark: str = ""
    """A step's own number."""
    key: tuple[Run, ...] = ()
    """What stands before the colon or dash, if the line is a pair."""
    sep: str = ""
    """What parted key and text, to be set again where both stand in one line."""
    bars: tuple[float, ...] = ()
    """A figure's numbers as shares of the greatest, when they can be compared."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that belong together."""

    kind: Literal[
        "para", "heading", "bullets", "steps", "pairs", "figures", "chips", "code", "table"
    ]
    """How it is set."""
    items: tuple[Item, ...] = ()
    """Its lines, in order."""
    rows: tuple[tuple[tuple[Run, ...], ...], ...] = ()
    """A table's cells, row by row."""


class _Line(msgspec.Struct, frozen=True):
    kind: str
    text: str
    level: int = 0
    mark: str = ""
    lead: str = ""
    """A step's number as it was typed, as "1)" or "四、"."""


_BULLET = re.compile(r"^(\s*)(?:[•·▪◦●○■□‣▸►▶–—]\s*|[-*+]\s+)(?=\S)")
_STEP = re.compile(
    r"^(\s*)(?:(\d{1,3})(?:[.)](?=\s|[^\d\s.])|[、．）])|[(（](\d{1,2})[)）]|([①-⑳])|([一二三四五六七八九十]{1,3})、)\s*(?=\S)"
)
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(?=\S)")
_PAIR = re.compile(r"^(?P<key>[^：:。！？!?]{1,40}?)(?P<sep>：|:\s+|\s[-–—]\s|——)(?P<text>\S.*)$")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_RULE = re.compile(r"^[\s|:\-–—=_*.·~]*$")
_CODE = re.compile(
    r"^\s*(?:<<<|\$\s|>>>\s|\$\$|\\[a-zA-Z]+|</?[a-zA-Z][^>]*>|//\s|#!|(?:const|let|var|import|export|from|def|class|"
    r"function|return|async|await|print|npm|npx|pnpm|yarn|pip|curl|git|docker|sudo|SELECT|INSERT|public|private)\s+\S*"
    r"[\w\"'{(<=@./-]|[\w.]+\([^)]*\)\s*[;{]?$|[}\])]+[;,]?$)",
)
_CODE_END = re.compile(r"(?:[;{}]|=>|\\\\)\s*$")
_SENTENCE_END = re.compile(r"[。！？；，,;.!?…]$")


def parse_content(text: str, *, title: str = "") -> tuple[Block, ...]:
    """Give the blocks of `text`; a first line that only repeats `title` is left out."""
    lines = list(_mark_lines(text[:MAX_TEXT_CHARS].splitlines()))
    if lines and title and _bare(lines[0].text) == _bare(title):
        lines = lines[1:]
    blocks: list[Block] = []
    for kind, group in groupby(_cap_lines(lines), key=lambda line: line.kind):
        blocks += _to_blocks(kind, list(group))
    return tuple(map(_promote, blocks, [*blocks[1:], None]))


def parse_lines(text: str) -> tuple[tuple[Run, ...], ...]:
    """Give the lines of a cover or ending page as they are; bullets are off, numbers stay."""
    lines = [line for line in _mark_lines(text[:MAX_TEXT_CHARS].splitlines()) if line.text.strip()]
    return tuple(cap_runs(_numbered(line), MAX_LINE_WEIGHT) for line in _cap_lines(lines))


def _numbered(line: _Line) -> tuple[Run, ...]:
    runs = split_runs(line.text.strip())
    if not line.lead:
        return runs
    return ((line.lead + (" " if line.lead.isascii() else ""), ""), *runs)


def _promote(block: Block, after: Block | None) -> Block:
    """Make a lone label that stands before something else its heading."""
    lone = block.kind == "para" and len(block.items) == 1 and _is_label(block.items[0])
    if lone and after and after.kind not in ("chips", "figures"):
        return msgspec.structs.replace(block, kind="heading")
    return block


def _cap_lines(lines: list[_Line]) -> Iterator[_Line]:
    """Stop with an ellipsis where a page is full for certain."""
    room = MAX_PAGE_WEIGHT
    for index, line in enumerate(lines):
        if index == MAX_LINES or room < 0:
            yield msgspec.structs.replace(lines[index - 1], text=CUT, level=0, mark="…", lead="")
            return
        room -= weight(line.text) + 2
        yield line


def _bare(text: str) -> str:
    return " ".join(plain_text(split_runs(text)).casefold().split())


def _mark_lines(raw: Sequence[str]) -> Iterator[_Line]:
    """Say of each line what it is; blank lines and lines without a letter or digit are dropped."""
    fenced = False
    for line in (clean_line(piece[:MAX_LINE_CHARS]) for piece in raw):
        if _FENCE.match(line):
            fenced = not fenced
        elif fenced:
            yield _Line("code", line)
        elif not _RULE.match(line):
            yield _mark_line(line)
        elif line.strip() == "$$":
            yield _Line("code", line)


def _mark_line(line: str) -> _Line:
    stripped = line.strip()
    if stripped.startswith("|") and stripped.endswith("|") and stripped.count("|") > 1:
        return _Line("table", stripped)
    if found := _BULLET.match(line):
        return _Line("bullets", _folded(line[found.end() :]), level=min(2, len(found[1]) // 2))
    if found := _STEP.match(line):
        mark = next(group for group in found.groups()[1:] if group)
        text, level = _folded(line[found.end() :]), min(2, len(found[1]) // 2)
        return _Line("steps", text, level=level, mark=mark, lead=found[0].strip())
    if found := _HEADING.match(line):
        return _Line("heading", _folded(line[found.end() :]))
    if _CODE.match(line) or _CODE_END.search(line):
        return _Line("code", line)
    return _Line("para", _folded(line))


def _folded(text: str) -> str:
    return " ".join(text.split())


def _to_blocks(kind: str, lines: list[_Line]) -> list[Block]:
    """Turn a run of like lines into its block, or into several where the lines differ after all."""
    if kind == "code":
        return [Block(kind="code", items=tuple(_verbatim(line.text) for line in _dedent(lines)))]
    if kind == "table":
        rows = tuple(_cells(line.text) for line in lines)
        return [Block(kind="table", rows=tuple(row for row in rows if any(row)))]
    items = [_to_item(line) for line in lines]
    match kind:
        case "heading":
            return [Block(kind="heading", items=(item,)) for item in items]
        case "steps":
            return [Block(kind="steps", items=tuple(items))]
        case "bullets":
            return _bullet_blocks(items)
        case _:
            return _para_blocks(items)


def _bullet_blocks(items: list[Item]) -> list[Block]:
    if figures := _figure_blocks(items):
        return figures
    flat = all(item.level == 0 for item in items)
    kind: Literal["pairs", "bullets"] = (
        "pairs" if flat and len(items) > 1 and all(i.key for i in items) else "bullets"
    )
    return [Block(kind=kind, items=tuple(items))]


def _para_blocks(items: list[Item]) -> list[Block]:
    """Part plain lines into figures, pairs, chips (labels in a row) and sentences."""
    if figures := _figure_blocks(items):
        return figures
    if len(items) > 1 and all(item.key for item in items):
        return [Block(kind="pairs", items=tuple(items))]
    blocks: list[Block] = []
    for short, group in groupby(items, key=_is_label):
        members = tuple(group)
        kind: Literal["chips", "para"] = "chips" if short and len(members) > 1 else "para"
        blocks.append(Block(kind=kind, items=members))
    return blocks


def _is_label(item: Item) -> bool:
    words = plain_text((*item.key, *item.text))
    return not item.key and weight(words) <= CHIP_WEIGHT and not _SENTENCE_END.search(words)


def _figure_blocks(items: list[Item]) -> list[Block]:
    """Give large figures and the lines that are none; nothing when too few are figures."""
    figures = find_figures([(item.key, item.sep, item.text) for item in items])
    if not figures or any(item.level for item in items):
        return []
    blocks: list[Block] = []
    pairs = zip(items, figures, strict=True)
    for is_figure, group in groupby(pairs, key=lambda pair: pair[1] is not None):
        members = list(group)
        if is_figure:
            made = (
                Item(key=found.label, text=found.value, bars=found.bars)
                for _, found in members
                if found
            )
            blocks.append(Block(kind="figures", items=tuple(made)))
        else:
            blocks.append(Block(kind="para", items=tuple(item for item, _ in members)))
    return blocks


def _to_item(line: _Line) -> Item:
    found = _PAIR.match(line.text)
    if (
        found
        and not found["key"].rstrip().lower().endswith(("http", "https"))
        and weight(found["key"]) <= CHIP_WEIGHT
    ):
        return Item(
            text=cap_runs(split_runs(found["text"]), MAX_LINE_WEIGHT),
            key=split_runs(found["key"].strip()),
            sep=found["sep"],
            level=line.level,
            mark=line.mark,
        )
    return Item(
        text=cap_runs(split_runs(line.text), MAX_LINE_WEIGHT), level=line.level, mark=line.mark
    )


def _verbatim(text: str) -> Item:
    return Item(text=cap_runs(((text, ""),), MAX_LINE_WEIGHT))


def _dedent(lines: list[_Line]) -> list[_Line]:
    margin = min(
        (len(line.text) - len(line.text.lstrip()) for line in lines if line.text.strip()), default=0
    )
    return [msgspec.structs.replace(line, text=line.text[margin:]) for line in lines]


def _cells(row: str) -> tuple[tuple[Run, ...], ...]:
    cells = row.strip("|").split("|")
    if len(cells) > MAX_COLUMNS:
        cells = [*cells[: MAX_COLUMNS - 1], CUT]
    return tuple(cap_runs(split_runs(_folded(cell)), MAX_CELL_WEIGHT) for cell in cells)
