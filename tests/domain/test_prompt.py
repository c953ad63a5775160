"""The final prompt."""

from typing import Any

import pytest

from slideloom.domain.prompt import build_prompt, prompt_language
from slideloom.domain.ratio import Ratio
from tests.support.orders import slide


def test_prompt_has_its_parts_in_the_contracts_order() -> None:
    page = slide(
        title="Plan", content_text="• one\n• two", visual_desc="a loom at dawn", type="cover"
    )
    prompt = build_prompt(page, style_prompt="calm blue", ratio=Ratio(16, 9), language="en")
    places = [
        prompt.index(part)
        for part in ("calm blue", "a loom at dawn", "Title: Plan", "• one\n• two", "cover", "16:9")
    ]
    assert places == sorted(places)
    assert "No watermark" in prompt


@pytest.mark.parametrize("part", ["title", "content_text", "visual_desc"])
def test_empty_part_leaves_no_heading_behind(part: str) -> None:
    headings = {"title": "Title:", "content_text": "Content:", "visual_desc": "What this page"}
    page = slide(content_text="text")
    full = build_prompt(page, style_prompt="", ratio=Ratio(1, 1), language="en")
    assert headings[part] in full
    changes: dict[str, Any] = {"content_text": "text", part: "  \n"}
    page = slide(**changes)
    assert headings[part] not in build_prompt(
        page, style_prompt="", ratio=Ratio(1, 1), language="en"
    )
    assert "Style" not in full


def test_page_without_texts_asks_for_none() -> None:
    page = slide(title="", content_text="")
    assert "no text" in build_prompt(page, style_prompt="", ratio=Ratio(1, 1), language="en")


def test_braces_in_user_text_are_only_text() -> None:
    page = slide(title="{0} {style} %s", content_text="{}")
    prompt = build_prompt(page, style_prompt="{x}", ratio=Ratio(1, 1), language="zh")
    assert "{0} {style} %s" in prompt
    assert "{x}" in prompt


@pytest.mark.parametrize(
    ("title", "content", "language"),
    [
        ("批量图片生成", "AI-PPT Flow 项目进展汇报", "zh"),
        ("Batch pictures", "with 一 word", "en"),
        ("", "", "en"),
    ],
)
def test_instructions_follow_the_decks_texts(title: str, content: str, language: str) -> None:
    assert prompt_language([slide(title=title, content_text=content)], "calm") == language


def test_deck_without_texts_is_judged_by_its_descriptions() -> None:
    assert prompt_language([slide(title="", visual_desc="一束光")], "蓝色调") == "zh"
