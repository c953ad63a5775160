"""An executor whose thread makes many small writes in one turn."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from msgspec import Struct


class _Errand(Struct):
    work: Callable[[], Any]
    done: Future[Any]
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
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="image-writer")
        self._waiting: list[_Errand] = []
        self._is_busy = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - as inherited
        """See `Executor`."""
        errand = _Errand(partial(fn, *args, **kwargs), Future())
        self._waiting.append(errand)
        if not self._is_busy:
            self._set_off()
        return errand.done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as inherited
        """See `Executor`."""
        self._thread.shutdown(wait, cancel_futures=cancel_futures)

    def _set_off(self) -> None:
        self._is_busy = True
        batch, self._waiting = self._waiting, []
        self._thread.submit(_do_all, batch, self._loop, self._come_back)

    def _come_back(self, batch: list[_Errand]) -> None:
        for errand in batch:
            if errand.done.cancelled():
                continue
            if errand.error is None:
                errand.done.set_result(errand.result)
            else:
                errand.done.set_exception(errand.error)
        self._is_busy = False
        if self._waiting:
            self._set_off()


def _do_all(
    batch: list[_Errand],
    loop: asyncio.AbstractEventLoop,
    come_back: Callable[[list[_Errand]], None],
) -> None:
    for errand in batch:
        if errand.done.set_running_or_notify_cancel():
            try:
                errand.result = errand.work()
            except BaseException as error:  # noqa: BLE001 - told to whoever waits
                errand.error = error
    loop.call_soon_threadsafe(come_back, batch)
