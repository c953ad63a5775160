"""Decks: put together from parts, or read from a file of JSON or Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from slideloom.client.errors import UnreadableDeck
from slideloom.domain.request import GenerateRequest, SlideRequest

Deck = Mapping[str, object] | GenerateRequest
"""The body of `batch/generate`: `slides`, `style_prompt` and what is optional."""
SlideLike = Mapping[str, object] | SlideRequest
"""A slide: `title`, and `id`, `page_num`, `type`, `content_text`, `visual_desc` if wanted."""

_FENCE = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})(.*)")
_RULE = re.compile(r"\s*-{3,}\s*")
_FRONT_MATTER = re.compile(r"\s|[a-z][\w-]*:(\s|$)")
_NOT_DRAWN = re.compile(
    r"^[ \t]*(?P<code>`{3,}(?=[^`\n]*$)|~{3,}).*?(?:^[ \t]*(?P=code)[`~]*[ \t]*$|\Z)"
    r"|<!--.*?-->"
    r"|!\[(?P<picture>[^\[\]]*)\]\([^)]*\)",
    re.DOTALL | re.MULTILINE,
)
"""Comments and pictures; also code between fences, in which there are none."""
_FAREWELL = re.compile(r"thank|q\s*&\s*a|questions|the end|谢谢|感谢|结束", re.IGNORECASE)
_MARKS = (
    (re.compile(r"^\s*(>\s?)+"), ""),
    (re.compile(r"^\s*#{1,6}\s+"), ""),
    (re.compile(r"^(\s*)[-*+]\s+"), r"\1• "),
    (re.compile(r"\[([^\[\]]+)\]\([^)]*\)"), r"\1"),
    (re.compile(r"(\*\*|__)(.+?)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])"), r"\1"),
    (re.compile(r"`([^`]+)`"), r"\1"),
)
"""Markdown's marks, and what is drawn in their place."""
_LEAST_WITH_ENDING = 3
"""A deck of fewer pages has no ending."""


def build_deck(
    slides: Iterable[SlideLike], style_prompt: str, **options: object
) -> dict[str, object]:
    """The body of `batch/generate`; options that are `None` are left to the service."""
    chosen = {name: value for name, value in options.items() if value is not None}
    return {"slides": list(slides), "style_prompt": style_prompt, **chosen}


def load_deck(path: str | Path) -> dict[str, object]:
    """The deck in a file: our JSON (a request, or its list of slides), or Markdown.

    In Markdown `#` begins a slide and `---` lines part slides, but not in code between
    fences, which is kept as it is; a picture's alternative text tells what is to be drawn.

    Raises:
        UnreadableDeck: there is none in it.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise UnreadableDeck(message) from error
    try:
        return parse_deck(_to_text(data))
    except UnreadableDeck as error:
        message = f"{path}: {error}"
        raise UnreadableDeck(message) from error


def parse_deck(text: str) -> dict[str, object]:
    """The deck a text holds, see `load_deck`.

    Raises:
        UnreadableDeck: there is none in it.
    """
    stripped = text.strip()
    is_json = re.match(r'\{|\[\s*[{\]"]', stripped) is not None
    deck = _parse_json(stripped) if is_json else {"slides": _parse_markdown(stripped)}
    if not deck["slides"]:
        raise UnreadableDeck("there is no slide in it")
    return {"style_prompt": "", **deck}


def _to_text(data: bytes) -> str:
    """Read UTF-8, or GB 18030, which Chinese Windows still writes."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise UnreadableDeck("neither text in UTF-8 nor in GB 18030")


def _parse_json(text: str) -> dict[str, object]:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"not valid JSON: {error}"
        raise UnreadableDeck(message) from error
    deck: dict[str, object] = {"slides": value} if isinstance(value, list) else value
    slides = deck.get("slides")
    if not isinstance(slides, list) or not all(isinstance(slide, dict) for slide in slides):
        raise UnreadableDeck("its `slides` are no list of objects")
    return deck


def _parse_markdown(text: str) -> list[dict[str, object]]:
    """Slides: with one `#` at most, `##` begins one as well."""
    lines = text.splitlines()
    is_prose = _mark_prose(lines)
    tops = sum(prose and line.startswith("# ") for line, prose in zip(lines, is_prose, strict=True))
    opens = re.compile(r"#\s" if tops > 1 else r"##?\s")
    chunks: list[list[str]] = [[]]
    for line, prose in zip(lines, is_prose, strict=True):
        if prose and _RULE.fullmatch(line):
            chunks.append([])
        elif prose and opens.match(line):
            chunks.append([line])
        else:
            chunks[-1].append(line)
    pages = [_to_page(chunk) for chunk in chunks if _has_words(chunk)]
    return [
        {"id": f"slide-{number}", **page, "type": _guess_type(page, number, len(pages))}
        for number, page in enumerate(pages, 1)
    ]


def _has_words(chunk: Sequence[str]) -> bool:
    """Whether it is a slide: not empty, and not the `key: value` lines of a front matter."""
    lines = [line for line in chunk if line.strip()]
    return not all(_FRONT_MATTER.match(line) for line in lines)


def _to_page(chunk: Sequence[str]) -> dict[str, str]:
    pictures: list[str] = []

    def take_out(found: re.Match[str]) -> str:
        if found["picture"]:
            pictures.append(found["picture"])
        return found[0] if found["code"] else ""

    lines = _NOT_DRAWN.sub(take_out, "\n".join(chunk)).splitlines()
    is_prose = _mark_prose(lines)
    words = [_strip_marks(s) if prose else s for s, prose in zip(lines, is_prose, strict=True)]
    title_at = _find_title(lines, is_prose)
    body: list[str] = []
    for at, line in enumerate(words):
        is_gap = is_prose[at] and not line.strip()
        if at != title_at and not (is_gap and body and not body[-1].strip()):
            body.append(line)
    return {
        "title": "" if title_at is None else words[title_at].strip(),
        "content_text": "\n".join(body).strip(),
        "visual_desc": "\n".join(pictures),
    }


def _find_title(lines: Sequence[str], is_prose: Sequence[bool]) -> int | None:
    """Where the first heading is, or else the first words; none where code comes first."""
    headings = (at for at, s in enumerate(lines) if is_prose[at] and re.match(r"#{1,6}\s", s))
    first = next((at for at, line in enumerate(lines) if line.strip()), None)
    return next(headings, first if first is not None and is_prose[first] else None)


def _strip_marks(line: str) -> str:
    """A Markdown line as the words to draw."""
    for pattern, words in _MARKS:
        line = pattern.sub(words, line)
    return line


def _guess_type(page: Mapping[str, str], number: int, count: int) -> str:
    if number == 1:
        return "cover"
    is_last = number == count and count >= _LEAST_WITH_ENDING
    is_farewell = _FAREWELL.search(page["title"]) is not None or not page["content_text"]
    return "ending" if is_last and is_farewell else "content"


def _mark_prose(lines: Sequence[str]) -> list[bool]:
    """For each line, whether it is outside a code fence, which ends with its own mark."""
    marks, opener = [], ""
    for line in lines:
        fence = _FENCE.match(line)
        marks.append(not opener and fence is None)
        if fence is not None and not opener:
            opener = fence[1]
        elif fence is not None and fence[1].startswith(opener) and not fence[2].strip():
            opener = ""
    return marks
