"""The result cache in Redis.

Entries stand in a hash, by age in a sorted set, their sizes in another hash, and the sum of those
in a number: a put costs the same however full the cache is.
"""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from slideloom.stores.base import CachedResult, decode_result
from slideloom.stores.redis_link import RedisLink
from slideloom.stores.redis_scripts import FORGET_RESULTS, PUT_RESULT

_AT_ONCE: Final = 1000
"""Entries dropped in one go, at most: nobody else is served meanwhile."""


class RedisResults:
    """A `ResultCache` in Redis."""

    def __init__(self, link: RedisLink, *, prefix: str, max_bytes: int) -> None:
        self._link = link
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._put = link.client.register_script(PUT_RESULT)
        self._forget = link.client.register_script(FORGET_RESULTS)

    async def find_many(self, keys: Collection[str], *, after_s: float) -> dict[str, CachedResult]:
        """See `ResultCache`."""
        asked = list(keys)
        if not asked:
            return {}
        name = f"{self._prefix}results"
        bodies: list[Any] = await self._link.ask(lambda redis: redis.hmget(name, asked))
        found = {}
        for key, body in zip(asked, bodies, strict=True):
            result = None if body is None else decode_result(body)
            if result is not None and result.made_at_s >= after_s:
                found[key] = result
        return found

    async def put(self, key: str, result: CachedResult) -> None:
        """See `ResultCache`; to do it twice changes nothing."""
        body = msgspec.json.encode(result)
        args = (key, repr(result.made_at_s), result.size_bytes, self._max_bytes, body)
        await self._link.ask(lambda _: self._put(keys=[self._prefix], args=args))

    async def forget_results(self, *, before_s: float) -> int:
        """See `ResultCache`."""
        total, dropped = 0, _AT_ONCE
        args = (repr(before_s), _AT_ONCE)
        while dropped == _AT_ONCE:
            dropped = await self._link.ask(lambda _: self._forget(keys=[self._prefix], args=args))
            total += dropped
        return total
