"""What a call asks for, read from its path and body."""

import math
import re
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import Struct

from tests.support.upstream.google import choose_size, find_violation, to_camel
from tests.support.upstream.plan import MediaType, Plan, Shape

Dialect = Literal["openrouter", "openai", "google"]
"""Whose envelope errors and usage come in."""

_SIZES_1K: Final = {
    "1:1": (1024, 1024),
    "16:9": (1376, 768),
    "9:16": (768, 1376),
    "4:3": (1200, 896),
    "3:4": (896, 1200),
    "21:9": (1584, 672),
    "9:21": (672, 1584),
}
"""Pixels of Gemini 3 image models. Source: provider contracts, section 3.2."""
_TIERS: Final = {"0.5K": 0.5, "512": 0.5, "768": 0.75, "1K": 1.0, "1.5K": 1.5, "2K": 2.0, "4K": 4.0}
_PIXELS_PATTERN: Final = re.compile(r"(\d{1,4})[xX*](\d{1,4})")
_RATIO_PATTERN: Final = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)")
_MEDIA_TYPES: Final[dict[str, MediaType]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "webp": "image/webp",
}


class Ask(Struct, frozen=True, kw_only=True):
    """One call, understood."""

    shape: Shape
    dialect: Dialect
    model: str
    prompt: str
    width_px: int
    height_px: int
    media_type: MediaType
    count: int
    """Images wanted."""
    stream: bool
    body: dict[str, Any]


class BadAsk(ValueError):
    """The call's body cannot be understood."""

    def __init__(
        self, message: str, field: str = "", *, body: dict[str, Any] | None = None
    ) -> None:
        """Take the reason, where in the body it is, and the body if that could be read."""
        super().__init__(message)
        self.field = field
        self.body = body


def parse_ask(
    shape: Shape, dialect: Dialect, raw: bytes, *, plan: Plan, path_model: str = ""
) -> Ask:
    """Read a call's body.

    Raises:
        BadAsk: not a JSON object, no prompt, an impossible size, or what Google does not take.
    """
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise BadAsk(str(error)) from error
    if not isinstance(body, dict):
        message = "the body is not an object"
        raise BadAsk(message)
    if shape == "gemini":
        violation = find_violation(body, path_model)
        if violation:
            raise BadAsk(violation.message, violation.field, body=body)
        body = to_camel(body)
    prompt = _read_prompt(shape, body)
    if not prompt:
        message = "a prompt is required"
        raise BadAsk(message)
    width_px, height_px = _read_size(shape, body, path_model)
    return Ask(
        shape=shape,
        dialect=dialect,
        model=path_model or str(body.get("model", "")),
        prompt=prompt,
        width_px=width_px,
        height_px=height_px,
        media_type=_MEDIA_TYPES.get(str(body.get("output_format")), plan.media_type),
        count=body["n"] if isinstance(body.get("n"), int) else 1,
        stream=body.get("stream") is True,
        body=cast("dict[str, Any]", body),
    )


def size_for(ratio: str, tier: str = "1K") -> tuple[int, int]:
    """Pixels a Gemini-like model gives for a ratio; 1:1 when it is none."""
    factor = _TIERS.get(tier, 1.0)
    found = _RATIO_PATTERN.fullmatch(ratio)
    if ratio in _SIZES_1K or found is None:
        width_px, height_px = _SIZES_1K.get(ratio, _SIZES_1K["1:1"])
    else:
        share = float(found[1]) / float(found[2])
        width_px, height_px = _even(1024 * math.sqrt(share)), _even(1024 / math.sqrt(share))
    return int(width_px * factor), int(height_px * factor)


def _even(length_px: float) -> int:
    return max(8, round(length_px / 8) * 8)


def _read_prompt(shape: Shape, body: dict[str, Any]) -> str:
    match shape:
        case "images":
            prompt = body.get("prompt")
            return prompt if isinstance(prompt, str) else ""
        case "chat":
            messages = body.get("messages") or []
            return _read_text(messages[-1].get("content")) if messages else ""
        case "gemini":
            contents = body.get("contents") or []
            return _read_text(contents[-1].get("parts")) if contents else ""


def _read_text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            part["text"] for part in content if isinstance(part, dict) and "text" in part
        )
    return ""


def _read_size(shape: Shape, body: dict[str, Any], path_model: str) -> tuple[int, int]:
    match shape:
        case "images":
            size = str(body.get("size") or "")
            pixels = _PIXELS_PATTERN.fullmatch(size)
            if pixels is not None:
                return _check_size(int(pixels[1]), int(pixels[2]))
            tier = size if size in _TIERS else str(body.get("resolution") or "1K")
            return size_for(str(body.get("aspect_ratio") or "1:1"), tier)
        case "chat":
            config = body.get("image_config") or {}
            return size_for(
                str(config.get("aspect_ratio") or "1:1"), str(config.get("image_size") or "1K")
            )
        case "gemini":
            config = (body.get("generationConfig") or {}).get("imageConfig") or {}
            return choose_size(
                path_model,
                str(config.get("aspectRatio") or "1:1"),
                str(config.get("imageSize") or "1K"),
            )


def _check_size(width_px: int, height_px: int) -> tuple[int, int]:
    if min(width_px, height_px) < 1 or width_px * height_px > 40_000_000:
        message = f"no such size: {width_px}x{height_px}"
        raise BadAsk(message)
    return width_px, height_px
