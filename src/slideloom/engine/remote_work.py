"""The making of batches by workers, wherever they are: asked for through the store and a queue.

What is wanted of a batch is written into its log, behind the event it was decided by. Whoever makes
the batch hears of it and obeys; where nobody does, the queue brings it to a worker.
"""

import asyncio
from collections.abc import Callable

from slideloom.clock import wall_s
from slideloom.domain.batch import BatchState
from slideloom.domain.events import BatchCancelled, BatchSubmitted, Event, SlidesReopened
from slideloom.engine.ending import end_over_head
from slideloom.engine.follower import Follower
from slideloom.engine.journal import log_batch_start
from slideloom.engine.timeline import Timeline
from slideloom.engine.wishes import Choice, decide_reopening, decide_restoring
from slideloom.errors import Fenced, LogMoved, NotTakenUp, Stopping, StoreError, UnknownBatch
from slideloom.logs import Log
from slideloom.queues.base import Queue
from slideloom.stores.base import BatchStore
from slideloom.stores.image_base import ImageStore

_OBEYS_S = 0.7
"""A worker that lives has ended a cancelled batch by then; else it is ended over its head."""
_ENDS_S = 5.0
"""How long a wish waits for the end of a batch that was cancelled just before."""
_RECONCILE_S = 10.0
"""Between looks for batches that are in the store and not in the queue."""

_Decision = Callable[[BatchState], Event | None]


class RemoteWork:
    """A `BatchWork` over workers: nothing is made in this process."""

    def __init__(
        self,
        *,
        store: BatchStore,
        queue: Queue,
        follower: Follower,
        images: ImageStore,
        log: Log,
    ) -> None:
        self.stopping = asyncio.Event()
        self._store = store
        self._queue = queue
        self._follower = follower
        self._images = images
        self._log = log
        self._chores: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """See `BatchWork`."""
        self._chores = [
            asyncio.create_task(self._follower.run(), name="follow"),
            asyncio.create_task(self._reconcile(), name="reconcile"),
        ]

    def close(self) -> None:
        """See `BatchWork`."""
        self.stopping.set()

    async def end(self, *, grace_s: float) -> None:
        """See `BatchWork`: workers go on."""
        del grace_s
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._follower.close()

    async def begin(self, batch_id: str, submitted: BatchSubmitted) -> Timeline:
        """See `BatchWork`."""
        timeline = self._follower.meet(batch_id, [submitted])
        log_batch_start(self._log, timeline.state)
        await self._submit(batch_id)
        return timeline

    async def get(self, batch_id: str) -> Timeline:
        """See `BatchWork`."""
        return await self._follower.get(batch_id)

    async def get_told(self, batch_id: str) -> Timeline:
        """See `BatchWork`."""
        return await self._follower.get(batch_id)

    async def cancel(self, batch_id: str) -> Timeline:
        """See `BatchWork`."""
        timeline = await self._write(batch_id, _decide_cancelling)
        if not await self._see_cancelled(timeline):
            await end_over_head(
                batch_id, "cancelled", store=self._store, images=self._images, log=self._log
            )
        return await self._follower.get(batch_id)

    async def _see_cancelled(self, timeline: Timeline) -> bool:
        """Whether somebody makes the batch, and obeys: a picture that is being kept has time."""
        if timeline.state.status == "pending":
            return False
        is_over = await timeline.wait_finished(timeout_s=_OBEYS_S)
        if is_over or all(slide.error_code != "cancelled" for slide in timeline.state.slides):
            return is_over
        return await timeline.wait_finished(timeout_s=_ENDS_S)

    async def reopen(self, batch_id: str, choose: Choice, *, anew: bool) -> Timeline:
        """See `BatchWork`."""
        written: SlidesReopened | None = None

        def decide(state: BatchState) -> SlidesReopened | None:
            nonlocal written
            written = decide_reopening(state, choose, anew=anew)
            return written

        timeline = await self._change(batch_id, decide)
        if written is not None:
            log_batch_start(self._log, timeline.state, places=written.places)
        if not timeline.state.is_final:
            await self._submit(batch_id, again=True)  # its run may just be ending
        return timeline

    async def restore(self, batch_id: str, slide_id: str, version: int) -> Timeline:
        """See `BatchWork`."""
        return await self._change(
            batch_id, lambda state: decide_restoring(state, slide_id, version)
        )

    def find_live(self, batch_id: str) -> BatchState | None:
        """See `BatchWork`: none is."""
        del batch_id
        return None

    def list_live(self) -> list[BatchState]:
        """See `BatchWork`: none is."""
        return []

    async def count_active(self, *, owner: str | None = None) -> int:
        """See `BatchWork`."""
        return await self._store.count_active(owner=owner)

    def forget_ended(self) -> None:
        """See `BatchWork`: what is asked for is looked up in the store anyway."""

    def mean_slide_s(self) -> float | None:
        """See `BatchWork`."""
        return self._follower.mean_slide_s()

    async def _change(self, batch_id: str, decide: _Decision) -> Timeline:
        """Have a slide of the batch changed; one that was cancelled just now only ends."""
        timeline = await self._follower.get(batch_id)
        if timeline.state.order.is_single:
            raise UnknownBatch(batch_id)
        if timeline.state.is_cancelled and not timeline.state.is_final:
            await timeline.wait_finished(timeout_s=_ENDS_S)
            if not timeline.state.is_final:
                raise NotTakenUp(batch_id)
        return await self._write(batch_id, decide)

    async def _write(self, batch_id: str, decide: _Decision) -> Timeline:
        """Write what is decided, by the state as it stands in the store."""
        while True:
            if self.stopping.is_set():
                raise Stopping
            timeline = await self._follower.get(batch_id)
            event = decide(timeline.state)
            if event is None:
                return timeline
            try:
                await self._store.append(batch_id, None, [event], at=timeline.state.seq)
            except LogMoved:
                continue
            except Fenced as error:
                raise UnknownBatch(batch_id) from error
            return await self._follower.get(batch_id)

    async def _submit(self, batch_id: str, *, again: bool = False) -> None:
        """Put it into the queue; where that fails, it is found in the store before long."""
        try:
            await self._queue.submit(batch_id, again=again)
        except StoreError as error:
            self._log.error("batch_not_queued", batch_id=batch_id, exc_info=error)

    async def _reconcile(self) -> None:
        """Put into the queue what has no end in the store, without end: the store is the truth."""
        while True:
            try:
                unfinished = await self._store.find_unfinished()
                await self._follower.look_for_ends(frozenset(unfinished))
                for batch_id in unfinished:
                    await self._queue.submit(batch_id)
            except Exception as error:  # noqa: BLE001 - a background loop outlives its errors
                self._log.error("reconciling_failed", exc_info=error)
            await asyncio.sleep(_RECONCILE_S)


def _decide_cancelling(state: BatchState) -> BatchCancelled | None:
    return None if state.is_final or state.is_cancelled else BatchCancelled(at_s=wall_s())
