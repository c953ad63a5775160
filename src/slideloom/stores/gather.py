"""An executor whose thread makes many small writes in one turn."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from msgspec import Struct


class _Errand(Struct):
    work: Callable[[], Any]
    done: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class GatheringExecutor(Executor):
    """One thread; what is handed in while it is busy is done in its next turn, all together.

    A hop to a thread is dear because loop and thread fight for the interpreter
    lock. Under load one hop carries the pieces of many pictures, and the loop
    is woken once for all of them. To be used on the running loop alone.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._batches: queue.SimpleQueue[list[_Errand] | None] = queue.SimpleQueue()
        self._waiting: list[_Errand] = []
        self._is_busy = False
        self._thread = threading.Thread(target=self._serve, name="image-writer", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as inherited
        """See `Executor`; the loop's own future, which `run_in_executor` hands on as it is."""
        errand = _Errand(partial(fn, *args, **kwargs), self._loop.create_future())
        self._waiting.append(errand)
        if not self._is_busy:
            self._is_busy = True
            self._loop.call_soon(self._set_off)  # after those who are just as far
        return errand.done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as inherited
        """See `Executor`; what was handed in is done."""
        self._batches.put(self._waiting)
        self._waiting = []
        self._batches.put(None)
        if wait:
            self._thread.join()

    def _set_off(self) -> None:
        batch, self._waiting = self._waiting, []
        self._batches.put(batch)

    def _come_back(self, batch: list[_Errand]) -> None:
        for errand in batch:
            if errand.done.done():
                continue  # whoever waited was cancelled; it is done all the same
            if errand.error is None:
                errand.done.set_result(errand.result)
            else:
                errand.done.set_exception(errand.error)
        self._is_busy = bool(self._waiting)
        if self._is_busy:
            self._set_off()

    def _serve(self) -> None:
        while (batch := self._batches.get()) is not None:
            for errand in batch:
                if errand.done.cancelled():
                    continue
                try:
                    errand.result = errand.work()
                except BaseException as error:  # noqa: BLE001 - told to whoever waits
                    errand.error = error
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
                self._loop.call_soon_threadsafe(self._come_back, batch)
