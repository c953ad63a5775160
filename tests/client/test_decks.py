"""Decks read from files, as the page reads them."""

from pathlib import Path
from typing import Any

import pytest

from slideloom.client import UnreadableDeck, load_deck, parse_deck


def pages(text: str) -> list[Any]:
    slides = parse_deck(text)["slides"]
    assert isinstance(slides, list)
    return slides


def test_markdown_becomes_slides() -> None:
    text = """---
title: front matter
---
# Hello **world**

![a lighthouse at dawn](x.png)
- one
- `two` and [three](http://x)

---
# Code
```sh
# no heading
```
<!-- a note -->
# Thank you
"""
    assert pages(text) == [
        {
            "id": "slide-1",
            "title": "Hello world",
            "content_text": "• one\n• two and three",
            "visual_desc": "a lighthouse at dawn",
            "type": "cover",
        },
        {
            "id": "slide-2",
            "title": "Code",
            "content_text": "```sh\n# no heading\n```",
            "visual_desc": "",
            "type": "content",
        },
        {
            "id": "slide-3",
            "title": "Thank you",
            "content_text": "",
            "visual_desc": "",
            "type": "ending",
        },
    ]


def test_code_between_fences_is_kept_as_it_is() -> None:
    code = "~~~~yaml\n---\n# no slide\n\n\n\n```\n~~~\n> - ![x](y)\n<!-- kept -->\n~~~~"
    (cover, page) = pages(f"# A\n\n# B\n- one\n{code}\ntwo\n<!--\n```\nnotes\n```\n-->")
    assert cover["title"] == "A"
    assert page["content_text"] == f"• one\n{code}\ntwo"
    assert page["visual_desc"] == ""


def test_page_that_is_all_code_has_no_title() -> None:
    (page,) = pages("```sh\nls\n```")
    assert (page["title"], page["content_text"]) == ("", "```sh\nls\n```")


def test_fence_in_a_line_is_none() -> None:
    assert [page["title"] for page in pages("# A\n```x``` y\n# B")] == ["A", "B"]


def test_quotes_keep_their_words_without_the_marks() -> None:
    (page,) = pages("# A\n> be **brief**\n> - one\n>> two\n")
    assert page["content_text"] == "be brief\n• one\ntwo"


def test_second_level_parts_slides_where_the_first_is_only_the_title() -> None:
    assert [page["title"] for page in pages("# Deck\n## One\ntext\n## Two\ntext")] == [
        "Deck",
        "One",
        "Two",
    ]


def test_json_comes_as_request_or_as_list() -> None:
    assert parse_deck('[{"title": "x"}]') == {"slides": [{"title": "x"}], "style_prompt": ""}
    deck = parse_deck('{"slides": [{"title": "x"}], "style_prompt": "s", "max_workers": 2}')
    assert deck["max_workers"] == 2


@pytest.mark.parametrize(
    "text", ["", "   ", "{", '{"slides": 3}', '{"slides": []}', '["a"]', '[{"a":' * 5000]
)
def test_what_is_no_deck_is_said(text: str) -> None:
    with pytest.raises(UnreadableDeck):
        parse_deck(text)


def test_encodings_of_old_editors_are_read(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "gb18030"):
        (tmp_path / "deck.md").write_bytes("# 你好世界".encode(encoding))
        slides: Any = load_deck(tmp_path / "deck.md")["slides"]
        assert slides[0]["title"] == "你好世界"
    (tmp_path / "deck.md").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff")
    with pytest.raises(UnreadableDeck, match="neither"):
        load_deck(tmp_path / "deck.md")


def test_strange_text_takes_no_time() -> None:
    assert pages("[" * 100_000 + "\n" + "![" * 50_000)
