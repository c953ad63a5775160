"""The doorbell of a store that is shared, listened to whatever becomes of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from slideloom.logs import Log
from slideloom.stores.shared_base import Doorbell, Missed, Ring

_AGAIN_S = 1.0
"""Before a doorbell that broke down is listened to again."""


async def hear(doorbell: Doorbell, *, log: Log) -> AsyncGenerator[Ring | Missed, None]:
    """What it tells, until the store is closed; after a fault of its own, a `Missed` is first."""
    while True:
        try:
            async with aclosing(doorbell.listen()) as bell:
                async for news in bell:
                    yield news
        except Exception as error:  # a background loop outlives its errors
            log.error("doorbell_failed", exc_info=error)
            await asyncio.sleep(_AGAIN_S)
        else:
            return
