"""One run's right to write to one batch: what it records is written, then announced."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, repeat
from typing import TypeVar

from slideloom.clock import wall_s
from slideloom.domain.events import Event, SlideCharged, SlideDone, SlideFailed, SlideRetrying
from slideloom.engine.timeline import Timeline
from slideloom.errors import Fenced, StoreError, UnreadableLog
from slideloom.logs import Log
from slideloom.stores.base import BatchStore, Encoded, encode_event

_WRITE_PAUSES_S = (0.5, 1.0, 2.0, 5.0)
"""Between tries to write while the store fails; the last one for as long as it takes."""

_T = TypeVar("_T")


class Recorder:
    """Writes one batch's events in the order they were recorded.

    Those that come while a write is under way go together into the next. A store
    that fails is asked again until it is back: meanwhile nothing is announced, and
    nothing new paid. Once another run has taken the batch, only costs are written.
    """

    def __init__(self, *, store: BatchStore, timeline: Timeline, epoch: int, log: Log) -> None:
        self.timeline = timeline
        self.batch_id = timeline.state.batch_id
        self._store = store
        self._epoch = epoch
        self._log = log
        self._waiting: list[tuple[Sequence[Encoded], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def record(self, *events: Event) -> None:
        """Write `events`, then announce them; also when the caller is cancelled meanwhile.

        Raises:
            Fenced: another run has taken the batch; of `events` only the costs were written.
            UnicodeEncodeError: one of them holds what is no text; none is written.
        """
        await self.put(*events)

    def put(self, *events: Event) -> asyncio.Future[None]:
        """Have `events` written after all that was recorded before; done once they are.

        Raises:
            UnicodeEncodeError: as `record`.
        """
        encoded = [encode_event(event) for event in events]
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((encoded, written))
        if self._writer is None or self._writer.done():
            name = f"writer {self.batch_id}"
            self._writer = asyncio.create_task(self._write_waiting(), name=name)
        return written

    async def settle(self) -> None:
        """Wait until everything recorded so far is written."""
        while self._writer is not None and not self._writer.done():
            await asyncio.wait({self._writer})

    async def close(self) -> None:
        """Give up what could not be written."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _write_waiting(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            events = [event for recorded, _ in group for event in recorded]
            fault = await self._write(events)
            for _, written in group:
                if written.done():
                    continue  # whoever waited was cancelled; the write stands
                if fault is None:
                    written.set_result(None)
                else:
                    written.set_exception(fault)

    async def _write(self, events: Sequence[Encoded]) -> Exception | None:
        try:
            seq = await self._insist(lambda: self._append(self._epoch, events))
            news = [one.event for one in events]
            if seq > self.timeline.state.seq + len(news):
                # What an earlier run wrote meanwhile, late costs, counts as well.
                news = await self._insist(self._read_news)
            self.timeline.announce(news)
        except Fenced as fault:
            await self._write_charges(_list_charges(events))
            return fault
        except Exception as fault:  # noqa: BLE001 - whoever waits must hear of it
            return fault
        return None

    async def _write_charges(self, charges: Sequence[Encoded]) -> None:
        """An answer that comes too late changes nothing but what was spent."""
        if not charges:
            return
        fault = None
        try:
            await self._insist(lambda: self._append(None, charges))
        except Exception as error:  # noqa: BLE001 - that the batch is gone, say
            fault = error
        self._log.warning("late_answer", batch_id=self.batch_id, exc_info=fault)

    async def _append(self, epoch: int | None, events: Sequence[Encoded]) -> int:
        return await self._store.append(self.batch_id, epoch, events)

    async def _read_news(self) -> list[Event]:
        return await self._store.read(self.batch_id, after=self.timeline.state.seq)

    async def _insist(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask the store, and again while it fails."""
        for pause_s in chain(_WRITE_PAUSES_S, repeat(_WRITE_PAUSES_S[-1])):
            try:
                return await ask()
            except (Fenced, UnreadableLog):
                raise
            except StoreError as error:
                self._log.error("store_failed", batch_id=self.batch_id, exc_info=error)
                await asyncio.sleep(pause_s)
        raise AssertionError  # the pauses have no end


def _list_charges(events: Sequence[Encoded]) -> list[Encoded]:
    return [
        encode_event(SlideCharged(at_s=wall_s(), place=event.place, cost_usd=event.cost_usd))
        for event in (one.event for one in events)
        if isinstance(event, SlideRetrying | SlideDone | SlideFailed) and event.cost_usd is not None
    ]
