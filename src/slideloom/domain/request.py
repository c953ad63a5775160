"""What users send, and how an order is made of it.

Numbers may come as `"1"` or `1.0` and unknown keys are ignored, as the original
service accepted. Source: contract sections 2 and 4.
"""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

from slideloom.domain.events import BatchOrder
from slideloom.domain.ratio import RATIO_PATTERN, Ratio, parse_ratio
from slideloom.domain.slide import Slide, SlideKind
from slideloom.errors import InvalidRequest

MAX_SLIDES = 200
MAX_TEXT = 100_000
"""Characters of one text: every result carries its prompt, so texts are bounded."""
MAX_STYLE_TEXT = 4_000_000
"""Characters of the style times slides: it stands in every slide's prompt."""
MAX_PAGE = 999_999
"""The page number stands in the picture's file name."""

_Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_PageNum = Annotated[int, Meta(ge=1, le=MAX_PAGE)]
_RatioText = Annotated[
    str,
    Meta(pattern=RATIO_PATTERN, description="`W:H`, one to four digits a side", examples=["16:9"]),
]


class SlideRequest(Struct, frozen=True, kw_only=True):
    """One page of a deck, as it is sent."""

    title: _Text
    """May be empty."""
    id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """Unique in the batch; default a new UUID."""
    page_num: _PageNum | None = None
    """Default its place in the list; may repeat."""
    type: SlideKind | None = None
    """Default `content`."""
    content_text: _Text | None = None
    visual_desc: _Text | None = None


class GenerateRequest(Struct, frozen=True, kw_only=True):
    """The body of `batch/generate`."""

    slides: Annotated[tuple[SlideRequest, ...], Meta(min_length=1, max_length=MAX_SLIDES)]
    style_prompt: _Text
    """One style for all pages; may be empty."""
    max_workers: Annotated[int, Meta(ge=1)] | None = None
    """Slides under way at once; above the server's limit it is lowered to it."""
    aspect_ratio: _RatioText | None = None
    """Default `16:9`."""
    model: Annotated[str, Meta(max_length=200)] | None = None
    """Another image model than the server's."""


class SingleRequest(Struct, frozen=True, kw_only=True):
    """The body of `slide/generate` and `slide/regenerate`."""

    style_prompt: _Text
    visual_desc: _Text
    title: _Text | None = None
    content_text: _Text | None = None
    aspect_ratio: _RatioText | None = None
    """Default `16:9`."""
    page_num: _PageNum | None = None
    type: SlideKind | None = None
    """Default `content`."""
    model: Annotated[str, Meta(max_length=200)] | None = None


class StatusRequest(Struct, frozen=True, kw_only=True):
    """The body of `batch/status`."""

    batch_id: str


def to_order(
    request: GenerateRequest,
    *,
    session_id: str,
    default_workers: int,
    worker_limit: int,
    new_id: Callable[[], str],
) -> BatchOrder:
    """The order a request makes: every default filled in, every limit applied.

    Raises:
        InvalidRequest: two slides share an id, or the ratio is none.
    """
    ratio = read_ratio(request.aspect_ratio)
    if len(request.style_prompt) * len(request.slides) > MAX_STYLE_TEXT:
        most = MAX_STYLE_TEXT // len(request.slides)
        message = f"for that many slides the style may have {most} characters"
        raise InvalidRequest(message, ("body", "style_prompt"))
    slides = tuple(
        to_slide(slide, place=place, new_id=new_id) for place, slide in enumerate(request.slides, 1)
    )
    _refuse_repeated_ids(slides)
    return BatchOrder(
        session_id=session_id,
        slides=slides,
        style_prompt=request.style_prompt,
        max_workers=min(request.max_workers or default_workers, worker_limit),
        aspect_ratio=f"{ratio.width}:{ratio.height}",
        model=request.model or None,
    )


def to_single(request: SingleRequest, *, new_id: Callable[[], str]) -> Slide:
    """The page a single request orders."""
    page = SlideRequest(
        title=request.title or "",
        page_num=request.page_num,
        type=request.type,
        content_text=request.content_text,
        visual_desc=request.visual_desc,
    )
    return to_slide(page, place=1, new_id=new_id)


def to_slide(request: SlideRequest, *, place: int, new_id: Callable[[], str]) -> Slide:
    """One page with its defaults; `place` is 1-based."""
    return Slide(
        id=request.id or new_id(),
        page_num=request.page_num or place,
        type=request.type or "content",
        title=request.title,
        content_text=request.content_text or "",
        visual_desc=request.visual_desc or "",
    )


def read_ratio(text: str | None) -> Ratio:
    r"""The ratio a request names, 16:9 when it names none.

    Raises:
        InvalidRequest: it is none (JSON Schema's pattern lets `16:9\\n` through).
    """
    try:
        return parse_ratio(text or "16:9")
    except ValueError as error:
        raise InvalidRequest(str(error), ("body", "aspect_ratio")) from error


def _refuse_repeated_ids(slides: tuple[Slide, ...]) -> None:
    places: dict[str, int] = {}
    for place, slide in enumerate(slides):
        if places.setdefault(slide.id, place) != place:
            message = f"slides {places[slide.id] + 1} and {place + 1} have the same id"
            raise InvalidRequest(message, ("body", "slides", place, "id"))
