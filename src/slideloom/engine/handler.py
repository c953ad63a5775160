"""What a worker does with the batches that the queue brings: its whole work."""

from contextlib import aclosing

from slideloom.engine.ending import end_over_head
from slideloom.engine.hearing import hear
from slideloom.engine.runs import Runs
from slideloom.errors import NotTakenUp, SlideErrorCode, StorageFull
from slideloom.logs import Log
from slideloom.stores.base import BatchStore
from slideloom.stores.image_base import ImageStore
from slideloom.stores.shared_base import Doorbell, Missed

_ROOM_TRIES = 4
"""How often a batch is left to workers that have room; then it ends as it must."""
_MOST_LEFT = 1000
"""Batches remembered that were left to others: those that others made are never heard of."""


class BatchHandler:
    """Makes batches that were begun elsewhere, and heeds what others want of them meanwhile."""

    def __init__(self, runs: Runs, *, store: BatchStore, images: ImageStore, log: Log) -> None:
        self.runs = runs
        self._store = store
        self._images = images
        self._log = log
        self._left: dict[str, int] = {}
        """How often a batch was left to others for want of room."""

    async def make(self, batch_id: str) -> None:
        """Take the batch up, and run it to its end.

        Raises:
            NotTakenUp: the store did not give it, or there is no room here: it is to be
                asked for again, here or elsewhere.
            Stopping: it has not ended, as this process is going to.
        """
        while (run := self.runs.roster.runs.get(batch_id)) is not None:  # given to us once more
            await run.is_over.wait()
        self.runs.refuse_if_stopping()
        if await self._lacks_room() and self._leave(batch_id):
            raise NotTakenUp(batch_id)
        self._left.pop(batch_id, None)
        run = await self.runs.resume(batch_id, is_new=True)
        if run is not None:
            await self.runs.run(batch_id)
            if not run.state.is_final:
                self.runs.refuse_if_stopping()
        if self.runs.pop_unresumed(batch_id):
            raise NotTakenUp(batch_id)

    async def abandon(self, batch_id: str) -> None:
        """End a batch that nobody could make, however often it was tried.

        Raises:
            UnknownBatch, StoreError: as `end_over_head`.
        """
        code: SlideErrorCode = "storage_full" if await self._lacks_room() else "internal"
        await end_over_head(batch_id, code, store=self._store, images=self._images, log=self._log)

    async def listen(self, doorbell: Doorbell) -> None:
        """Take in what others write to batches made here, as it happens, without end."""
        runs = self.runs.roster.runs
        async with aclosing(hear(doorbell, log=self._log)) as bell:
            async for news in bell:
                if isinstance(news, Missed):
                    for run in runs.values():
                        run.recorder.look(run.state.seq + 1)
                elif (one := runs.get(news.batch_id)) and news.seq > one.state.seq:
                    one.recorder.look(news.seq)

    async def _lacks_room(self) -> bool:
        """Whether no picture could be kept here: such a worker is idle, and would get them all."""
        try:
            await self._images.check_space()
        except StorageFull as error:
            self._log.warning("no_room", exc_info=error)
            return True
        return False

    def _leave(self, batch_id: str) -> bool:
        """Whether the batch is left to others once more."""
        count = self._left.get(batch_id, 0)
        if count >= _ROOM_TRIES:
            return False
        self._left[batch_id] = count + 1
        if len(self._left) > _MOST_LEFT:
            del self._left[next(iter(self._left))]
        return True
