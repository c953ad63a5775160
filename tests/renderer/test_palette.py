"""Style prompts become the colours they name, and always legible ones."""

import pytest

from slideloom.renderer.colours import Rgb, contrast, from_hex
from slideloom.renderer.palette import Palette, parse_scheme
from slideloom.renderer.swatches import find_swatches
from tests.renderer.paper import DECK_NAMES, load_deck

PROMPTS = [
    "",
    "#ffffff #ffffff #ffffff",
    "#000000 #000000",
    "primary #808080 background #808080 text #808080 accent #808080",
    "white-on-white: background #FFFFFF, text #FEFEFE",
    "背景 #777777，文字 #787878，主色 #767676",
    "#zzz #12345 ### rgb(999,999,999) rgb(1,2)",
    "primary #ff0 background #fff text #ff0",
    "#F00 #0F0 #00F #FF0 #0FF #F0F",
    "红色背景，黄色文字",
    "深色科技，霓虹",
    "极简，黑白",
    "warm and friendly",
    "luxury black and gold",
    "ground #0f9d9a, ink #0f9d9a",
    "🎨" * 500,
    "#" * 5000,
    *(load_deck(name)[0].style_prompt for name in DECK_NAMES),
]


@pytest.mark.parametrize(
    ("prompt", "roles"),
    [
        (
            "主色 #0B3D91，辅色 #1FA2FF，背景 #F5F8FC，强调色 #FFB020",
            {"primary": "0b3d91", "secondary": "1fa2ff", "ground": "f5f8fc", "accent": "ffb020"},
        ),
        (
            "deep navy #0B1B2B ground, mint #42B883 and slate #35495E accents",
            {"ground": "0b1b2b", "accent": "42b883", "secondary": "35495e"},
        ),
        (
            "off-white #FAFAF7 ground, ink #1F2933 text, one teal accent #0F9D9A",
            {"ground": "fafaf7", "ink": "1f2933", "accent": "0f9d9a"},
        ),
        ("#fff background #000 text", {"ground": "ffffff", "ink": "000000"}),
        ("primary: #123456; background: #FEDCBA", {"primary": "123456", "ground": "fedcba"}),
        ("white text on #102030", {"ground": "102030"}),
        ("品牌色 #AA0000、底色 #FFFFFF、文字 #222222", {"primary": "aa0000", "ground": "ffffff"}),
        ("background rgb(10, 20, 30)", {"ground": "0a141e"}),
        ("background #11223344", {"ground": "112233"}),
        ("紫色背景，白色文字", {"ground": "7442b8", "ink": "ffffff"}),
    ],
)
def test_words_beside_a_colour_say_its_role(prompt: str, roles: dict[str, str]) -> None:
    found: dict[str | None, Rgb] = {swatch.role: swatch.colour for swatch in find_swatches(prompt)}
    assert {role: found.get(role) for role in roles} == {
        role: from_hex(code) for role, code in roles.items()
    }


def _contrasts(palette: Palette) -> list[float]:
    grounds = [palette.ground, palette.surface, palette.deep]
    texts = [palette.ink, palette.muted, palette.strong, palette.bright]
    return [
        contrast(from_hex(text[1:]), from_hex(ground[1:])) for text in texts for ground in grounds
    ]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_text_colour_reads_on_every_ground(prompt: str) -> None:
    scheme = parse_scheme(prompt)
    assert min(_contrasts(scheme.page) + _contrasts(scheme.cover)) >= 4.5


@pytest.mark.parametrize("prompt", PROMPTS)
def test_drawn_shapes_can_be_told_from_the_ground(prompt: str) -> None:
    for palette in (parse_scheme(prompt).page, parse_scheme(prompt).cover):
        ground = from_hex(palette.ground[1:])
        shapes = (palette.primary, palette.secondary, palette.accent)
        assert min(contrast(from_hex(shape[1:]), ground) for shape in shapes) >= 1.5


def test_the_grounds_a_user_names_are_kept_as_they_are() -> None:
    assert parse_scheme("背景 #F5F8FC，主色 #0B3D91").page.ground == "#f5f8fc"
    assert parse_scheme("deep navy #0B1B2B ground").page.ground == "#0b1b2b"


def test_a_light_deck_gets_its_cover_in_the_primary_colour() -> None:
    assert parse_scheme("背景 #F5F8FC，主色 #0B3D91").cover.ground == "#0b3d91"


@pytest.mark.parametrize(
    ("prompt", "dark"),
    [("深色科技", True), ("dark minimal", True), ("极简留白", False), ("warm", False), ("", False)],
)
def test_mood_words_choose_a_dark_or_a_light_ground(prompt: str, dark: bool) -> None:  # noqa: FBT001
    assert parse_scheme(prompt).page.dark is dark


def test_moods_look_clearly_different() -> None:
    moods = ["科技", "极简", "温暖", "自然", "商务", "赛博朋克", "中国风", "复古", "可爱", "黑金"]
    assert len({parse_scheme(mood).page.primary for mood in moods}) == len(moods)
