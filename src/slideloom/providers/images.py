"""Shape A, images POST: `/images` at OpenRouter, `/images/generations` elsewhere."""

from collections.abc import Iterator

from slideloom.providers.answers import Answer, Json
from slideloom.providers.base import DrawOrder
from slideloom.providers.bases import is_openrouter, read_host
from slideloom.providers.call import Ask, Dialect, bearer
from slideloom.providers.complaints import list_dicts
from slideloom.providers.learned import UnknownWords
from slideloom.providers.ratios import choose_size, name_ratio
from slideloom.providers.references import to_data_url

OPENROUTER_PATH = "/images"
OPENAI_PATH = "/images/generations"
_GENERATIONS = "/generations"
_EDITS = "/edits"
"""Beside `/generations`: takes references. Source: contracts 2.2."""
_RESOLUTION = "1K"
"""OpenRouter's smallest tier that all image models know; larger ones may cost more."""
_PICTURES_ONLY_HOSTS = ("api.openai.com", ".openai.azure.com")
"""Never answer by address, and refuse to be asked. Source: contracts 2.1 (F24)."""


class ImagesDialect:
    """How shape A is asked at one path."""

    name = "images"

    def __init__(self, *, base_url: str, path: str) -> None:
        """Take the provider's base, and where images are made behind it."""
        self._path = "/" + path.strip("/")
        self._wants_format = not read_host(base_url).endswith(_PICTURES_ONLY_HOSTS)
        self._unknown = UnknownWords(("response_format", "resolution", "aspect_ratio", "size"))

    def authorize(self, key: str) -> dict[str, str]:
        """See `Dialect`."""
        return bearer(key)

    def build(self, order: DrawOrder, model: str) -> Ask:
        """See `Dialect`."""
        path = self._path
        body: Json = {"model": model, "prompt": order.prompt}
        picture = to_data_url(order.reference) if order.reference else None
        if path.endswith(_GENERATIONS):
            width, height = choose_size(order.ratio)
            body["size"] = f"{width}x{height}"
            if self._wants_format:
                body["response_format"] = "b64_json"
            if picture:
                path = path.removesuffix(_GENERATIONS) + _EDITS
                body["images"] = [{"image_url": picture}]
        else:
            body["aspect_ratio"] = name_ratio(order.ratio)
            body["resolution"] = _RESOLUTION
            if picture:
                body["input_references"] = [{"type": "image_url", "image_url": {"url": picture}}]
        body = self._unknown.strip(model, body)
        return Ask(model=model, path=path, body=body, has_reference=picture is not None)

    def learn(self, ask: Ask, answer: Answer) -> bool:
        """See `Dialect`: a parameter is left out (F24)."""
        return not answer.is_good and self._unknown.learn(ask.model, ask.body, answer)

    def find_addresses(self, item: Json) -> Iterator[str]:
        """See `Dialect`."""
        for entry in list_dicts(item.get("data")):
            if isinstance(url := entry.get("url"), str) and url and not url.startswith("data:"):
                yield url


def list_images_dialects(base_url: str, path: str | None) -> tuple[Dialect, ...]:
    """The given path, else those that pictures may be made at, the likelier first (F23)."""
    paths = [path] if path else [OPENROUTER_PATH, OPENAI_PATH]
    if not is_openrouter(base_url):
        paths.reverse()
    return tuple(ImagesDialect(base_url=base_url, path=path) for path in paths)
