"""Saves a batch's pictures while it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from slideloom.client import AsyncBatch, Event, SlideEvent


class Saver:
    """Saves what is there whenever a slide is done; one pass at a time."""

    def __init__(self, batch: AsyncBatch, folder: Path) -> None:
        self._batch = batch
        self._folder = folder
        self._is_news = asyncio.Event()
        self._is_news.set()  # slides may be done before

    def take(self, event: Event) -> None:
        """Note that there is a picture to save."""
        if isinstance(event, SlideEvent) and event.name == "slide.done":
            self._is_news.set()

    async def run(self) -> None:
        """Save until cancelled."""
        while True:
            await self._is_news.wait()
            self._is_news.clear()
            await self._batch.save_all(self._folder)


@asynccontextmanager
async def saving(batch: AsyncBatch, folder: Path) -> AsyncIterator[Saver]:
    """A saver at work; what it has not saved at the end is left to others.

    Raises:
        OSError: the disk does not take a picture.
    """
    saver = Saver(batch, folder)
    task = asyncio.create_task(saver.run(), name="save pictures")
    try:
        yield saver
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
