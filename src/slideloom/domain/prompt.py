"""The final prompt: what a paid image model is told, readable by people.

Order: style, the page's description, the texts to draw word for word, what the
kind of page asks for, ratio and prohibitions. Source: contract section 2.
"""

import re
from collections.abc import Iterable
from typing import Literal

from slideloom.domain.messages import Language
from slideloom.domain.ratio import Ratio
from slideloom.domain.slide import Slide, SlideKind

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+")

_Part = Literal["style", "page", "texts", "title", "content", "no_texts", "ratio"]

_WORDS: dict[Language, dict[_Part, str]] = {
    "en": {
        "style": "Style of the whole deck:\n{}",
        "page": "What this page shows:\n{}",
        "texts": "Draw exactly these texts, word for word, and no others:",
        "title": "Title: {}",
        "content": "Content:\n{}",
        "no_texts": "Draw no text at all.",
        "ratio": "Aspect ratio {}. No watermark, no logo, no other text.",
    },
    "zh": {
        "style": "整套风格：\n{}",
        "page": "本页画面：\n{}",
        "texts": "画面中只出现以下文字，逐字照写：",
        "title": "标题：{}",
        "content": "正文：\n{}",
        "no_texts": "画面中不出现任何文字。",
        "ratio": "画面比例 {}。不要水印，不要徽标，不要任何其他文字。",
    },
}

_KINDS: dict[Language, dict[SlideKind, str]] = {
    "en": {
        "cover": "This is the cover of a presentation: one strong picture,"
        " the title large, generous space.",
        "content": "This is a content page of a presentation: clear hierarchy, legible text, "
        "the picture supports what is said.",
        "ending": "This is the closing page of a presentation: calm,"
        " echoing the cover, the text large.",
    },
    "zh": {
        "cover": "这是演示文稿的封面：画面有力，标题醒目，留白充足。",
        "content": "这是演示文稿的内容页：层次分明，文字清晰易读，画面服务于内容。",
        "ending": "这是演示文稿的结束页：沉静收束，与封面呼应，文字醒目。",
    },
}


def prompt_language(slides: Iterable[Slide], style_prompt: str) -> Language:
    """The language of the instructions: Chinese when the deck's texts mostly are.

    A Han character counts like a Latin word. A deck without texts to draw is
    judged by its descriptions and its style.
    """
    slides = tuple(slides)
    texts = "\n".join(f"{slide.title}\n{slide.content_text}" for slide in slides)
    if not texts.strip():
        texts = "\n".join(slide.visual_desc for slide in slides) + style_prompt
    han, latin = len(_HAN.findall(texts)), len(_LATIN_WORD.findall(texts))
    return "zh" if han > latin else "en"


def build_prompt(slide: Slide, *, style_prompt: str, ratio: Ratio, language: Language) -> str:
    """The final prompt of one slide; an empty part leaves no heading behind."""
    words = _WORDS[language]
    parts = [
        words["style"].format(style_prompt.strip()) if style_prompt.strip() else "",
        words["page"].format(slide.visual_desc.strip()) if slide.visual_desc.strip() else "",
        _texts_to_draw(slide, words),
        _KINDS[language][slide.type],
        words["ratio"].format(ratio),
    ]
    return "\n\n".join(part for part in parts if part)


def _texts_to_draw(slide: Slide, words: dict[_Part, str]) -> str:
    texts = [
        words["title"].format(slide.title) if slide.title.strip() else "",
        words["content"].format(slide.content_text) if slide.content_text.strip() else "",
    ]
    texts = [text for text in texts if text]
    return "\n".join([words["texts"], *texts]) if texts else words["no_texts"]
