"""The queue engine's entry point: batches are taken off the queue until a signal."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from slideloom.assembly import Bench


class Stoppable(Protocol):
    """What runs batches."""

    async def stop(self, *, grace_s: float) -> None:
        """Begin nothing new, give calls under way `grace_s`, leave the rest to others."""
        ...


class Shift:
    """A worker at work: makes what the queue brings, and heeds what others write meanwhile."""

    def __init__(self, bench: Bench) -> None:
        """Begin; be on the running loop."""
        handler = bench.handler
        self._runs = handler.runs
        self._listening = asyncio.create_task(handler.listen(bench.doorbell), name="listen")
        bench.queue.serve(handler.make, give_up=handler.abandon)

    async def stop(self, *, grace_s: float) -> None:
        """See `Stoppable`; may be called again meanwhile, to cut the grace short."""
        self._runs.close()
        await self._runs.end(grace_s=grace_s)
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)


class Signals:
    """SIGINT and SIGTERM, caught until the process ends: a late Ctrl-C is no crash."""

    def __init__(self) -> None:
        """Catch them from now on; be on the running loop, in the main thread."""
        self.asked = asyncio.Event()
        """Set by the first: stop in order."""
        self.forced = asyncio.Event()
        """Set by the second: stop now."""
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        """It comes between any two steps, so it only asks the loop to take note."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is nothing to stop
            self._loop.call_soon_threadsafe(self._note)

    def _note(self) -> None:
        (self.forced if self.asked.is_set() else self.asked).set()


async def run_worker(
    engine: Stoppable, signals: Signals, *, grace_s: float, announce_stop: Callable[[], None]
) -> None:
    """Let the engine work until a signal; then stop it, in order, or at once at a second one."""
    await signals.asked.wait()
    announce_stop()
    stop = asyncio.create_task(engine.stop(grace_s=grace_s), name="stop")
    forced = asyncio.create_task(signals.forced.wait(), name="second signal")
    await asyncio.wait({stop, forced}, return_when=asyncio.FIRST_COMPLETED)
    forced.cancel()
    if not stop.done():
        await engine.stop(grace_s=0.0)
    await stop
