"""Shape C as Google takes it: the fields a request may have, and the pixels of its pictures.

Source: provider contracts, sections 3.1 and 3.2; the other ratios from Google's own pixel tables.
"""

import re
from typing import Any, Final

import pybase64
from msgspec import Struct

_GEMINI_3_SIZES: Final = {
    "1:1": (1024, 1024),
    "2:3": (848, 1264),
    "3:2": (1264, 848),
    "3:4": (896, 1200),
    "4:3": (1200, 896),
    "4:5": (928, 1152),
    "5:4": (1152, 928),
    "9:16": (768, 1376),
    "16:9": (1376, 768),
    "21:9": (1584, 672),
}
_GEMINI_25_SIZES: Final = {
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:2": (1248, 832),
    "3:4": (864, 1184),
    "4:3": (1184, 864),
    "4:5": (896, 1152),
    "5:4": (1152, 896),
    "9:16": (768, 1344),
    "16:9": (1344, 768),
    "21:9": (1536, 672),
}
_FACTORS: Final = {"1K": 1, "2K": 2, "4K": 4}
_SIZELESS_MODELS: Final = ("gemini-2.5-flash-image", "gemini-2.0-")
"""Make 1K pictures and take no imageSize."""
_OLD_MODELS: Final = ("gemini-2.0-",)
"""Draw only beside text, and know no ratio."""
_REFERENCE_BYTES: Final = 7 * 1024 * 1024
"""Most that an inline picture may have."""
_PART_KINDS: Final = ("text", "inlineData", "fileData")
_FIELDS: Final[dict[str, frozenset[str]]] = {
    "": frozenset(
        [
            "contents",
            "systemInstruction",
            "generationConfig",
            "safetySettings",
            "tools",
            "toolConfig",
        ]
    ),
    "systemInstruction": frozenset({"role", "parts"}),
    "contents": frozenset({"role", "parts"}),
    "parts": frozenset({*_PART_KINDS, "thought", "thoughtSignature"}),
    "inlineData": frozenset({"mimeType", "data"}),
    "fileData": frozenset({"mimeType", "fileUri"}),
    "generationConfig": frozenset(
        [
            "responseModalities",
            "imageConfig",
            "candidateCount",
            "temperature",
            "topP",
            "topK",
            "maxOutputTokens",
            "seed",
            "thinkingConfig",
        ]
    ),
    "imageConfig": frozenset({"aspectRatio", "imageSize"}),
}
"""What each object may hold; what is not named here is not looked into."""
_STARTS: Final = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/webp": b"RIFF",
}


class Violation(Struct, frozen=True):
    """Why Google does not take a request."""

    message: str
    field: str = ""
    """Where it is, in Google's own writing."""


def choose_size(model: str, ratio: str, tier: str) -> tuple[int, int]:
    """Pixels of the model's pictures."""
    is_old = model.startswith(_SIZELESS_MODELS)
    sizes = _GEMINI_25_SIZES if is_old else _GEMINI_3_SIZES
    width_px, height_px = sizes.get(ratio, sizes["1:1"])
    factor = _FACTORS.get(tier, 1)
    return width_px * factor, height_px * factor


def find_violation(body: dict[str, Any], model: str) -> Violation | None:
    """What is wrong with a request; `None` when nothing is."""
    plain = to_camel(body)
    return (
        _find_unknown(plain, "", "")
        or _check_contents(plain)
        or _check_config(plain.get("generationConfig") or {}, model)
    )


def to_camel(node: Any) -> Any:
    """The same value, its names in Google's first spelling: it takes snake_case as well."""
    match node:
        case dict():
            return {_camel(name): to_camel(value) for name, value in node.items()}
        case list():
            return [to_camel(item) for item in node]
        case _:
            return node


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def _find_unknown(node: object, kind: str, path: str) -> Violation | None:
    """The first name that no such object has."""
    if isinstance(node, list):
        found = (_find_unknown(item, kind, f"{path}[{at}]") for at, item in enumerate(node))
        return next((violation for violation in found if violation), None)
    if not isinstance(node, dict) or kind not in _FIELDS:
        return None
    for name, value in node.items():
        if name not in _FIELDS[kind]:
            where = f" at '{path}'" if path else ""
            message = f'Invalid JSON payload received. Unknown name "{name}"{where}: '
            return Violation(f"{message}Cannot find field.", path)
        below = _find_unknown(value, name, f"{path}.{_snake(name)}".lstrip("."))
        if below:
            return below
    return None


def _check_contents(body: dict[str, Any]) -> Violation | None:
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        return Violation("* GenerateContentRequest.contents: contents is not specified\n")
    for at, content in enumerate(contents):
        where = f"GenerateContentRequest.contents[{at}].parts"
        parts = content.get("parts") if isinstance(content, dict) else None
        if not isinstance(parts, list) or not parts:
            return Violation(f"* {where}: contents.parts must not be empty.\n", where)
        if content.get("role", "user") not in {"user", "model"}:
            return Violation("Please use a valid role: user, model.", where)
        found = (_check_part(part, f"{where}[{number}]") for number, part in enumerate(parts))
        violation = next((one for one in found if one), None)
        if violation:
            return violation
    return None


def _check_part(part: object, where: str) -> Violation | None:
    kinds = [kind for kind in _PART_KINDS if isinstance(part, dict) and kind in part]
    if not isinstance(part, dict) or len(kinds) != 1:
        message = f"* {where}.data: required oneof field 'data' must have one initialized field\n"
        return Violation(message, where)
    return _check_reference(part["inlineData"], where) if "inlineData" in part else None


def _check_reference(blob: Any, where: str) -> Violation | None:
    """A picture that comes along must be one, of the type it says, and not too large."""
    try:
        raw = pybase64.b64decode(str(blob["data"]), validate=True)
    except (KeyError, TypeError, ValueError):
        return Violation(f"Invalid value at '{where}.inline_data.data': Base64 decoding failed")
    start = _STARTS.get(str(blob.get("mimeType")))
    if start is None:
        return Violation(f"Unsupported MIME type: {blob.get('mimeType')}", where)
    if len(raw) > _REFERENCE_BYTES:
        return Violation("Request payload size exceeds the limit: 7340032 bytes.", where)
    return None if raw.startswith(start) else Violation("Provided image is not valid.", where)


def _check_config(config: dict[str, Any], model: str) -> Violation | None:
    """Source: messages of the real service, as issues quote them."""
    modalities = [str(word).upper() for word in config.get("responseModalities") or ()]
    accepted = ["IMAGE, TEXT"] if model.startswith(_OLD_MODELS) else ["IMAGE, TEXT", "IMAGE"]
    asked = ", ".join(sorted(modalities))
    if modalities and asked not in accepted:
        return Violation(
            f"The requested combination of response modalities ({asked}) is not supported by the"
            f" model. models/{model} accepts the following combination of response modalities:\n* "
            + "\n* ".join(accepted)
        )
    image = config.get("imageConfig") or {}
    ratio, size = image.get("aspectRatio"), image.get("imageSize")
    if ratio is not None and model.startswith(_OLD_MODELS):
        return Violation("Aspect ratio is not enabled for this model")
    if ratio is not None and ratio not in _GEMINI_3_SIZES:
        return Violation(f"Invalid aspect_ratio {ratio!r}", "generation_config.image_config")
    if size is not None and model.startswith(_SIZELESS_MODELS):
        return Violation("Image size is not supported for this model")
    if size is not None and (size not in _FACTORS or (size != "1K" and "flash-lite" in model)):
        return Violation(f"Invalid image_size {size!r}", "generation_config.image_config")
    return None
