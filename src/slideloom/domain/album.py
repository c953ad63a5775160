"""A deck's pictures as they are taken home: which pages, in what order, on what paper."""

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from slideloom.domain.batch import BatchState
from slideloom.domain.ratio import Ratio, parse_ratio

_LONG_SIDE_IN = 40 / 3
"""Inches of a page's longer side: what presentation programs take for 16:9."""
_SHORT_SIDE_IN = 1.0
"""Presentation programs open no narrower page."""


class AlbumPage(Struct, frozen=True, kw_only=True):
    """One picture of a deck."""

    image: str
    """Its file name in the image store."""
    page_num: int
    title: str
    notes: str
    """The page's own text."""


class Album(Struct, frozen=True, kw_only=True):
    """The finished pages of a deck, in page order."""

    title: str
    """The first page's."""
    ratio: Ratio
    """As it was ordered: every page has it, whatever its picture's is."""
    pages: tuple[AlbumPage, ...]
    missing: tuple[int, ...] = ()
    """The page numbers of the slides that have no picture."""


class PaperSize(Struct, frozen=True):
    """A page's size in inches."""

    width_in: float
    height_in: float

    def fit(self, *, width_px: int, height_px: int) -> tuple[float, float, float, float]:
        """Left, top, width and height of a picture, as large as it fits, in the middle."""
        scale = min(self.width_in / width_px, self.height_in / height_px)
        width_in, height_in = width_px * scale, height_px * scale
        left_in, top_in = (self.width_in - width_in) / 2, (self.height_in - height_in) / 2
        return left_in, top_in, width_in, height_in


def to_paper_size(ratio: Ratio) -> PaperSize:
    """The page of that ratio; an extreme one is widened to what programs open."""
    longer = max(ratio.width, ratio.height)
    width_in, height_in = (_LONG_SIDE_IN * side / longer for side in (ratio.width, ratio.height))
    return PaperSize(max(width_in, _SHORT_SIDE_IN), max(height_in, _SHORT_SIDE_IN))


def to_album(state: BatchState) -> Album:
    """The batch's finished slides in page order; repeated page numbers stay in request order."""
    pages, missing = [], []
    for order, slide in zip(state.order.slides, state.slides, strict=True):
        picture = slide.picture
        if picture is None:
            missing.append(order.page_num)
            continue
        pages.append(
            AlbumPage(
                image=picture.image,
                page_num=order.page_num,
                title=order.title,
                notes=order.content_text,
            )
        )
    return Album(
        title=state.order.slides[0].title,
        ratio=parse_ratio(state.order.aspect_ratio),
        pages=in_page_order(pages),
        missing=tuple(missing),
    )


def name_files(pictures: Iterable[tuple[int, str]]) -> Iterator[str]:
    """What pictures are called at home, by page number: never by anything a user sent.

    Args:
        pictures: of each, in page order, the page number and its file's name or address here.
    """
    seen: Counter[int] = Counter()
    for page_num, image in pictures:
        seen[page_num] += 1
        repeat = f"_{seen[page_num]}" if seen[page_num] > 1 else ""
        yield f"slide_{page_num:03d}{repeat}.{image.rpartition('.')[2]}"


def in_page_order(pages: Iterable[AlbumPage]) -> tuple[AlbumPage, ...]:
    """By page number; those that share one stay in the order they come in."""
    return tuple(sorted(pages, key=lambda page: page.page_num))
