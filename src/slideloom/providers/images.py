"""Shape A, images POST: `/images` at OpenRouter, `/images/generations` elsewhere."""

from collections.abc import Iterator

from slideloom.providers.answers import Answer, Json
from slideloom.providers.base import DrawOrder
from slideloom.providers.call import Ask, NetworkProvider, bearer, read_base_url
from slideloom.providers.complaints import find_complaint, list_dicts
from slideloom.providers.download import Downloads
from slideloom.providers.learned import UnknownWords
from slideloom.providers.ratios import choose_size, name_ratio

OPENROUTER_PATH = "/images"
OPENAI_PATH = "/images/generations"
_OTHER_PATH = {OPENROUTER_PATH: OPENAI_PATH, OPENAI_PATH: OPENROUTER_PATH}
_RESOLUTION = "1K"
"""OpenRouter's smallest tier that all image models know; larger ones may cost more."""
_PICTURES_ONLY_HOSTS = ("api.openai.com", ".openai.azure.com")
"""Never answer by address, and refuse to be asked. Source: contracts 2.1 (F24)."""
_NO_SUCH_PATH = frozenset({404, 405})


class ImagesDialect:
    """How shape A is asked."""

    name = "images"

    def __init__(self, *, base_url: str, path: str | None = None) -> None:
        """Take the provider's base, and its path unless that is to be guessed and found out."""
        host = _host(base_url)
        guess = OPENROUTER_PATH if host.endswith("openrouter.ai") else OPENAI_PATH
        self._guess = guess
        self._path = "/" + path.strip("/") if path else guess
        self._may_switch = not path
        self._wants_format = not host.endswith(_PICTURES_ONLY_HOSTS)
        self._unknown = UnknownWords(("response_format", "resolution", "aspect_ratio", "size"))

    def authorize(self, key: str) -> dict[str, str]:
        """See `Dialect`."""
        return bearer(key)

    def build(self, order: DrawOrder, model: str) -> Ask:
        """See `Dialect`."""
        body: Json = {"model": model, "prompt": order.prompt}
        if self._path.endswith("/generations"):
            width, height = choose_size(order.ratio)
            body["size"] = f"{width}x{height}"
            if self._wants_format:
                body["response_format"] = "b64_json"
        else:
            body["aspect_ratio"] = name_ratio(order.ratio)
            body["resolution"] = _RESOLUTION
        return Ask(model=model, path=self._path, body=self._unknown.strip(model, body))

    def learn(self, ask: Ask, answer: Answer) -> bool:
        """See `Dialect`: a parameter is left out, or the other path tried, once (F23, F24)."""
        if answer.is_good:
            self._path, self._may_switch = ask.path, False  # what answers is remembered
            return False
        if self._unknown.learn(ask.model, ask.body, answer):
            return True
        if answer.status not in _NO_SUCH_PATH or not _is_about_path(answer):
            return False
        if ask.path != self._path:
            return True  # another slide has found out meanwhile
        if not self._may_switch:
            return False
        self._path = _OTHER_PATH[self._path]
        return self._path != self._guess  # back at the guess: neither path is there

    def find_addresses(self, item: Json) -> Iterator[str]:
        """See `Dialect`."""
        for entry in list_dicts(item.get("data")):
            if isinstance(url := entry.get("url"), str) and url and not url.startswith("data:"):
                yield url


def open_images(
    *,
    base_url: str,
    key: str,
    model: str,
    path: str | None = None,
    stall_s: float = 30.0,
    downloads: Downloads | None = None,
) -> NetworkProvider:
    """A provider of shape A; be on the running loop.

    Args:
        base_url: the API's base, as `https://openrouter.ai/api/v1`.
        key: sent to the base alone.
        model: asked unless an order names another.
        path: where images are made, behind the base; guessed, and once corrected, when not given.
        stall_s: longest silence in the middle of an answer.
        downloads: fetches answers by address; its own, for public https only, when not given.

    Raises:
        SettingsError: the base is no web address.
    """
    return NetworkProvider(
        ImagesDialect(base_url=read_base_url(base_url), path=path),
        base_url=base_url,
        key=key,
        model=model,
        stall_s=stall_s,
        downloads=downloads,
    )


def _host(base_url: str) -> str:
    return base_url.partition("://")[2].partition("/")[0].partition(":")[0].lower()


def _is_about_path(answer: Answer) -> bool:
    """Whether it is the path that is missing: a missing model is told with its name or more."""
    complaint = find_complaint(answer, has_picture=False)
    if complaint is None:
        return True
    words = complaint.message.lower()
    is_about_model = "model" in words or "endpoints" in words
    return not complaint.error.get("metadata") and not is_about_model
