"""Shape B, chat with images: OpenRouter's older way, and many gateways'."""

import re
from collections.abc import Iterator

from slideloom.providers.answers import Answer, Json
from slideloom.providers.base import DrawOrder
from slideloom.providers.call import Ask, bearer
from slideloom.providers.complaints import find_complaint, list_dicts
from slideloom.providers.learned import UnknownWords
from slideloom.providers.outcomes import list_messages
from slideloom.providers.ratios import name_ratio
from slideloom.providers.references import to_data_url

CHAT_PATH = "/chat/completions"
_MAX_TOKENS = 4096
"""Without it OpenRouter reserves the model's window against the balance. Source: contracts 1.3."""
_NO_ENDPOINT = 404
_MARKDOWN_IMAGE = re.compile(r"!\[[^\]]{0,200}\]\(\s*(https?://[^\s)]+)")


class ChatDialect:
    """How shape B is asked."""

    name = "chat"

    def __init__(self) -> None:
        self._unknown = UnknownWords(("max_tokens", "modalities", "image_config"))
        self._image_only: set[str] = set()

    def authorize(self, key: str) -> dict[str, str]:
        """See `Dialect`."""
        return bearer(key)

    def build(self, order: DrawOrder, model: str) -> Ask:
        """See `Dialect`."""
        body: Json = {
            "model": model,
            "messages": [{"role": "user", "content": _build_content(order)}],
            "modalities": ["image"] if model in self._image_only else ["image", "text"],
            "image_config": {"aspect_ratio": name_ratio(order.ratio)},
            "max_tokens": _MAX_TOKENS,
            "stream": False,
        }
        body = self._unknown.strip(model, body)
        return Ask(model=model, path=CHAT_PATH, body=body, has_reference=bool(order.reference))

    def learn(self, ask: Ask, answer: Answer) -> bool:
        """See `Dialect`: models that only draw refuse to be asked for text as well (F22)."""
        if answer.is_good:
            return False
        if self._unknown.learn(ask.model, ask.body, answer):
            return True
        complaint = find_complaint(answer, has_picture=False)
        is_refused = (
            answer.status == _NO_ENDPOINT
            and complaint is not None
            and "output modalities" in complaint.message
            and "text" in ask.body.get("modalities", ())
        )
        if is_refused:
            self._image_only.add(ask.model)
        return is_refused

    def find_addresses(self, item: Json) -> Iterator[str]:
        """See `Dialect`."""
        for message in list_messages(item):
            content = message.get("content")
            if isinstance(content, str):
                yield from _MARKDOWN_IMAGE.findall(content)
            for part in (*list_dicts(content), *list_dicts(message.get("images"))):
                yield from _addresses_in(part)


def _build_content(order: DrawOrder) -> str | list[Json]:
    """Plain words where they suffice: some gateways know nothing else."""
    if order.reference is None:
        return order.prompt
    picture = {"type": "image_url", "image_url": {"url": to_data_url(order.reference)}}
    return [{"type": "text", "text": order.prompt}, picture]


def _addresses_in(part: Json) -> Iterator[str]:
    """`image_url` is an object with an `url`, or the address itself."""
    image = part.get("image_url")
    for url in (image.get("url") if isinstance(image, dict) else image, part.get("url")):
        if isinstance(url, str) and url and not url.lower().startswith("data:"):
            yield url
