"""The client for asyncio."""

import math
import uuid
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Literal, Self
from urllib.parse import urlencode

import aiohttp
import msgspec

from slideloom.client.aio_batch import AsyncBatch
from slideloom.client.caller import Ask, Caller
from slideloom.client.decks import Deck, SlideLike, build_deck
from slideloom.client.errors import UnreadableDeck
from slideloom.client.pauses import OnWait
from slideloom.client.records import BatchPage, Readiness
from slideloom.domain.estimate import Estimate
from slideloom.domain.status import BatchStatus

DEFAULT_URL = "http://localhost:8000"
"""Where `slideloom serve` listens unless told otherwise."""
_READY_TIMEOUT = aiohttp.ClientTimeout(total=10)
"""Whoever takes longer to say that all is well is not well."""


class AsyncClient:
    """A Slideloom service, for asyncio; use it with `async with`, or `close` it."""

    def __init__(  # noqa: PLR0913 - one parameter a choice
        self,
        url: str = DEFAULT_URL,
        *,
        api_prefix: str = "/api",
        patience_s: float = 60.0,
        language: Literal["en", "zh"] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        """Take the service's address; nothing is sent yet.

        Args:
            url: of the service's root.
            api_prefix: the service's `API_PREFIX`.
            patience_s: seconds for which lost connections, 429 and 503 are tried again.
            language: of the messages for people.
            headers: sent with every request, for proxies that want some.
            token: one of the service's `API_TOKENS`, its secret part; default
                `SLIDELOOM_TOKEN` of the environment. It goes to `url` and nowhere else.
            on_wait: called with the seconds and the error before each wait of 3 s or more.

        Raises:
            ValueError: the token cannot be sent.
        """
        self._caller = Caller(
            url,
            patience_s=patience_s,
            language=language,
            headers=headers,
            token=token,
            on_wait=on_wait,
        )
        self._batches = f"{api_prefix}/slide/batch"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections; batches go on."""
        await self._caller.close()

    async def generate(  # noqa: PLR0913 - the request's own keys
        self,
        *,
        slides: Iterable[SlideLike],
        style_prompt: str = "",
        max_workers: int | None = None,
        aspect_ratio: str | None = None,
        model: str | None = None,
        cache: bool | None = None,
        max_cost_usd: float | None = None,
        style_reference: str | None = None,
        idempotency_key: str | None = None,
    ) -> AsyncBatch:
        """Have all slides of a deck made; what is `None` is left to the service.

        Raises:
            Unreachable, Refused: the service does not take it.
        """
        deck = build_deck(
            slides,
            style_prompt,
            max_workers=max_workers,
            aspect_ratio=aspect_ratio,
            model=model,
            cache=cache,
            max_cost_usd=max_cost_usd,
            style_reference=style_reference,
        )
        return await self.submit(deck, idempotency_key=idempotency_key)

    async def submit(self, deck: Deck, *, idempotency_key: str | None = None) -> AsyncBatch:
        """Have a deck made that is a request already, as `load_deck` gives it.

        However often the request has to be sent, it is carried out once: it carries
        an Idempotency-Key, a new one unless `idempotency_key` is given.

        Raises:
            Unreachable, Refused: the service does not take it.
        """
        ask = Ask(
            method="POST",
            path=f"{self._batches}/generate",
            body=_encode(deck),
            headers={
                "Prefer": "respond-async",
                "Idempotency-Key": idempotency_key or str(uuid.uuid4()),
            },
        )
        status = await self._caller.fetch(ask, BatchStatus)
        return AsyncBatch(self._caller, self._batches, status.batch_id)

    async def estimate(self, deck: Deck) -> Estimate:
        """What the deck would cost and how long it would take; nothing is paid.

        Raises:
            Unreachable, Refused: the service does not say.
        """
        path = f"{self._batches}/estimate"
        return await self._caller.fetch(Ask(method="POST", path=path, body=_encode(deck)), Estimate)

    async def get(self, batch_id: str) -> AsyncBatch:
        """A batch that is there.

        Raises:
            NotFound: it is not, or not any more.
        """
        batch = AsyncBatch(self._caller, self._batches, batch_id)
        await batch.status()
        return batch

    async def ready(self) -> Readiness:
        """Whether the service takes new work, and who makes its pictures.

        Raises:
            Unreachable, UnexpectedAnswer: there is no Slideloom.
        """
        ask = Ask(
            method="GET",
            path="/readyz",
            timeout=_READY_TIMEOUT,
            also=HTTPStatus.SERVICE_UNAVAILABLE,  # it is there, and says why it is not ready
        )
        return await self._caller.fetch(ask, Readiness)

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> BatchPage:
        """Batches, newest first; `cursor` is the `next_cursor` of the page before."""
        query = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
        ask = Ask(method="GET", path=f"{self._batches}?{urlencode(query)}")
        return await self._caller.fetch(ask, BatchPage)


def _encode(deck: Deck) -> bytes:
    limit = deck.get("max_cost_usd") if isinstance(deck, Mapping) else deck.max_cost_usd
    if isinstance(limit, float) and not math.isfinite(limit):
        raise UnreadableDeck("max_cost_usd is no amount")  # it would be sent as no limit at all
    try:
        return msgspec.json.encode(deck)
    except (TypeError, ValueError) as error:
        message = f"the deck holds what JSON cannot say: {error}"
        raise UnreadableDeck(message) from error
