"""Builders: decks, slides and orders with everything filled in."""

from typing import Any

from slideloom.domain.batch import BatchState
from slideloom.domain.events import BatchOrder
from slideloom.domain.slide import Slide


def slide(number: int = 1, **changes: Any) -> Slide:
    """Slide `number` (1-based) of a deck."""
    facts: dict[str, Any] = {
        "id": f"slide-{number}",
        "page_num": number,
        "type": "content",
        "title": f"Title {number}",
        "content_text": "",
        "visual_desc": f"picture {number}",
    }
    return Slide(**facts | changes)


def order(slides: int | tuple[Slide, ...] = 3, **changes: Any) -> BatchOrder:
    """An order of that many slides, or of those, each made anew unless `cache` says otherwise."""
    facts: dict[str, Any] = {
        "session_id": "00000000-0000-4000-8000-000000000001",
        "slides": tuple(slide(number) for number in range(1, slides + 1))
        if isinstance(slides, int)
        else slides,
        "style_prompt": "calm blue",
        "max_workers": 3,
        "aspect_ratio": "16:9",
        "cache": False,
    }
    return BatchOrder(**facts | changes)


def deck(slides: int = 3, **changes: Any) -> dict[str, Any]:
    """A request body of that many slides."""
    body: dict[str, Any] = {
        "slides": [{"id": f"s{n}", "title": f"Title {n}"} for n in range(1, slides + 1)],
        "style_prompt": "calm blue",
    }
    return body | changes


def images(state: BatchState) -> list[str | None]:
    """The file names of a batch's pictures."""
    return [None if one.picture is None else one.picture.image for one in state.slides]


def are_cached(state: BatchState) -> list[bool]:
    """Whether each slide's picture was made for another one."""
    return [slide.picture is not None and slide.picture.cached for slide in state.slides]
