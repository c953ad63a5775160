"""A deck's pictures as they are taken home."""

import pytest

from slideloom.domain.album import PaperSize, to_album, to_paper_size
from slideloom.domain.batch import fold
from slideloom.domain.events import BatchSubmitted, Event
from slideloom.domain.ratio import Ratio
from tests.domain.test_feed import done
from tests.support.orders import order, slide


def test_pages_are_in_page_order_and_what_is_missing_is_named() -> None:
    slides = (slide(3), slide(1), slide(2), slide(1, id="twin"))
    ends: list[Event] = [done(place, f"slide_{place}.png") for place in (0, 1, 3)]
    album = to_album(fold("b", [BatchSubmitted(at_s=1.0, order=order(slides)), *ends]))
    assert [page.image for page in album.pages] == ["slide_1.png", "slide_3.png", "slide_0.png"]
    assert album.missing == (2,)
    assert album.title == "Title 3"


@pytest.mark.parametrize("ratio", [Ratio(16, 9), Ratio(9, 16), Ratio(1921, 1080), Ratio(1, 1)])
def test_paper_has_the_ratio_that_was_ordered(ratio: Ratio) -> None:
    paper = to_paper_size(ratio)
    assert paper.width_in / paper.height_in == pytest.approx(ratio.width / ratio.height)
    assert max(paper.width_in, paper.height_in) == pytest.approx(13.333, abs=0.001)


def test_extreme_paper_is_as_wide_as_programs_need() -> None:
    assert to_paper_size(Ratio(9999, 1)).height_in == 1.0


def test_picture_of_another_ratio_lies_in_the_middle_undistorted() -> None:
    left, top, width, height = PaperSize(16, 9).fit(width_px=500, height_px=500)
    assert (left, top, width, height) == (3.5, 0, 9, 9)
