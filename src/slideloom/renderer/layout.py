"""Which arrangement a page's texts get: a plain table of cases, the special before the general."""

from typing import Literal, TypeAlias

import msgspec

from slideloom.renderer.content import Block
from slideloom.renderer.inline import plain_text, weight

Layout: TypeAlias = Literal[
    "cover", "ending", "picture", "section", "statement",
    "figures", "timeline", "cards", "rows", "columns", "flow",
]  # fmt: skip

STATEMENT_WEIGHT = 75.0
"""Ems up to which a single sentence is set large."""
SECTION_TITLE_WEIGHT = 24.0
"""Ems up to which a title is set as large as a section's."""
SUBTITLE_WEIGHT = 18.0
"""Ems up to which a lone line is a section's subtitle."""
CARD_WEIGHT = 34.0
"""Ems up to which a bullet fits a card."""
CARD_COUNTS = range(3, 5)
"""How many cards stand well beside one another."""
TIMELINE_COUNTS = range(3, 6)
"""How many steps stand well beside one another."""
COLUMNS_FROM = 6
"""Items from which two columns read better than one."""


class PageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the choice depends on."""

    kind: Literal["cover", "content", "ending"]
    """The slide's kind."""
    title_weight: float
    """Ems of the title; 0 where there is none to print."""
    has_lines: bool
    """Whether a cover or ending has other lines to print."""
    blocks: tuple[Block, ...]
    """What a content page says."""
    turn: int
    """Counts the pages, so that like pages take turns in how they look."""
    pictured: bool
    """Whether the drawing was asked for by name, and so should be seen."""


def choose_layout(facts: PageFacts) -> Layout:
    """Give the arrangement for a page."""
    if not (facts.title_weight or facts.has_lines or facts.blocks):
        return "picture"
    if facts.kind != "content":
        return facts.kind
    return _choose_content(facts) if facts.blocks else "section"


def _choose_content(facts: PageFacts) -> Layout:  # noqa: PLR0911  (a table)
    kinds = tuple(block.kind for block in facts.blocks)
    last = facts.blocks[-1]
    longest = max((_weigh_longest(block) for block in facts.blocks), default=0.0)
    match kinds:
        case ("para",) if (
            len(last.items) == 1
            and longest <= SUBTITLE_WEIGHT
            and (0 < facts.title_weight <= SECTION_TITLE_WEIGHT)
        ):
            return "section"
        case ("para",) if len(last.items) == 1 and longest <= STATEMENT_WEIGHT:
            return "statement"
        case _ if "figures" in kinds and set(kinds) <= {"figures", "para"}:
            return "figures"
        case ("steps",) | ("para" | "heading", "steps") if (
            len(last.items) in TIMELINE_COUNTS and longest <= CARD_WEIGHT
        ):
            return "timeline"
        case ("bullets",) | ("pairs",) if _suits_cards(last, longest):
            return _take_turns(facts)
        case (*_, "bullets" | "pairs" | "steps") if (
            len(last.items) >= COLUMNS_FROM and len(kinds) <= 2  # noqa: PLR2004
        ):
            return "columns"
        case _:
            return "flow"


def _suits_cards(block: Block, longest: float) -> bool:
    flat = all(item.level == 0 for item in block.items)
    return flat and len(block.items) in CARD_COUNTS and longest <= CARD_WEIGHT


def _take_turns(facts: PageFacts) -> Layout:
    """Vary pages of three or four bullets; cards have no room for a drawing."""
    turns: tuple[Layout, ...] = ("rows", "flow") if facts.pictured else ("cards", "flow", "rows")
    return turns[facts.turn % len(turns)]


def _weigh_longest(block: Block) -> float:
    return max((weight(plain_text((*item.key, *item.text))) for item in block.items), default=0.0)
