"""Decks whose every slide can be told from all others on the provider's bill."""

from itertools import count
from random import Random
from typing import Any

from msgspec import Struct


class Deck(Struct, frozen=True, kw_only=True):
    """One order of a customer."""

    title: str
    """Of its first slide, and no other deck's: how the batch list names it."""
    tags: tuple[str, ...]
    """One a slide, in its prompt and no other's."""
    body: dict[str, Any]
    """As it is sent."""
    key: str | None
    """Its Idempotency-Key."""
    waits: bool
    """Whether the customer waits for the end instead of a 202."""


class DeckPress:
    """Makes decks, no two alike."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def make(
        self,
        *,
        slides: int,
        workers: int,
        is_keyed: bool = False,
        waits: bool = False,
        cache: bool = False,
    ) -> Deck:
        """The next deck."""
        name = f"deck{next(self._numbers):04d}"
        tags = tuple(f"<{name}.{place}>" for place in range(slides))
        body = {
            "slides": [
                {"id": f"s{place}", "title": f"{name}, {place}", "visual_desc": f"a drawing {tag}"}
                for place, tag in enumerate(tags)
            ],
            "style_prompt": "calm blue",
            "max_workers": workers,
            "cache": cache,
        }
        key = f"key-{name}" if is_keyed else None
        return Deck(title=f"{name}, 0", tags=tags, body=body, key=key, waits=waits)

    def draw(self, dice: Random) -> Deck:
        """The next deck, of any sort."""
        return self.make(
            slides=dice.randint(6, 8),
            workers=dice.randint(2, 6),
            is_keyed=dice.random() < 0.4,
            waits=dice.random() < 0.3,
            cache=dice.random() < 0.3,
        )
