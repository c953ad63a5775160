"""The embedded queue: one asyncio task a batch, in this process."""

import asyncio

from slideloom.queues.base import Handler


class LocalQueue:
    """A `Queue` of tasks; at most `concurrency` run, the rest wait their turn."""

    def __init__(self, *, concurrency: int) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        self._handler: Handler | None = None

    def serve(self, handler: Handler, *, give_up: Handler | None = None) -> None:
        """See `Queue`: here a handler is not called again."""
        del give_up
        self._handler = handler

    async def submit(self, batch_id: str, *, again: bool = False) -> None:
        """See `Queue`; every submission is run."""
        del again
        task = asyncio.create_task(self._run(batch_id), name=f"batch {batch_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, *, timeout_s: float) -> bool:
        """See `Queue`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        return not self._tasks

    async def stop(self) -> None:
        """See `Queue`."""
        unfinished = list(self._tasks)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    async def _run(self, batch_id: str) -> None:
        async with self._slots:
            if self._handler is not None:
                await self._handler(batch_id)
