"""What processes keep in common of a lane, on the Redis server they share."""

from typing import Any, Final

from slideloom.stores.redis_link import PREFIX, RedisLink
from slideloom.stores.redis_scripts import SWAP_LANE
from slideloom.stores.shared_base import Posted

_KEEP_S: Final = 86_400
"""A width learned yesterday is as good as none."""


class RedisLaneBoard:
    """A `LaneBoard` in Redis: a hash for each lane, by its clock; others use the link, too."""

    def __init__(self, link: RedisLink, *, prefix: str = PREFIX) -> None:
        self._link = link
        self._prefix = prefix
        self._swap = link.client.register_script(SWAP_LANE)

    async def swap(self, lane: str, *, expected: str, version: str, body: bytes) -> Posted:
        """See `LaneBoard`."""
        key = f"{self._prefix}lane:{lane}"
        args = (expected, version, body, _KEEP_S)
        found: list[Any] = await self._link.ask(lambda _: self._swap(keys=[key], args=args))
        seconds, microseconds, there, body_there = found
        return Posted(
            version=there.decode(),
            body=body_there,
            clock_s=int(seconds) + int(microseconds) / 1_000_000,
        )
