"""What users see of slides that have had several pictures."""

from typing import Any

from msgspec.structs import replace

from slideloom.domain.batch import SlideState, Version
from slideloom.domain.status import SlideResult, to_result
from tests.support.orders import slide


def version(number: int, **changes: Any) -> Version:
    facts: dict[str, Any] = {
        "image": f"picture-{number}.png",
        "width": 160,
        "height": 90,
        "aspect_ratio_ok": True,
        "provider": "p",
        "model": f"model-{number}",
        "cached": False,
        "final_prompt": f"prompt {number}",
        "revised_prompt": None,
        "generation_time_s": float(number),
        "made_at_s": 1_700_000_000.0 + number,
    }
    return Version(**facts | changes)


MADE_TWICE = SlideState(
    status="done",
    attempts=2,
    cost_usd=0.08,
    model="model-2",
    final_prompt="prompt 2",
    versions=(version(1, cached=True), version(2)),
    shown=1,
)


def shown(state: SlideState) -> SlideResult:
    return to_result(slide(1), state, "en")


def currents(result: SlideResult) -> list[bool]:
    return [one.current for one in result.versions]


def test_versions_are_numbered_from_one_and_the_shown_one_is_current() -> None:
    result = shown(MADE_TWICE)
    assert [one.n for one in result.versions] == [1, 2]
    assert [one.image_url for one in result.versions] == [
        "/assets/picture-1.png",
        "/assets/picture-2.png",
    ]
    assert result.versions[0].created_at == "2023-11-14T22:13:21.000Z"
    assert currents(result) == [False, True]
    assert (result.image_url, result.cached) == ("/assets/picture-2.png", False)


def test_restored_version_is_described_as_it_was_made_and_costs_stay_summed() -> None:
    result = shown(replace(MADE_TWICE, shown=0))
    assert currents(result) == [True, False]
    assert (result.image_url, result.cached) == ("/assets/picture-1.png", True)
    assert (result.final_prompt, result.model) == ("prompt 1", "model-1")
    assert result.generation_time == 1.0
    assert (result.attempts, result.cost_usd) == (2, 0.08)


def test_slide_whose_new_version_failed_shows_no_picture_and_keeps_its_versions() -> None:
    failure = replace(MADE_TWICE, status="error", error_code="timeout", possibly_billed=1)
    result = shown(failure)
    assert (result.image_url, result.width, result.aspect_ratio_ok) == (None, None, None)
    assert currents(result) == [False, False]
    assert result.error_message
    assert "may have been charged" in result.error_message


def test_slide_that_is_being_made_again_shows_no_picture() -> None:
    result = shown(replace(MADE_TWICE, status="generating"))
    assert (result.image_url, result.error_code) == (None, None)
    assert currents(result) == [False, False]
