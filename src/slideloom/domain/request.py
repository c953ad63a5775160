"""What users send, and how an order is made of it.

Numbers may come as `"1"` or `1.0` and unknown keys are ignored, as the original
service accepted. Source: contract sections 2 and 4.
"""

import base64
import re
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

MAX_COST_USD = 1_000_000
"""Of one deck: more is a slip of the hand."""

_DATA_URL = re.compile("data:", re.IGNORECASE)

_Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_PageNum = Annotated[int, Meta(ge=1, le=MAX_PAGE)]
_RatioText = Annotated[
    str,
    Meta(pattern=RATIO_PATTERN, description="`W:H`, one to four digits a side", examples=["16:9"]),
]


class SlideRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class GenerateRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    cache: bool | None = None
    """Default `true`: a picture made lately for a like request will do, and costs nothing."""
    max_cost_usd: Annotated[float, Meta(ge=0, le=MAX_COST_USD)] | None = None
    """No call begins that could take the batch over it; the server may set a lower limit."""
    style_reference: str | None = None
    """`cover`, a slide's id, or a picture's data URL: the style all pages are to have."""


class SingleRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    cost_limit_usd: float | None = None,
    new_id: Callable[[], str],
) -> BatchOrder:
    """The order a request makes: every default filled in, every limit applied.

    A reference picture that was sent along is not in it yet, see `read_data_url`.

    Raises:
        InvalidRequest: two slides share an id, the ratio is none, or there is no such reference.
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
        cache=request.cache is not False,
        max_cost_usd=_lower(request.max_cost_usd, cost_limit_usd),
        reference_place=_find_reference(request.style_reference, slides),
    )


def read_data_url(request: GenerateRequest) -> bytes | None:
    """The reference picture that was sent along, if one was.

    Raises:
        InvalidRequest: its data URL is none.
    """
    text = request.style_reference or ""
    if not _DATA_URL.match(text):
        return None
    try:
        return base64.b64decode(text.partition(",")[2], validate=True)
    except ValueError as error:
        message = "not a base64 data URL"
        raise InvalidRequest(message, ("body", "style_reference")) from error


def to_single(
    request: SingleRequest,
    *,
    session_id: str,
    cache: bool,
    cost_limit_usd: float | None = None,
    new_id: Callable[[], str],
) -> BatchOrder:
    """The page a single request orders, as a deck of one.

    Raises:
        InvalidRequest: the ratio is none.
    """
    page = SlideRequest(
        title=request.title or "",
        page_num=request.page_num,
        type=request.type,
        content_text=request.content_text,
        visual_desc=request.visual_desc,
    )
    ratio = read_ratio(request.aspect_ratio)
    return BatchOrder(
        session_id=session_id,
        slides=(to_slide(page, place=1, new_id=new_id),),
        style_prompt=request.style_prompt,
        max_workers=1,
        aspect_ratio=f"{ratio.width}:{ratio.height}",
        model=request.model or None,
        cache=cache,
        max_cost_usd=cost_limit_usd,
        is_single=True,
        names_pages=request.page_num is not None,
    )


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


def _find_reference(wanted: str | None, slides: tuple[Slide, ...]) -> int | None:
    """The place of the slide that is to be made first."""
    if not wanted or _DATA_URL.match(wanted):
        return None
    is_wanted = [slide.id == wanted for slide in slides]
    if wanted == "cover" and not any(is_wanted):
        is_wanted = [slide.type == "cover" for slide in slides]
    if not any(is_wanted):
        message = "neither cover (of which there is none), nor a slide's id, nor a data URL"
        raise InvalidRequest(message, ("body", "style_reference"))
    return is_wanted.index(True)


def _lower(one: float | None, other: float | None) -> float | None:
    limits = [limit for limit in (one, other) if limit is not None]
    return min(limits, default=None)


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
