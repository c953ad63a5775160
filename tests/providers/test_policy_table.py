"""Every way an upstream can go wrong, through the whole path of a slide: code and paid calls.

The wanted code and number of calls stand with each fault in the emulator; `python -m
tests.bench.faults` prints the table.
"""

import asyncio
from pathlib import Path

import pytest

from slideloom.errors import UpstreamDown
from tests.providers.conftest import order
from tests.support.parts import MemoryDraft, MemoryImageStore
from tests.support.policy import list_cases, try_fault
from tests.support.providers import open_provider
from tests.support.upstream import FAULTS, Plan, Upstream, read_stamp
from tests.support.upstream.faults.base import ALL_SHAPES
from tests.support.upstream.plan import Shape

SCENARIOS = sorted({fault.scenario for fault in FAULTS.values()})
FORMS = (
    "F12_escaped_slashes",
    "F12_unicode_escapes",
    "F12_segments",
    "F12_pretty_json",
    "F12_comments",
    "F12_decoy",
    "F29_three",
    "F29_duplicates",
    "F30_stream_unasked",
    "F30_json_then_done",
    "X_gzip",
    "X_bom",
    "X_text_plain",
)
"""Odd ways to give a good answer."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # meant, in F26
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_fault_ends_in_its_code_after_its_number_of_calls(
    scenario: str, tmp_path: Path
) -> None:
    cases = list_cases(scenario)
    verdicts = await asyncio.gather(
        *(try_fault(fault, shape, tmp_path / shape / fault.name) for fault, shape in cases)
    )
    # All at once, the short time limits here may be missed on a busy machine: look again, alone.
    again = [
        await try_fault(one.fault, one.shape, tmp_path / "again" / one.shape / one.fault.name)
        for one in verdicts
        if not one.is_right
    ]
    assert [verdict for verdict in again if not verdict.is_right] == []


@pytest.mark.parametrize("shape", ALL_SHAPES)
@pytest.mark.parametrize("form", FORMS)
async def test_picture_comes_through_in_every_form(shape: Shape, form: str) -> None:
    async with Upstream() as upstream:
        assert await draw_part(upstream, shape, f"[[fault:{form}]]") == FAULTS[form].part


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ("images", "F29_stream_drafts"),
        ("chat", "F29_drafts"),
        ("gemini", "F29_thought_drafts"),
        ("gemini", "F29_thought_before_data"),
        ("gemini", "F29_thought_last"),
        ("gemini", "F29_thought_last_of_three"),
        ("gemini", "F29_stream_thoughts"),
    ],
)
async def test_final_picture_takes_the_place_of_its_drafts(shape: Shape, form: str) -> None:
    async with Upstream() as upstream:
        assert await draw_part(upstream, shape, f"[[fault:{form}]]") == "final"


@pytest.mark.slow
@pytest.mark.parametrize("shape", ALL_SHAPES)
async def test_marker_of_the_picture_may_be_cut_anywhere(shape: Shape) -> None:
    async with Upstream() as upstream:
        for offset in range(-30, 110, 3):
            assert await draw_part(upstream, shape, f"[[fault:F12_split:{offset}]]") == "final"


@pytest.mark.parametrize("shape", ALL_SHAPES)
async def test_answer_may_be_a_stream_or_json_in_any_framing(shape: Shape) -> None:
    plans = [Plan(framing="length"), Plan(framing="chunked"), Plan(framing="close")]
    for plan in (*plans, Plan(stream="always")):
        async with Upstream(plan) as upstream:
            assert await draw_part(upstream, shape) == "final"


@pytest.mark.parametrize("shape", ALL_SHAPES)
@pytest.mark.parametrize("page", ["X_html_200", "F25_502_html", "F25_524_html"])
async def test_web_page_means_that_the_provider_is_down(shape: Shape, page: str) -> None:
    async with Upstream() as upstream:
        with pytest.raises(UpstreamDown):
            await draw_part(upstream, shape, f"[[fault:{page}]]")


async def draw_part(upstream: Upstream, shape: Shape, marker: str = "") -> str:
    """Which of an answer's pictures one call leaves in the draft."""
    provider = open_provider(shape, base_url=upstream.base_url, key="sk-test", model="m")
    draft = MemoryDraft(MemoryImageStore())
    try:
        await provider.draw(order(f"a page {marker}"), draft)
    finally:
        await provider.close()
    stamp = read_stamp(draft._buffer.getvalue())
    assert stamp is not None
    return stamp.part
