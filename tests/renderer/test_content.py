"""Content texts become the blocks their lines look like."""

import pytest

from slideloom.renderer.content import Block, parse_content, parse_lines
from slideloom.renderer.glyphs import clean_line, loses
from slideloom.renderer.inline import CUT, plain_text, split_runs
from slideloom.renderer.layout import PageFacts, choose_layout


def _kinds(text: str, title: str = "") -> list[str]:
    return [block.kind for block in parse_content(text, title=title)]


def _texts(block: Block) -> list[str]:
    return [plain_text(item.text) for item in block.items]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", []),
        ("  \n\n::\n---", []),
        ("• one\n• two", ["bullets"]),
        ("- one\n* two\n+ three", ["bullets"]),
        ("1. one\n2) two\n3、three", ["steps"]),
        ("① 甲\n② 乙\n（3）丙\n四、丁", ["steps"]),
        ("1.5 million users live here and all of them like numbers", ["para"]),
        ("key: value here\nother: second value", ["pairs"]),
        ("• slides：每页的标题\n• style_prompt：整套风格", ["pairs"]),
        ("5 页：从 125 秒到 27 秒\n20 页：从 500 秒到 100 秒\n单页成本不变", ["figures", "para"]),
        ("吞吐量：8.3×\n延迟：125 ms", ["figures"]),
        ("# Head\ntext that goes on for a while, as texts do", ["heading", "para"]),
        ("Label\n• point", ["heading", "bullets"]),
        ("antfu\nantfu7\nantfu.me", ["chips"]),
        ("```\nx = 1\n```", ["code"]),
        ("const a = ref(0);\nfoo(a);", ["code"]),
        ("| a | b |\n|---|---|\n| 1 | 2 |", ["table"]),
        ("Lead sentence, which is rather long.\n• a\n• b", ["para", "bullets"]),
        ("https://github.com/vuejs/rfcs/pull/212", ["para"]),
        ("Likely to be shipped with Vue 3.1", ["para"]),
    ],
)
def test_lines_are_taken_for_what_they_look_like(text: str, kinds: list[str]) -> None:
    assert _kinds(text) == kinds


def test_indents_give_levels() -> None:
    (block,) = parse_content("• a\n  • b\n      • c")
    assert [item.level for item in block.items] == [0, 1, 2]


def test_steps_keep_their_own_numbers() -> None:
    (block,) = parse_content("3. three\n4. four")
    assert [item.mark for item in block.items] == ["3", "4"]


def test_a_change_gives_bars_in_proportion() -> None:
    block = parse_content("5 页：从 125 秒到 25 秒\n20 页：从 500 秒到 100 秒")[0]
    assert [item.bars for item in block.items] == [(1.0, 0.2), (1.0, 0.2)]
    assert _texts(block)[0] == "从 125 秒到 25 秒"


def test_a_first_line_that_repeats_the_title_is_said_once() -> None:
    assert _kinds("Sponsor us at GitHub", title="Sponsor me at GitHub") == ["para"]
    assert _kinds("Sponsor me at GitHub", title="Sponsor  me at github") == []


def test_emphasis_and_links_lose_their_marks() -> None:
    assert split_runs("a **b** `c` [d](https://x.y) *e*") == (
        ("a ", ""), ("b", "b"), (" ", ""), ("c", "c"), (" ", ""), ("d", ""), (" *e*", ""),
    )  # fmt: skip


def test_long_words_may_break_and_number_ranges_may_not() -> None:
    assert plain_text(split_runs("sessions/{session_id}_{action}.json")) == (
        "sessions/{session_id}_{action}.json"
    )
    assert "\u200b" in split_runs("sessions/{session_id}_{action}.json")[0][0]
    assert split_runs("3–5 s")[0][0] == "3\u2060–\u20605 s"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("📝 Text", "• Text"),
        ("a\x00b\x07c\u202ed\ud800e", "abcde"),
        ("👩\u200d💻x", "•x"),
        ("👍🏽 🇩🇪 ✅", "• • ✓"),
        ("cafe\u0301", "café"),
        ("1\ufe0f\u20e3 one", "1 one"),
        ("✔ done", "✓ done"),
        ("Ⅷ №", "Ⅷ №"),
        ("Łódź", "Łódź"),
        ("한국", ""),
    ],
)
def test_what_no_font_draws_is_gone_or_replaced(raw: str, clean: str) -> None:
    assert clean_line(raw) == clean


def test_endless_texts_are_cut_with_an_ellipsis() -> None:
    block = parse_content("\n".join(f"• point {n}" for n in range(5000)))[0]
    assert len(block.items) < 150
    assert _texts(block)[-1] == "…"
    assert _texts(parse_content("x" * 100_000)[0])[0].endswith("…")


def test_what_a_user_sends_never_looks_like_a_cut_of_ours() -> None:
    assert CUT not in clean_line(f"so{CUT} on")


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("plain, 中文, cafe\u0301, ✅ ➜", False), ("a\x00\u202eb\u200d\ufeff", False),
        ("ship it 🚀", True), ("한국", True), ("ไทย", True), ("नमस्ते", True),
    ],
)  # fmt: skip
def test_what_no_font_draws_is_told(text: str, lost: bool) -> None:  # noqa: FBT001
    assert loses(text) is lost


def test_cover_lines_stay_lines_and_keep_their_numbers() -> None:
    lines = parse_lines("• a\n\n1. b\n2) c\n三、d\n（4）e")
    assert [plain_text(line) for line in lines] == ["a", "1. b", "2) c", "三、d", "（4）e"]


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("", "section"),
        ("a brief go-through", "section"),
        ("One sentence that says it all, and takes its time about it.", "statement"),
        ("• a\n• b\n• c", "rows"),
        ("1. a\n2. b\n3. c", "timeline"),
        ("\n".join(f"• {n}" for n in range(8)), "columns"),
        ("延迟：125 ms\n吞吐量：8.3×", "figures"),
        ("text, text, text.\nMore text, more text, more.", "flow"),
    ],
)
def test_the_arrangement_follows_the_content(text: str, layout: str) -> None:
    facts = PageFacts(
        kind="content",
        title_weight=4,
        has_lines=False,
        blocks=parse_content(text),
        turn=2,
        pictured=False,
    )
    assert choose_layout(facts) == layout
