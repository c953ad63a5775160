"""Follows a batch to its end."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from slideloom.client import FINAL, AsyncBatch, BatchStatus, Event, WaitTimeout


async def follow(
    batch: AsyncBatch,
    take: Callable[[Event], None],
    *,
    timeout_s: float | None,
    since: BatchStatus | None = None,
) -> BatchStatus:
    """Give each event to `take`; the status after the end.

    With `since` only what came after it, so that nothing old looks as if it happened now.

    Raises:
        WaitTimeout: it has not ended in time; it goes on.
    """
    if since is not None and since.status in FINAL:
        return since  # no event would come
    after = 0 if since is None else since.last_event_id
    try:
        async with asyncio.timeout(timeout_s), aclosing(batch.events(after=after)) as events:
            async for event in events:
                take(event)
            return await batch.status()
    except TimeoutError as error:
        raise WaitTimeout(batch.id, timeout_s or 0.0) from error


async def retry_since(batch: AsyncBatch, slide_ids: Sequence[str] | None = None) -> BatchStatus:
    """Make again what is not done; the status then, with the number of the last event before."""
    before = await batch.status()
    after = await batch.retry(slide_ids)
    return replace(after, last_event_id=before.last_event_id)
