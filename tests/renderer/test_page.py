"""Typeset pages hold all their text, on the page, in our fonts, nothing over anything else."""

import re

import pytest

from slideloom.renderer import SlideText
from slideloom.renderer.glyphs import MONO_RANGES, SERIF_RANGES, clean_line, drawable
from slideloom.renderer.motifs import CALM, COVER_CALM, MOTIF_WORDS, choose_motif
from slideloom.renderer.page import compose, shape_of, size_px
from tests.renderer.paper import (
    DECK_NAMES,
    RATIOS,
    Page,
    load_deck,
    make_slide,
    misplaced,
    read_page,
    tofu_error,
    typesetter,
)

OUR_FONTS = ("NotoSansSC-", "LibertinusSerif-", "DejaVuSansMono")
LONG_ZH = "在大规模并发图片生成场景下，如何通过信号量限流、断点续传与幂等键保证每一页都恰好生成一次"
LONG_EN = "A Very Long Title About Idempotency, Back-Pressure and the Ways in Which Things Fail "
CODE = "```\ndef f(x):\n    return '#no $x$'\n```\nThe function is **pure**."
HOSTILE = {
    "typst code": (
        '#panic("x") $1$ *b* _i_ @ref <l> \\ "q"',
        '#include "x"\n$a^2$ @cite <l> //c /*x*/',
    ),
    "control characters": ("a\x00b\x1b[0m\u202eRTL\u2066x", "•\x00\n\x01\x02\n\ud800\udfff"),
    "endless title": ("x" * 3000, "y" * 100_000),
    "endless Chinese": ("超" * 3000, "长文" * 50_000),
    "two hundred bullets": ("两百条", "\n".join(f"• 第 {n} 条" for n in range(200))),
    "emoji only": ("😀😀", "• 👩‍💻\n• 🎉"),
    "scripts": ("混排 Łódź Ελλάδα", "• Привет\n• こんにちは\n• مرحبا\n• שלום\n• 한국\n• ไทย"),
    "zero width": ("\u200b\u2060\ufeff", "\u200d" * 500),
    "nothing": ("", ""),
    "no title": ("", "• a\n• b"),
    "long titles": (LONG_ZH, LONG_EN * 4),
    "code": ("Code", CODE),
    "wide table": ("T", "\n".join("|" + "cell|" * 30 for _ in range(40))),
    "long words in cards": (
        "Cards",
        "• Donaudampfschifffahrt\n• Kapitänsmützenfabrik\n• Rindfleisch",
    ),
    "deep numbers": ("9" * 400, "\n".join(f"{'9' * 30}. {'8' * 60}%" for _ in range(4))),
    "pairs": ("P", "\n".join(f"key{n}: {'value ' * n}" for n in range(9))),
    "steps": ("S", "\n".join(f"{n}. {'step ' * n}" for n in range(1, 5))),
    "figures": ("F", "latency: 125 ms\nspeed: 8.3×\nrate: 99.95%\ncost: $0.134"),
}


def _faults(slide: SlideText) -> list[str]:
    page = read_page(slide)
    faults = misplaced(page)[:3]
    faults += [f"font {name}" for name in page.fonts if not name.startswith(OUR_FONTS)]
    if page.page_count != 1:
        faults.append(f"{page.page_count} pages")
    return faults


def _words(slide: SlideText) -> set[str]:
    text = "\n".join(
        clean_line(line) for line in f"{slide.title}\n{slide.content_text}".split("\n")
    )
    return set(re.findall(r"[^\W_]+", text))


def _missing(slide: SlideText, page: Page) -> set[str]:
    shown = page.text.replace("\u200b", "").replace("\u2060", "")
    return {word for word in _words(slide) if word not in shown}


def test_the_check_itself_finds_text_over_text_and_off_the_page() -> None:
    page = read_page(make_slide("Title", "text"))
    first, *rest = page.glyphs
    moved = Page(page.width, page.height, (first, *rest, rest[2]), page.fonts, 1)
    assert not misplaced(page)
    assert not misplaced(moved)  # the very same box twice is a ligature
    shifted = type(first)(first.char, first.left + 2, first.bottom, first.right + 2, first.top)
    beyond = type(first)(first.char, -4, first.bottom, 6, first.top)
    assert misplaced(Page(page.width, page.height, (first, shifted), page.fonts, 1))
    assert misplaced(Page(page.width, page.height, (beyond,), page.fonts, 1))


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.slow
def test_a_handful_of_pages_is_set_without_fault(ratio: tuple[int, int]) -> None:
    slides = [*load_deck("batch-report-zh", ratio)[::3], *load_deck("slidev-starter", ratio)[1:4]]
    assert [fault for slide in slides for fault in _faults(slide)] == []
    assert [tofu_error(slide) for slide in slides if tofu_error(slide)] == []
    assert [_missing(slide, read_page(slide)) for slide in slides] == [set()] * len(slides)


@pytest.mark.long
@pytest.mark.parametrize("ratio", [*RATIOS, (21, 9), (2, 3), (3, 1)])
@pytest.mark.parametrize("name", DECK_NAMES)
def test_every_page_of_the_decks_is_set_without_fault(name: str, ratio: tuple[int, int]) -> None:
    for slide in load_deck(name, ratio):
        assert _faults(slide) == [], slide.title
        assert tofu_error(slide) is None, slide.title
        assert _missing(slide, read_page(slide)) == set(), slide.title


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.slow
def test_hostile_texts_give_a_sane_page(case: str) -> None:
    title, content = HOSTILE[case]
    slide = make_slide(title, content)
    assert _faults(slide) == []
    assert tofu_error(slide) is None


@pytest.mark.long
@pytest.mark.parametrize("kind", ["cover", "content", "ending"])
@pytest.mark.parametrize("ratio", [*RATIOS, (21, 9), (40, 1), (1, 40)])
@pytest.mark.parametrize("style", ["", "editorial", "warm, soft", "dark tech", "minimal"])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_texts_give_sane_pages_everywhere(
    case: str, style: str, ratio: tuple[int, int], kind: str
) -> None:
    title, content = HOSTILE[case]
    slide = make_slide(title, content, kind=kind, ratio=ratio, style_prompt=style)  # type: ignore[arg-type]  # parametrised
    assert _faults(slide) == []
    assert tofu_error(slide) is None


NUMBERED = "\n".join(
    f"{n}. Step {n}: do what step{n}word says, and report on it" for n in range(1, 9)
)
PARAGRAPHS = "\n".join(
    f"Paragraph {n} tells at some length what was found in week{n}, and why." for n in range(1, 21)
)
CHINESE = "\n".join(
    f"第{n}段：服务在高并发之下依然稳定，成本保持不变，等待的时间缩短。" for n in range(1, 21)
)
LISTING = "```\n" + "\n".join(f"  value_{n} = compute{n}(x)" for n in range(1, 31)) + "\n```"
LONG_TEXTS = {
    "a cover with eight steps": ("cover", NUMBERED),
    "an ending with eight steps": ("ending", NUMBERED),
    "a cover with twenty paragraphs": ("cover", PARAGRAPHS),
    "a Chinese cover with twenty paragraphs": ("cover", CHINESE),
    "twenty paragraphs": ("content", PARAGRAPHS),
    "one paragraph of all": ("content", PARAGRAPHS.replace("\n", " ")),
    "one Chinese paragraph of all": ("content", CHINESE.replace("\n", "")),
    "thirty lines of code": ("content", LISTING),
    "forty steps": ("content", "\n".join(f"{n}. item{n} of the list" for n in range(101, 141))),
    "thirty rows": ("content", "\n".join(f"| row{n} | cell{n} |" for n in range(1, 31))),
    "mixed": ("content", f"Lead, said first.\n{NUMBERED}\nHead\n{LISTING}"),
}


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("case", LONG_TEXTS)
@pytest.mark.slow
def test_long_texts_are_on_the_page_to_the_last_word(case: str, ratio: tuple[int, int]) -> None:
    kind, text = LONG_TEXTS[case]
    slide = make_slide("A long text", text, kind=kind, ratio=ratio)  # type: ignore[arg-type]  # parametrised
    page = read_page(slide)
    assert _missing(slide, page) == set()
    assert not page.text_cut
    assert _faults(slide) == []


@pytest.mark.parametrize("kind", ["cover", "content", "ending"])
@pytest.mark.parametrize("text", [PARAGRAPHS * 5, CHINESE * 9, "endless " * 2000, LISTING * 4])
@pytest.mark.slow
def test_what_has_no_room_ends_in_an_ellipsis_and_is_told(kind: str, text: str) -> None:
    slide = make_slide("Too long", text, kind=kind)  # type: ignore[arg-type]  # parametrised
    page = read_page(slide)
    assert page.text_cut
    assert "…" in page.text
    assert _faults(slide) == []


def test_texts_that_are_whole_are_not_told_as_cut_whatever_they_say() -> None:
    assert not read_page(make_slide("And so on…", "text_cut…\u2060\nis a word…")).text_cut


def test_texts_that_no_page_of_this_shape_shows_are_told() -> None:
    assert read_page(make_slide("Strip", "has no room for this", ratio=(40, 1))).text_cut
    assert read_page(make_slide("Ship it 🚀")).text_cut
    assert read_page(make_slide("word " * 200)).text_cut


def test_letters_that_join_are_not_spaced() -> None:
    assert compose(make_slide("مرحبا")).joins
    assert not compose(make_slide("Hello, 世界")).joins


def test_texts_are_printed_as_they_are_and_never_run() -> None:
    page = read_page(make_slide('#let x = $1$ @ref <l> \\ "q"', "#panic() is text, not code: $x$"))
    assert '#let x = $1$ @ref <l> \\ "q"' in page.text
    assert "#panic() is text, not code: $x$" in page.text


def test_the_description_of_the_picture_is_never_printed() -> None:
    slide = make_slide("", "", visual_desc="A gauge with SECRET words", page_num=None)
    assert read_page(slide).text == ""


@pytest.mark.slow
def test_every_letter_the_helping_fonts_are_trusted_with_has_a_glyph() -> None:
    spans = (*SERIF_RANGES, *MONO_RANGES)
    letters = [chr(code) for first, last in spans for code in range(first, last + 1)]
    for start in range(0, len(letters), 90):
        line = " ".join(letters[start : start + 90])
        assert tofu_error(make_slide(line[:40], f"{line}\n**{line}**")) is None
    assert len(drawable()) > 30_000


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ((16, 9), (1920, 1080)), ((4, 3), (1920, 1440)), ((1, 1), (1920, 1920)),
        ((9, 16), (1080, 1920)), ((21, 9), (1920, 823)), ((1921, 1080), (1920, 1079)),
        ((9999, 1), (1920, 48)), ((1, 9999), (48, 1920)), ((9999, 9998), (1920, 1920)),
    ],
)  # fmt: skip
def test_the_long_side_is_1920_and_the_ratio_kept(
    ratio: tuple[int, int], size: tuple[int, int]
) -> None:
    assert size_px(ratio) == size
    page = read_page(make_slide("标题", "• a\n• b", ratio=ratio))
    assert (round(page.width), round(page.height)) == size
    assert _faults(make_slide("标题 Title", "• a\n• b", ratio=ratio)) == []


def test_square_and_tall_pages_have_their_own_compositions() -> None:
    assert [shape_of(*size_px(ratio)) for ratio in (*RATIOS, (30, 1))] == [
        "wide", "wide", "square", "tall", "strip",
    ]  # fmt: skip


@pytest.mark.parametrize("name", [name for name, _ in MOTIF_WORDS] + [*CALM, *COVER_CALM])
def test_every_motif_has_its_drawing(name: str) -> None:
    query = f'#import "motifs.typ": table\n#if "{name}" not in table {{ panic() }}'
    assert typesetter()._compiler.compile(query.encode(), format="pdf", sys_inputs=_sheet())


def _sheet() -> dict[str, str]:
    import msgspec  # noqa: PLC0415

    return {"sheet": msgspec.json.encode(compose(make_slide())).decode()}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("仪表盘上圆环进度与逐页小图", "gauge"), ("一排拼图，其中一块缺失", "puzzle"),
        ("沙漏与整洁的档案柜", "hourglass"), ("一条向远方延伸的道路", "road"),
        ("an isometric stack of layers", "layers"), ("柱状图，前后对比", "bars"),
    ],
)  # fmt: skip
def test_the_description_chooses_the_drawing(words: str, name: str) -> None:
    assert choose_motif(make_slide(visual_desc=words), 1).name == name


def test_no_motif_is_named_by_nothing() -> None:
    assert [name for name, words in MOTIF_WORDS if re.search(words, "")] == []


def test_pages_without_a_described_picture_take_turns() -> None:
    names = [choose_motif(make_slide("题"), turn).name for turn in range(12)]
    assert len(set(names)) == 12
