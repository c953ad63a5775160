"""Follows a batch to its end."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from slideloom.client import AsyncBatch, BatchStatus, Event, WaitTimeout


async def follow(
    batch: AsyncBatch, take: Callable[[Event], None], *, timeout_s: float | None
) -> BatchStatus:
    """Give each event to `take`; the status after the end.

    Raises:
        WaitTimeout: it has not ended in time; it goes on.
    """
    try:
        async with asyncio.timeout(timeout_s), aclosing(batch.events()) as events:
            async for event in events:
                take(event)
            return await batch.status()
    except TimeoutError as error:
        raise WaitTimeout(batch.id, timeout_s or 0.0) from error
