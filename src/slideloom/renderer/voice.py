"""How a deck speaks: type, corners, rules and marks, read from the style prompt once per deck."""

import re
from typing import Literal, TypeAlias

import msgspec

VoiceName: TypeAlias = Literal["clean", "tech", "editorial", "soft", "minimal"]


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """The manners that all pages of a deck share."""

    name: VoiceName
    """Chooses drawn details: the mark at the title, bullets, the ground's texture."""
    serif: bool
    """Whether titles in Latin letters are set in a serif face."""
    radius: float
    """Corner radius of panels and cards, in units of the page."""
    rule: float
    """Weight of drawn lines, in units of the page."""


_VOICES: tuple[tuple[str, Voice], ...] = (
    (
        r"杂志|文艺|编辑|优雅|经典|国风|中国风|水墨|古风|奢华|高端|黑金|editorial|magazine|elegant|classic|serif|luxur|literary",
        Voice(name="editorial", serif=True, radius=0, rule=1.5),
    ),
    (
        r"科技|未来|赛博|代码|程序|工业|数字|tech|developer|cyber|neon|futur|monospace|terminal|engineer|\bcode\b|\bai\b",
        Voice(name="tech", serif=False, radius=8, rule=2),
    ),
    (
        r"温暖|暖|可爱|童趣|卡通|活泼|亲切|圆润|柔和|插画|自然|清新|warm|cute|playful|cartoon|friendly|soft|round|kids|natur|organic|fun\b",
        Voice(name="soft", serif=False, radius=30, rule=3),
    ),
    (
        r"极简|简约|黑白|minimal|swiss|monochrome|bauhaus",
        Voice(name="minimal", serif=False, radius=0, rule=2),
    ),
    (
        r"学术|论文|academic|research|scholar",
        Voice(name="editorial", serif=True, radius=0, rule=1.5),
    ),
)
_CLEAN = Voice(name="clean", serif=False, radius=14, rule=2.5)


def find_voice(style_prompt: str) -> Voice:
    """Give the voice the prompt's words ask for; of several the one named first.

    "Dark developer talk, soft glow" is tech, not soft.
    """
    hits = [
        (found.start(), voice)
        for words, voice in _VOICES
        if (found := re.search(words, style_prompt, re.IGNORECASE))
    ]
    return min(hits, key=lambda hit: hit[0])[1] if hits else _CLEAN
