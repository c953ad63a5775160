"""Aspect ratios."""

import pytest

from slideloom.domain.ratio import Ratio, parse_ratio


@pytest.mark.parametrize("text", ["16:9", "1921:1080", "1:1", "9999:1"])
def test_ratio_of_up_to_four_digits_is_taken(text: str) -> None:
    width, height = map(int, text.split(":"))
    assert parse_ratio(text) == Ratio(width, height)


@pytest.mark.parametrize(
    "text", ["0:9", "16:9\n", "16/9", "16:9 ", "٣:٢", "-1:2", "10000:1", "", ":", "16:", "016:9"]
)
def test_what_is_no_ratio_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an aspect ratio"):
        parse_ratio(text)


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [(1920, 1080, True), (1376, 768, True), (1344, 768, True), (1024, 1024, False)],
)
def test_ratio_fits_within_three_percent(width: int, height: int, fits: bool) -> None:  # noqa: FBT001
    assert Ratio(16, 9).fits(width_px=width, height_px=height) is fits
