"""What a provider answered, once its pictures are lifted out of it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from slideloom.providers.lift import PLACEHOLDER

_LIFTED = re.compile(re.escape(PLACEHOLDER.decode()).replace("%d", r"(\d+)") + r"\Z")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_HTML_STARTS = ("<!doctype", "<html", "<head", "<body")
_FIELD = re.compile(r"(?:data|event|id|retry): ?")
_DEEPEST = 64
"""Levels of a body; no provider's has a dozen."""
_MOST_DOCUMENTS = 10_000
"""Events of a stream that are looked at."""

Json = dict[str, Any]


class Answer(Struct, frozen=True, kw_only=True):
    """Status, headers, and the body without its pictures."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    documents: tuple[Any, ...] = ()
    """The body's JSON values: one, or one an event; none when it is no JSON."""
    text: str = ""
    """The body, when it is no JSON."""

    @property
    def is_good(self) -> bool:
        """Whether the status promises success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP

    @property
    def is_page(self) -> bool:
        """Whether it is a web page: a proxy speaks, not the provider."""
        return self.text.lstrip().lower().startswith(_HTML_STARTS)

    @property
    def words(self) -> str:
        """A body that is no JSON, as a person would read it."""
        title = _TITLE.search(self.text[:4000])
        return " ".join((title[1] if title else _TAG.sub(" ", self.text[:4000])).split())

    @property
    def objects(self) -> Iterator[Json]:
        """The JSON objects of the body, lists around them opened."""
        for document in self.documents:
            for item in document if isinstance(document, list) else [document]:
                if isinstance(item, dict):
                    yield item


def read_answer(status: int, headers: Mapping[str, str], skeleton: bytes) -> Answer:
    """Make sense of a body, whatever its Content-Type says."""
    lower = {name.lower(): value for name, value in headers.items()}
    text = skeleton.decode("utf-8", "replace")
    documents = _decode(text)
    if not documents and text:
        documents = _decode_events(text)
    return Answer(status=status, headers=lower, documents=documents, text="" if documents else text)


def find_previews(node: object, *, is_preview: bool = False) -> Iterator[int]:
    """The numbers of lifted pictures that only are drafts of another one.

    Source: Gemini's parts with `thought: true` (F29); `partial_image` events.
    """
    if isinstance(node, dict):
        is_preview = is_preview or node.get("thought") is True
        is_preview = is_preview or "partial_image" in str(node.get("type"))
        for value in node.values():
            yield from find_previews(value, is_preview=is_preview)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from find_previews(value, is_preview=is_preview)
    elif is_preview and isinstance(node, str) and (lifted := _LIFTED.search(node)):
        yield int(lifted[1])


def _decode(text: str) -> tuple[Any, ...]:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return (document,) if _is_shallow(document) else ()


def _is_shallow(document: object) -> bool:
    """Whether those who go down into it come back: they take several frames a level."""
    level = [document]
    for _ in range(_DEEPEST):
        level = [inner for node in level for inner in _open(node)]
        if not level:
            return True
    return False


def _open(node: object) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _decode_events(text: str) -> tuple[Any, ...]:
    """The JSON values of an event stream, or of a body with stream lines around it.

    Source: gateways put comments before, and `data: [DONE]` behind, plain JSON (F30).
    """
    documents: list[Any] = []
    for event in re.split(r"\r?\n\r?\n", text)[:_MOST_DOCUMENTS]:
        lines = [line for line in event.splitlines() if not line.startswith(":")]
        data = [line.removeprefix("data:") for line in lines if line.startswith("data:")]
        rest = [line for line in lines if not _FIELD.match(line)]
        documents += _decode("\n".join(data)) + _decode("\n".join(rest))
    return tuple(documents)
