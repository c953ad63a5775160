"""Many readers who follow batches that another store writes, over one doorbell."""

import asyncio
import time
from contextlib import aclosing

from slideloom.domain.events import BatchStarted
from slideloom.stores.redis import RedisBatchStore
from slideloom.stores.shared_base import Missed


class Followers:
    """One for each of `names`, whose logs hold one event so far."""

    def __init__(self, reader: RedisBatchStore, names: list[str]) -> None:
        self.took_s: list[float] = []
        """From the moment an event is handed to the store until a follower has read it."""
        self._reader = reader
        self._bells = {name: asyncio.Event() for name in names}
        self._listens = asyncio.Event()
        self._sent_s: dict[tuple[str, int], float] = {}

    async def follow(self, writer: RedisBatchStore, *, events: int) -> None:
        """Have so many events written to each log, and wait until all were read."""
        ears = asyncio.create_task(self._hear(), name="doorbell")
        await self._listens.wait()
        async with asyncio.TaskGroup() as group:
            for name in self._bells:
                group.create_task(self._follow_one(name, until=events + 1))
            for seq in range(2, events + 2):
                for name in self._bells:
                    self._sent_s[name, seq] = time.perf_counter()
                    await writer.append(name, 1, [BatchStarted(at_s=seq)])
        ears.cancel()
        await asyncio.gather(ears, return_exceptions=True)

    async def _hear(self) -> None:
        async with aclosing(self._reader.listen()) as bell:
            async for told in bell:
                if isinstance(told, Missed):
                    self._listens.set()
                elif told.batch_id in self._bells:
                    self._bells[told.batch_id].set()

    async def _follow_one(self, name: str, *, until: int) -> None:
        seen = 1
        while seen < until:
            await self._bells[name].wait()
            self._bells[name].clear()
            for _ in await self._reader.read(name, after=seen):
                seen += 1
                self.took_s.append(time.perf_counter() - self._sent_s[name, seen])
