"""Pictures for like requests: those made lately, and those being made right now."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct, field

from slideloom.clock import wall_s
from slideloom.engine.deadline import Deadline
from slideloom.errors import StoreError
from slideloom.logs import Log
from slideloom.stores.base import CachedResult, ImageStore, ResultCache


class Claim(Struct, eq=False):
    """A request whose picture is there, or is being made."""

    result: CachedResult | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Results:
    """The cache, and single flight in front of it: of two like slides at once one is paid."""

    def __init__(self, cache: ResultCache, images: ImageStore, *, ttl_s: float, log: Log) -> None:
        """Take how long a result may be used again."""
        self._cache = cache
        self._images = images
        self._ttl_s = ttl_s
        self._log = log
        self._making: dict[str, Claim] = {}

    @asynccontextmanager
    async def claim(self, keys: Sequence[str], deadline: Deadline) -> AsyncIterator[Claim]:
        """What there is under any of `keys`, or the right to make it, which nobody else has inside.

        Who makes it leaves the result in the claim, for those who wait: also where the
        cache does not take it.

        Raises:
            TimeUp: another slide was still making it.
        """
        key = keys[0]
        while (other := self._making.get(key)) is not None:
            async with deadline.waiting():
                await other.over.wait()
            if other.result is not None:
                yield Claim(other.result)
                return
        self._making[key] = claim = Claim()
        try:
            found = await self.find_many(keys)
            claim.result = next((found[key] for key in keys if key in found), None)
            yield claim
        finally:
            del self._making[key]
            claim.over.set()

    async def find_many(self, keys: Sequence[str]) -> dict[str, CachedResult]:
        """What there is already; a store or disk that fails has nothing."""
        try:
            found = await self._cache.find_many(keys, after_s=wall_s() - self._ttl_s)
            kept = await self._images.exists({result.image for result in found.values()})
        except StoreError as error:
            self._log.warning("result_cache_failed", exc_info=error)
            return {}
        return {key: result for key, result in found.items() if result.image in kept}

    async def keep(self, key: str, result: CachedResult) -> None:
        """Remember a picture; one that cannot be is only paid again."""
        try:
            await self._cache.put(key, result)
        except (StoreError, UnicodeEncodeError) as error:
            self._log.warning("result_cache_failed", exc_info=error)

    async def forget_old(self) -> None:
        """Drop the entries that are too old to be used; their pictures stay."""
        await self._cache.forget_results(before_s=wall_s() - self._ttl_s)
