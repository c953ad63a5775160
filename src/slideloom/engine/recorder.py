"""One run's right to write to one batch: what it records is written, then announced.

Others may write to the batch too: late costs of an earlier run, and what users want of it where
that is asked of another process. A run sees that by the number of its own write, or is told.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, repeat
from typing import TypeVar

from msgspec import Struct

from slideloom.clock import wall_s
from slideloom.domain.events import (
    BatchFinished,
    Event,
    SlideCharged,
    SlideDone,
    SlideFailed,
    SlideRetrying,
)
from slideloom.engine.timeline import Timeline
from slideloom.errors import Fenced, LogMoved, StoreError, UnreadableLog
from slideloom.logs import Log
from slideloom.stores.base import BatchStore, Encoded, encode_event

_WRITE_PAUSES_S = (0.5, 1.0, 2.0, 5.0)
"""Between tries to write while the store fails; the last one for as long as it takes."""

_ALL = sys.maxsize
"""The number of whatever is last."""

_T = TypeVar("_T")


class _Entry(Struct, eq=False):
    """What waits to be written, or, of no events, to be read."""

    events: Sequence[Encoded]
    seq: int
    """What others have written up to this number is taken in."""
    done: asyncio.Future[None]


class Recorder:
    """Writes one batch's events in the order they were recorded.

    Those that come while a write is under way go together into the next. A store
    that fails is asked again until it is back: meanwhile nothing is announced, and
    nothing new paid. Once another run has taken the batch, only costs are written.
    The batch's end is written only behind what is known here: it may be wanted again.
    """

    def __init__(self, *, store: BatchStore, timeline: Timeline, epoch: int, log: Log) -> None:
        self.timeline = timeline
        self.batch_id = timeline.state.batch_id
        self._store = store
        self._epoch = epoch
        self._log = log
        self.heed: Callable[[Sequence[Event]], None] = lambda _: None
        """Called with what others wrote, once it is announced."""
        self._waiting: list[_Entry] = []
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
        return self._add([encode_event(event) for event in events])

    async def catch_up(self) -> None:
        """Take in whatever others have written, after all that waits."""
        await self._add((), seq=_ALL)

    def look(self, seq: int) -> None:
        """Have what others wrote up to number `seq` taken in, after all that waits."""
        self._add((), seq=seq).add_done_callback(_forget_fault)

    def _add(self, events: Sequence[Encoded], *, seq: int = 0) -> asyncio.Future[None]:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Entry(events, seq, written))
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
            events = [event for entry in group for event in entry.events]
            fault = await self._write(events, seq=max(entry.seq for entry in group))
            for entry in group:
                if entry.done.done():
                    continue  # whoever waited was cancelled; the write stands
                if fault is None:
                    entry.done.set_result(None)
                else:
                    entry.done.set_exception(fault)

    async def _write(self, events: Sequence[Encoded], *, seq: int) -> Exception | None:
        try:
            if events:
                await self._write_and_announce(events)
            if seq > self.timeline.state.seq:
                await self._take_in()
        except LogMoved:
            return await self._write([one for one in events if not _is_end(one)], seq=_ALL)
        except Fenced as fault:
            await self._write_charges(_list_charges(events))
            return fault
        except Exception as fault:  # noqa: BLE001 - whoever waits must hear of it
            return fault
        return None

    async def _write_and_announce(self, events: Sequence[Encoded]) -> None:
        known = self.timeline.state.seq
        at = known if any(map(_is_end, events)) else None
        seq = await self._insist(lambda: self._append(self._epoch, events, at=at))
        if seq < known + len(events):
            raise self._to_loss()
        if seq > known + len(events):
            await self._take_in()
        else:
            self.timeline.announce([one.event for one in events])

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

    async def _append(
        self, epoch: int | None, events: Sequence[Encoded], *, at: int | None = None
    ) -> int:
        return await self._store.append(self.batch_id, epoch, events, at=at)

    async def _take_in(self) -> None:
        """Announce what is new in the log, whoever wrote it, and heed it."""
        state = self.timeline.state
        log = await self._insist(lambda: self._store.read(self.batch_id, after=state.seq - 1))
        if not log or log[0].at_s != state.latest_at_s:
            raise self._to_loss()
        news = log[1:]
        self.timeline.announce(news)
        self.heed(news)

    def _to_loss(self) -> UnreadableLog:
        return UnreadableLog(f"the log of batch {self.batch_id} has lost its end")

    async def _insist(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask the store, and again while it fails."""
        for pause_s in chain(_WRITE_PAUSES_S, repeat(_WRITE_PAUSES_S[-1])):
            try:
                return await ask()
            except (Fenced, LogMoved, UnreadableLog):
                raise
            except StoreError as error:
                self._log.error("store_failed", batch_id=self.batch_id, exc_info=error)
                await asyncio.sleep(pause_s)
        raise AssertionError  # the pauses have no end


def _is_end(one: Encoded) -> bool:
    return isinstance(one.event, BatchFinished)


def _forget_fault(look: asyncio.Future[None]) -> None:
    if not look.cancelled():
        look.exception()  # that the batch was taken over is seen at the next write


def _list_charges(events: Sequence[Encoded]) -> list[Encoded]:
    return [
        encode_event(SlideCharged(at_s=wall_s(), place=event.place, cost_usd=event.cost_usd))
        for event in (one.event for one in events)
        if isinstance(event, SlideRetrying | SlideDone | SlideFailed) and event.cost_usd is not None
    ]
