"""Two processes in one: an engine that asks over a queue and a log, and runs that obey."""

import asyncio

from slideloom.engine.follower import Follower
from slideloom.engine.remote_work import RemoteWork
from slideloom.logs import Log
from slideloom.queues.base import Handler
from tests.support.parts import Place, Workshop

_AGAIN_S = 1.0


class SharedQueue:
    """A `Queue` as between processes: an id that waits or runs is not put in again."""

    def __init__(self, *, concurrency: int) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._handler: Handler | None = None

    def serve(self, handler: Handler, *, give_up: Handler | None = None) -> None:
        """See `Queue`; it tries without end."""
        del give_up
        self._handler = handler

    async def submit(self, batch_id: str, *, again: bool = False) -> None:
        """See `Queue`."""
        if batch_id not in self._tasks:
            self._begin(batch_id)
        elif again:
            self._again.add(batch_id)

    async def drain(self, *, timeout_s: float) -> bool:
        """See `Queue`."""
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=timeout_s)
        return not self._tasks

    async def stop(self) -> None:
        """See `Queue`."""
        self._again.clear()
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, batch_id: str) -> None:
        task = asyncio.create_task(self._run(batch_id), name=f"queued {batch_id}")
        self._tasks[batch_id] = task
        task.add_done_callback(lambda _: self._forget(batch_id))

    def _forget(self, batch_id: str) -> None:
        del self._tasks[batch_id]
        if batch_id in self._again:
            self._again.remove(batch_id)
            self._begin(batch_id)

    async def _run(self, batch_id: str) -> None:
        async with self._slots:
            while self._handler is not None:
                try:
                    await self._handler(batch_id)
                except Exception:  # noqa: BLE001 - it is tried again, as a queue does
                    await asyncio.sleep(_AGAIN_S)
                else:
                    return


class Elsewhere(Place):
    """Another process: an engine that asks, and runs that obey."""

    def __init__(self) -> None:
        self._listening: set[asyncio.Task[None]] = set()

    def build_queue(self, concurrency: int) -> SharedQueue:
        """See `Place`."""
        return SharedQueue(concurrency=concurrency)

    def build_work(self, shop: Workshop, log: Log) -> RemoteWork:
        """See `Place`."""
        shop.queue.serve(shop.handler.make, give_up=shop.handler.abandon)
        return RemoteWork(
            store=shop.store,
            queue=shop.queue,
            follower=Follower(shop.store, shop.store, log=log),
            images=shop.images,
            log=log,
        )

    async def begin(self, shop: Workshop) -> None:
        """See `Place`."""
        name = "worker listens"
        self._listening.add(asyncio.create_task(shop.handler.listen(shop.store), name=name))

    def deafen(self) -> None:
        """The worker hears no more of what others write."""
        for task in self._listening:
            task.cancel()

    async def end(self, shop: Workshop) -> None:
        """See `Place`."""
        shop.runs.close()
        await shop.runs.end(grace_s=0.0)
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
