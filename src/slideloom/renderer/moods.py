"""Moods: colour sets for prompts that name no colour, chosen by their words."""

import re

import msgspec

from slideloom.renderer.colours import Rgb, from_hex


class Seeds(msgspec.Struct, frozen=True, kw_only=True):
    """The five colours everything else is mixed from."""

    ground: Rgb
    """The page."""
    ink: Rgb
    """Text."""
    primary: Rgb
    """The deck's colour."""
    secondary: Rgb
    """Its companion."""
    accent: Rgb
    """Used once a page."""


def _seeds(codes: str) -> Seeds:
    ground, ink, primary, secondary, accent = (from_hex(code) for code in codes.split())
    return Seeds(ground=ground, ink=ink, primary=primary, secondary=secondary, accent=accent)


DEFAULT = _seeds("F7F8FB 172033 3454D1 22B8CF FF8A3D")
"""For prompts that say nothing of colour or mood."""

MOODS: tuple[tuple[re.Pattern[str], Seeds], ...] = tuple(
    (re.compile(words, re.IGNORECASE), _seeds(codes))
    for words, codes in (
        (r"赛博|霓虹|cyber|neon|synthwave|vaporwave", "0D0B21 F3EEFF 8B5CF6 22D3EE FF3D9A"),
        (r"水墨|国风|中国风|古风|禅|ink.?wash|oriental|zen", "F6F2E8 23211D 2F4A46 8C8577 B5362B"),
        (r"黑金|奢华|高端|尊贵|luxur|premium", "14110D F4ECDD C9A24B 8A6D3B E8CF8F"),
        (r"复古|怀旧|retro|vintage", "F5EAD3 372B24 A9472F 2F6F6D E0A22B"),
        (
            r"可爱|童趣|卡通|活泼|俏皮|cute|playful|cartoon|kids|fun\b",
            "FFF7F3 3A2A3F 7C5CE0 3CB8C9 FFB21E",
        ),
        (r"医疗|健康|medical|health|clinic", "F3FAFB 12313A 0E7C86 6FC3C0 F28C5B"),
        (
            r"自然|生态|环保|绿色|植物|森林|nature|natural|organic|eco\b|forest|botanic|garden",
            "F5F8F0 1D3324 2E7D4F 8DBB6C E3A93C",
        ),
        (
            r"温暖|暖|亲切|家居|warm|cozy|cosy|friendly|autumn|秋",
            "FFF8EF 3B2417 C2542F E8A25C 3F7F7A",
        ),
        (r"海洋|清新|清爽|fresh|ocean|sea\b|summer|夏", "F2FAFC 10303F 0C7BA8 4CC9C0 FF9F6E"),
        (r"浪漫|柔和|梦幻|romantic|soft|pastel|dreamy", "FCF7FA 3A2B3C 9A5BA5 7FB3D5 F29CA3"),
        (
            r"科技|未来|智能|数字化|人工智能|tech|futur|digital|developer|cyber|data|\bai\b|code|代码",
            "0A1526 E9F1FF 2F7BF6 21C7E8 FFB547",
        ),
        (r"极简|简约|极致简洁|minimal|swiss|monochrome|黑白", "FAFAF8 17181A 1D1F24 9AA0A8 E5482D"),
        (
            r"杂志|文艺|编辑|editorial|magazine|elegant|优雅|classic|经典",
            "FAF8F3 1F2328 7A2E3A B99A7B C9852F",
        ),
        (
            r"学术|论文|教育|academic|research|education|school|university",
            "FCFCFA 22263A 2F4B7C 6F9BB8 C2572B",
        ),
        (
            r"商务|企业|专业|正式|金融|business|corporate|professional|consult|finance|formal",
            "FFFFFF 182338 1B3A6B 5B8DB8 D98E2B",
        ),
        (r"深色|暗色|黑色|夜|dark|night|black", "111419 EDF0F5 5B8CFF 3FD0C9 FFB454"),
    )
)
"""From the special to the general: the first whose words are in the prompt wins."""

_DARK = re.compile(
    r"深色|暗色|暗黑|黑色背景|黑底|夜间|夜晚|星空|宇宙|\bdark\b|\bnight\b|midnight"
    r"|black background",
    re.IGNORECASE,
)
_LIGHT = re.compile(
    r"浅色|亮色|明亮|白底|白色背景|留白|\blight\b(?! (?:beam|track|ray))|\bbright\b"
    r"|white background",
    re.IGNORECASE,
)


def find_mood(prompt: str) -> Seeds:
    """Give the colours of the first mood the prompt's words name, else the default."""
    return next((seeds for words, seeds in MOODS if words.search(prompt)), DEFAULT)


def wants_dark(prompt: str) -> bool:
    """Whether the prompt asks for a dark ground."""
    return bool(_DARK.search(prompt))


def wants_light(prompt: str) -> bool:
    """Whether the prompt asks for a light ground."""
    return bool(_LIGHT.search(prompt)) and not wants_dark(prompt)
