"""Shape C, Gemini `generateContent`: Google's own way."""

import re
from collections.abc import Iterator
from urllib.parse import quote

from slideloom.domain.ratio import Ratio
from slideloom.providers.answers import Answer, Json
from slideloom.providers.base import DrawOrder, Reference
from slideloom.providers.call import Ask
from slideloom.providers.complaints import find_complaint, list_dicts
from slideloom.providers.learned import UnknownWords
from slideloom.providers.ratios import name_ratio
from slideloom.providers.references import to_data_url

GEMINI_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
"""All that every Gemini model draws. Source: contracts 3.2."""
_IMAGE_SIZE = "1K"
"""The smallest that all models with a choice know; larger ones may cost more."""
_SIZELESS_MODELS = ("gemini-2.5-flash-image", "gemini-2.0-")
"""Models that make 1K and take no `imageSize`. Source: contracts 3.1."""
_MODEL_PREFIX = re.compile(r"(?:google/|models/)*")
"""How other providers, and Google itself, begin its models' names."""
_BAD_REQUEST = 400
_UNABLE = {
    "aspectRatio": re.compile(r"aspect[ _]?ratio.{0,40}not (?:enabled|supported)", re.IGNORECASE),
    "imageSize": re.compile(r"image[ _]?size.{0,40}not (?:enabled|supported)", re.IGNORECASE),
}
"""How a model says that it knows the field but not the thing. Source: issues that quote it."""
_OPTIONAL = ("imageSize", "aspectRatio", "imageConfig", "responseModalities")


class GeminiDialect:
    """How shape C is asked."""

    name = "gemini"

    def __init__(self) -> None:
        self._unknown = UnknownWords(_OPTIONAL)
        self._unable: set[tuple[str, str]] = set()
        self._talkers: set[str] = set()
        """Models that do not draw unless they may talk as well."""

    def authorize(self, key: str) -> dict[str, str]:
        """See `Dialect`."""
        return {"x-goog-api-key": key}

    def build(self, order: DrawOrder, model: str) -> Ask:
        """See `Dialect`."""
        name = _MODEL_PREFIX.sub("", model, count=1)
        parts: list[Json] = [{"text": order.prompt}]
        if order.reference is not None:
            parts.append(_show(order.reference))
        body: Json = {"contents": [{"role": "user", "parts": parts}]}
        if config := self._configure(order.ratio, name):
            body["generationConfig"] = config
        path = f"/models/{quote(name, safe='')}:generateContent"
        return Ask(model=name, path=path, body=body, has_reference=order.reference is not None)

    def learn(self, ask: Ask, answer: Answer) -> bool:
        """See `Dialect`: a field is left out, or text asked for as well (F22, F24)."""
        if answer.status != _BAD_REQUEST:
            return False
        asked = _list_words(ask.body)
        if self._unknown.learn(ask.model, asked, answer):
            return True
        complaint = find_complaint(answer, has_picture=False)
        words = complaint.message if complaint else ""
        if "response modalities" in words and asked.get("responseModalities") == ["IMAGE"]:
            self._talkers.add(ask.model)
            return True
        unable = [name for name, says in _UNABLE.items() if name in asked and says.search(words)]
        self._unable |= {(ask.model, name) for name in unable}
        return bool(unable)

    def find_addresses(self, item: Json) -> Iterator[str]:
        """See `Dialect`."""
        for candidate in list_dicts(item.get("candidates")):
            content = candidate.get("content")
            for part in list_dicts(content.get("parts") if isinstance(content, dict) else None):
                file = part.get("fileData") or part.get("file_data")
                if part.get("thought") is not True and isinstance(file, dict):
                    yield from _addresses_in(file)

    def _configure(self, ratio: Ratio, name: str) -> Json:
        """The words that say what kind of picture it shall be."""
        image: Json = {"aspectRatio": name_ratio(ratio, GEMINI_RATIOS)}
        if not name.startswith(_SIZELESS_MODELS):
            image["imageSize"] = _IMAGE_SIZE
        image = {key: value for key, value in image.items() if (name, key) not in self._unable}
        config: Json = {
            "responseModalities": ["TEXT", "IMAGE"] if name in self._talkers else ["IMAGE"]
        }
        if image := self._unknown.strip(name, image):
            config["imageConfig"] = image
        return self._unknown.strip(name, config)


def _show(reference: Reference) -> Json:
    """The part that brings a picture along; its type must be the true one, or Google refuses."""
    data = to_data_url(reference).partition(",")[2]
    return {"inlineData": {"mimeType": reference.media_type, "data": data}}


def _list_words(body: Json) -> Json:
    """The fields of a request that it can do without, on one level."""
    config: Json = body.get("generationConfig", {})
    return {**config, **config.get("imageConfig", {})}


def _addresses_in(file: Json) -> Iterator[str]:
    """All but those of Google's own storage, which cannot be fetched."""
    for key in ("fileUri", "file_uri"):
        address = file.get(key)
        if isinstance(address, str) and address and not address.startswith(("gs:", "data:")):
            yield address
