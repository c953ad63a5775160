"""Pictures for like requests: those made lately, and those being made right now."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct, field

from slideloom.clock import wall_s
from slideloom.domain.keys import cache_key
from slideloom.engine.deadline import Deadline
from slideloom.errors import StoreError
from slideloom.logs import Log
from slideloom.providers.base import DrawOrder
from slideloom.stores.base import CachedResult, ResultCache
from slideloom.stores.image_base import ImageStore


class Claim(Struct, eq=False):
    """A request whose picture is there, or is being made."""

    result: CachedResult | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Results:
    """The cache, and single flight in front of it: of two like slides at once one is paid."""

    def __init__(
        self,
        cache: ResultCache,
        images: ImageStore,
        *,
        source: str,
        finish: str,
        ttl_s: float,
        log: Log,
    ) -> None:
        """Take what tells pictures apart beside their orders, and how long they may be used again.

        Args:
            cache: what is remembered.
            images: where the pictures must still be.
            source: the provider's base address: it gives like pictures for like orders.
            finish: what is done to them here, as cropping.
            ttl_s: how old a picture may be.
            log: told when the cache fails.
        """
        self._cache = cache
        self._images = images
        self._source = source
        self._finish = finish
        self._ttl_s = ttl_s
        self._log = log
        self._making: dict[str, Claim] = {}

    @asynccontextmanager
    async def claim(
        self, order: DrawOrder, models: Sequence[str], deadline: Deadline
    ) -> AsyncIterator[Claim]:
        """What any of `models` made for the order, or the right to make it, held by nobody else.

        Who makes it leaves the result in the claim, for those who wait: also where the
        cache does not take it.

        Raises:
            TimeUp: another slide was still making it.
        """
        keys = [self._key(order, model) for model in models]
        key = keys[0]
        while (other := self._making.get(key)) is not None:
            async with deadline.waiting():
                await other.over.wait()
            if other.result is not None:
                yield Claim(other.result)
                return
        self._making[key] = claim = Claim()
        try:
            claim.result = await self._find_first(keys)
            yield claim
        finally:
            del self._making[key]
            claim.over.set()

    async def find_image(self, order: DrawOrder, models: Sequence[str]) -> str | None:
        """The image that serves the order already."""
        result = await self._find_first([self._key(order, model) for model in models])
        return None if result is None else result.image

    async def count_missing(self, orders: Sequence[DrawOrder], models: Sequence[str]) -> int:
        """How many pictures are to be made: not those like one made, or ordered twice."""
        wanted = {tuple(self._key(order, model) for model in models) for order in orders}
        found = await self._find_many([key for keys in wanted for key in keys])
        return sum(not any(key in found for key in keys) for keys in wanted)

    async def keep(self, order: DrawOrder, model: str, result: CachedResult) -> None:
        """Remember what `model` made; what cannot be remembered is only paid again."""
        try:
            await self._cache.put(self._key(order, model), result)
        except (StoreError, UnicodeEncodeError) as error:
            self._log.warning("result_cache_failed", exc_info=error)

    async def forget_old(self) -> None:
        """Drop the entries that are too old to be used; their pictures stay."""
        await self._cache.forget_results(before_s=wall_s() - self._ttl_s)

    async def _find_first(self, keys: Sequence[str]) -> CachedResult | None:
        found = await self._find_many(keys)
        return next((found[key] for key in keys if key in found), None)

    async def _find_many(self, keys: Sequence[str]) -> dict[str, CachedResult]:
        """What there is already; a store or disk that fails has nothing."""
        try:
            found = await self._cache.find_many(keys, after_s=wall_s() - self._ttl_s)
            kept = await self._images.measure({result.image for result in found.values()})
        except StoreError as error:
            self._log.warning("result_cache_failed", exc_info=error)
            return {}
        return {key: result for key, result in found.items() if result.image in kept}

    def _key(self, order: DrawOrder, model: str) -> str:
        """Under which a picture is kept for like requests."""
        return cache_key(
            provider=self._source,
            model=model,
            prompt=order.prompt,
            ratio=order.ratio,
            size=self._finish,
            reference=order.reference.digest if order.reference else None,
        )
