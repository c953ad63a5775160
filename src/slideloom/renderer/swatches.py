"""Colours named in a style prompt, each with the role that the words beside it say."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec

from slideloom.renderer.colours import Rgb, from_hex

Role: TypeAlias = Literal["ground", "ink", "primary", "secondary", "accent"]

MAX_PROMPT_CHARS = 4_000
"""Characters of a style prompt looked at for colours."""

_HEX = re.compile(r"#([0-9a-fA-F]{8}|[0-9a-fA-F]{6}|[0-9a-fA-F]{3,4})(?![0-9a-zA-Z])")
_RGB = re.compile(
    r"rgba?\(\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*[, ]\s*(\d{1,3})[^)]{0,12}\)", re.IGNORECASE
)
_CLAUSE = re.compile(r"[,，;；。、\n|]|(?<=\w)\.\s")
_JOINT = re.compile(r"^\s*(?:and|&|\+|/|和|与|及|、)\s*(?:[a-z-]+\s*)?$", re.IGNORECASE)

_ROLE_WORDS: tuple[tuple[Role, str], ...] = (
    (
        "ground",
        r"背景|底色|底|background|ground|backdrop|canvas|\bbg\b|\bpaper\b|\bbase\b|(?:\bon\s*(?:an?\s+)?(?:[a-z-]+\s+)?$)",
    ),
    (
        "ink",
        r"文字|正文|字体|字色|文本|标题色|\btext\b|\bink\b|\bfonts?\b|\btype\b|\bbody\b|foreground|\bfg\b",
    ),
    ("accent", r"强调|点缀|高亮|突出|accent|highlight|\bpop\b|call.?to.?action|\bcta\b"),
    ("secondary", r"辅助|辅色|次色|副色|次要|第二|secondary|support"),
    ("primary", r"主色|主题色|主调|品牌|主要|主|primary|\bmain\b|brand|dominant|\bkey\b|theme"),
)
_ROLES = tuple((role, re.compile(words, re.IGNORECASE)) for role, words in _ROLE_WORDS)

_NAMED = {
    "navy|藏青|深蓝|海军蓝": "#14284B",
    "sky|天蓝|浅蓝": "#4FA3E3",
    "teal|蓝绿|青绿": "#0F8B8D",
    "cyan|青色": "#13B5D6",
    "turquoise|绿松石": "#2BB8AA",
    "mint|薄荷": "#3DBE8B",
    "indigo|靛": "#3F4FB8",
    "blue|蓝": "#1F62D0",
    "emerald|翡翠|祖母绿": "#0F8A5F",
    "olive|橄榄": "#6F7A34",
    "lime|青柠": "#8DBF2E",
    "green|绿": "#2F8F4E",
    "crimson|绯红|深红|酒红|burgundy|maroon": "#9B1C37",
    "coral|珊瑚": "#F2705B",
    "salmon|三文鱼": "#F08A78",
    "rose|玫瑰": "#D6456F",
    "pink|粉": "#E8679A",
    "magenta|洋红|品红": "#C2258F",
    "red|红": "#D1352F",
    "terracotta|赤陶|陶土|rust|砖红": "#B8563B",
    "amber|琥珀": "#EFA020",
    "gold|金": "#C79A3B",
    "orange|橙|橘": "#EE7B22",
    "yellow|黄": "#F0BE2A",
    "lavender|薰衣草": "#9B86D9",
    "violet|紫罗兰": "#7A4FD0",
    "purple|紫": "#7442B8",
    "brown|棕|褐|咖啡|coffee": "#7A5236",
    "beige|米色|米黄": "#F3EADB",
    "cream|奶油": "#FBF5E9",
    "ivory|象牙": "#FBF8EF",
    "off-white|米白|乳白": "#FAF8F3",
    "white|白": "#FFFFFF",
    "charcoal|炭黑|炭灰": "#24282E",
    "black|黑": "#101114",
    "slate|石板": "#475569",
    "silver|银": "#B4BAC4",
    "gr[ae]y|灰": "#8A919C",
}
_WORD = re.compile("|".join(f"(?P<c{n}>{words})" for n, words in enumerate(_NAMED)), re.IGNORECASE)
_VALUES = tuple(_NAMED.values())


class Swatch(msgspec.Struct, frozen=True):
    """A colour the prompt names."""

    colour: Rgb
    """Its value."""
    role: Role | None
    """What the words beside it say it is for."""


class _Find(msgspec.Struct, frozen=True):
    colour: Rgb
    start: int
    end: int


def find_swatches(prompt: str) -> list[Swatch]:
    """Give the colours of a prompt in order; colour words only count where there are no values."""
    prompt = prompt[:MAX_PROMPT_CHARS]
    finds = sorted(_find_values(prompt), key=lambda find: find.start) or list(_find_words(prompt))
    roles = _find_roles(prompt, finds)
    return [Swatch(find.colour, role) for find, role in zip(finds, roles, strict=True)]


def _find_values(prompt: str) -> Iterator[_Find]:
    for found in _HEX.finditer(prompt):
        yield _Find(from_hex(found[1]), found.start(), found.end())
    for found in _RGB.finditer(prompt):
        red, green, blue = (min(255, int(part)) / 255 for part in found.groups())
        yield _Find((red, green, blue), found.start(), found.end())


def _find_words(prompt: str) -> Iterator[_Find]:
    for found in _WORD.finditer(prompt):
        if found[0].isascii() and _inside_word(prompt, found):
            continue
        index = int((found.lastgroup or "c0")[1:])
        yield _Find(from_hex(_VALUES[index][1:]), found.start(), found.end())


def _inside_word(prompt: str, found: re.Match[str]) -> bool:
    around = prompt[found.start() - 1 : found.start()] + prompt[found.end() : found.end() + 1]
    return any(char.isascii() and char.isalpha() for char in around)


def _find_roles(prompt: str, finds: list[_Find]) -> list[Role | None]:
    """Read the words of a colour's clause: before it, else after it, else its neighbour's.

    "ink #1F2933 text" -> before; "#0B1B2B ground" -> after;
    "mint #42B883 and slate #35495E accents" -> neighbour.
    """
    roles: list[Role | None] = []
    used = 0
    edges = [*(find.start for find in finds[1:]), len(prompt)]
    for find, edge in zip(finds, edges, strict=False):
        before = _CLAUSE.split(prompt[used : find.start])[-1]
        cut = _CLAUSE.search(prompt, find.end, edge)
        after = prompt[find.end : cut.start() if cut else edge]
        role = _role_in(before, last=True)
        used = find.end
        if role is None and (role := _role_in(after, last=False)):
            used = find.end + len(after)
        roles.append(role)
    return _share_roles(prompt, finds, roles)


def _share_roles(prompt: str, finds: list[_Find], roles: list[Role | None]) -> list[Role | None]:
    """Give a colour joined to the next by "and" its role; of two accents one is the secondary."""
    for index, (one, other) in reversed(list(enumerate(pairwise(finds)))):
        if (
            roles[index] is None
            and _JOINT.match(prompt[one.end : other.start])
            and roles[index + 1]
        ):
            roles[index] = roles[index + 1]
            if roles[index] == "accent":
                roles[index + 1] = "secondary"
    return roles


def _role_in(words: str, *, last: bool) -> Role | None:
    """Give the role said nearest to the colour."""
    hits = [(found.start(), role) for role, pattern in _ROLES for found in pattern.finditer(words)]
    if not hits:
        return None
    return max(hits)[1] if last else min(hits)[1]
