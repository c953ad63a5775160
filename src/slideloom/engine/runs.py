"""The batches that are made in this process: taken up, run to their end, or left open."""

import asyncio
import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.batch import fold
from slideloom.domain.events import BatchOrder, BatchResumed, Event, SlidesReopened
from slideloom.engine.journal import log_batch_end, log_cut_off
from slideloom.engine.lanes import SINGLES
from slideloom.engine.recent import RecentSlides
from slideloom.engine.recorder import Recorder
from slideloom.engine.recovery import (
    InFlightPolicy,
    end_unfinished,
    find_left_behind,
    plan_resume,
)
from slideloom.engine.roster import Roster
from slideloom.engine.run import BatchRun, run_batch
from slideloom.engine.slide import SlideMaker
from slideloom.engine.timeline import Timeline
from slideloom.errors import (
    Fenced,
    LogMoved,
    NotTakenUp,
    SlideErrorCode,
    Stopping,
    StoreError,
    UnknownBatch,
    UnreadableLog,
)
from slideloom.logs import Log
from slideloom.metrics import Metrics
from slideloom.queues.base import Queue
from slideloom.stores.base import BatchStore
from slideloom.tracing import Fact, Tracer, within

_LAST_WRITES_S = 5.0
"""For recording what a stop cut off."""
_RESUME_AGAIN_S = 5.0
"""Between tries to take up batches while the store fails."""
_MIN_BATCH_TIMEOUT_S = 600.0
"""Source: contract section 5."""


class EngineLimits(Struct, frozen=True, kw_only=True):
    """The numbers and choices of an operator."""

    slide_timeout_s: float
    batch_timeout_s: float
    """0: by the number of slides and workers."""
    single_workers: int
    """Single slides under way at once."""
    keep_finished_s: float
    """How long a finished batch's record is kept."""
    keep_pictures_s: float = 0.0
    """How long pictures are kept; 0: for ever."""
    resume_in_flight: InFlightPolicy = "fail"

    def batch_timeout_of(self, order: BatchOrder) -> float:
        """How long a run of it may take."""
        if self.batch_timeout_s:
            return self.batch_timeout_s
        rounds = math.ceil(len(order.slides) / order.max_workers)
        return max(_MIN_BATCH_TIMEOUT_S, self.slide_timeout_s * rounds)


class Runs:
    """Every batch that is made here, and how it comes to that."""

    def __init__(  # noqa: PLR0913 - its parts, all named
        self,
        *,
        store: BatchStore,
        queue: Queue,
        maker: SlideMaker,
        limits: EngineLimits,
        log: Log,
        metrics: Metrics,
        tracer: Tracer,
    ) -> None:
        self.stopping = asyncio.Event()
        self.roster = Roster()
        self._store = store
        self._queue = queue
        self._maker = maker
        self.limits = limits
        self._log = log
        self._metrics = metrics
        self._tracer = tracer
        self._single_slots = asyncio.Semaphore(limits.single_workers)
        self._hurried: set[asyncio.Task[None]] = set()
        self._recent = RecentSlides()
        self._unresumed: set[str] = set()
        """Batches left open that the store did not give."""
        self._unreadable: set[str] = set()
        """Batches whose record is not what we write."""

    # Taking batches up.

    def enrol(self, timeline: Timeline, *, epoch: int) -> BatchRun:
        """A run of the batch, which is made here from now on; `begin` has it run."""
        order = timeline.state.order
        run = BatchRun(
            Recorder(store=self._store, timeline=timeline, epoch=epoch, log=self._log),
            slots=self._single_slots if order.is_single else asyncio.Semaphore(order.max_workers),
            party=SINGLES if order.is_single else timeline.state.batch_id,
        )
        run.recorder.heed = partial(self._obey, run)
        if self.stopping.is_set():
            run.deadline.close(_last_code(run))
        self.roster.add(run)
        return run

    async def begin(self, run: BatchRun) -> None:
        """Have the batch run, soon; a single slide waits for no batch."""
        if run.state.order.is_single:
            self.hurry(run)
        else:
            await self._queue.submit(run.batch_id)

    def hurry(self, run: BatchRun) -> None:
        """Have the batch run now, out of its turn."""
        task = asyncio.create_task(self.run(run.batch_id), name=f"batch {run.batch_id} out of turn")
        self._hurried.add(task)
        task.add_done_callback(self._hurried.discard)

    async def revive(self, batch_id: str) -> BatchRun:
        """A new run of a batch that has ended.

        Raises:
            UnknownBatch: there is none, or it is a single slide's.
            NotTakenUp: it has not ended, and is not made here yet.
        """
        log = await self._store.read(batch_id)
        if not log:
            raise UnknownBatch(batch_id)
        timeline = self.roster.meet(batch_id, log)
        if timeline.state.order.is_single:
            raise UnknownBatch(batch_id)
        if not timeline.state.is_final:  # its attempts in flight have not been looked at
            raise NotTakenUp(batch_id)
        return self.enrol(timeline, epoch=await self._store.lease(batch_id))

    async def resume_all(self) -> None:
        """Go on with every batch that an earlier process left open.

        Raises:
            StoreError: not even their ids can be read.
        """
        left_open = await self._store.find_unfinished()
        self._queue.serve(self.run)
        await self._resume_some(left_open)

    async def resume_late(self) -> None:
        """Take up what the store did not give at the start, or what broke down, without end."""
        while True:
            await asyncio.sleep(_RESUME_AGAIN_S)
            await self._resume_some(sorted(self._unresumed))

    async def _resume_some(self, batch_ids: Sequence[str]) -> None:
        for run in await asyncio.gather(*map(self.resume, batch_ids)):
            if run is not None:
                await self.begin(run)

    def pop_unresumed(self, batch_id: str) -> bool:
        """Whether the batch could not be taken up, or not be ended: whoever asks sees to it."""
        is_unresumed = batch_id in self._unresumed
        self._unresumed.discard(batch_id)
        return is_unresumed

    def _obey(self, run: BatchRun, news: Sequence[Event]) -> None:
        """Do what others wrote that is wanted of the batch; what they made of it is known."""
        if any(isinstance(event, BatchResumed) for event in news):
            run.deadline.leave()
        elif run.state.is_final:  # ended over our head: it was cancelled
            run.deadline.cut(None)
        elif run.state.is_cancelled:
            run.deadline.cut("cancelled")
        elif any(isinstance(event, SlidesReopened) for event in news):
            if run.deadline.is_closed:  # it was cancelled: it only ends, and another follows it
                run.deadline.leave()
            self.restart_clock(run)
        run.notice()

    async def resume(self, batch_id: str, *, is_new: bool = False) -> BatchRun | None:
        """Bring an unfinished batch's log in order; its run, if it is to go on.

        Its trace is a new one: the one it was ordered in ended with the process.
        """
        with within(self._tracer.begin("resume", None, batch_id=batch_id)):
            return await self._take_up(batch_id, is_new=is_new)

    async def _take_up(self, batch_id: str, *, is_new: bool) -> BatchRun | None:
        self._unresumed.add(batch_id)
        try:
            epoch = await self._store.lease(batch_id)
            log, events = await self._bring_in_order(batch_id, epoch, is_new=is_new)
            timeline = self.roster.meet_again(batch_id, [*log, *events])
        except Fenced:  # somebody else has it by now, or has ended it
            self._log.warning("batch_fenced", batch_id=batch_id)
            self._unresumed.discard(batch_id)
            return None
        except StoreError as error:  # keeps no other batch from being served
            self._note_not_resumed(batch_id, error)
            return None
        except Exception as error:  # noqa: BLE001 - as above: a record that makes no sense
            self._log.error("batch_not_resumed", batch_id=batch_id, exc_info=error)
            self._unresumed.discard(batch_id)
            return None
        self._unresumed.discard(batch_id)
        state = timeline.state
        if events:
            log_cut_off(self._log, state, events, log)
            self._log.warning("batch_resumed", batch_id=batch_id)
            if state.is_final:
                log_batch_end(self._log, state)
        return None if state.is_final else self.enrol(timeline, epoch=epoch)

    def _note_not_resumed(self, batch_id: str, error: StoreError) -> None:
        """Tell of it; of a record that cannot be read only once, as a queue brings it again."""
        if isinstance(error, UnreadableLog):
            self._unresumed.discard(batch_id)  # it will not become better
            if batch_id in self._unreadable:
                return
            self._unreadable.add(batch_id)
        self._log.error("batch_not_resumed", batch_id=batch_id, exc_info=error)

    async def _bring_in_order(
        self, batch_id: str, epoch: int, *, is_new: bool
    ) -> tuple[list[Event], list[Event]]:
        """A batch's log, and what was to be written behind it before it can go on."""
        while True:
            log = await self._store.read(batch_id)
            state = fold(batch_id, log)
            # Whoever had it may have ended it just now; or nothing has been done for it yet.
            if state.is_final or (is_new and len(log) == 1):
                return log, []
            found = await find_left_behind(state, self._maker.images)
            policy = self.limits.resume_in_flight
            events = plan_resume(state, found=found, policy=policy, at_s=wall_s())
            with suppress(LogMoved):  # late costs of an earlier run, or somebody's wish
                await self._store.append(batch_id, epoch, events, at=state.seq)
                return log, events

    # Running them.

    def get(self, batch_id: str) -> BatchRun:
        """The run of a batch that has not ended.

        Raises:
            NotTakenUp: it is not made here yet.
        """
        run = self.roster.runs.get(batch_id)
        if run is None:
            raise NotTakenUp(batch_id)
        return run

    async def run(self, batch_id: str) -> None:
        """Run the batch to its end, unless it runs already."""
        run = self.roster.runs.get(batch_id)
        if run is None or run.has_begun:
            return
        run.has_begun = True
        with within(self._tracer.begin("batch", run.trace, **_describe(run))) as span:
            await self._run(run)
            span.note(outcome=run.state.status)

    async def _run(self, run: BatchRun) -> None:
        batch_id, timeout_s = run.batch_id, self.limits.batch_timeout_of(run.state.order)
        try:
            await run_batch(
                run, self._maker, timeout_s=timeout_s, log=self._log, metrics=self._metrics
            )
        except* Fenced:
            self._log.warning("batch_fenced", batch_id=batch_id)
        except* Exception as error:  # noqa: BLE001 - the edge of a batch's task
            self._log.error("batch_crashed", batch_id=batch_id, exc_info=error)
            await self._end_crashed(run)
        self._recent.add(run.made_s)
        self.roster.drop(run)
        if run.state.is_final:
            log_batch_end(self._log, run.state)

    def restart_clock(self, run: BatchRun) -> None:
        """Give a run that is under way its whole time again."""
        run.deadline.start(self.limits.batch_timeout_of(run.state.order))

    def mean_slide_s(self) -> float | None:
        """How long a slide took lately; `None` before the first."""
        return self._recent.mean_s()

    async def _end_crashed(self, run: BatchRun) -> None:
        """End truthfully a batch whose run broke down; what cannot be is taken up again soon."""
        run.deadline.close("internal")  # who wants it made again waits for the end
        try:
            await run.recorder.settle()
            log = await self._store.read(run.batch_id)
            if not run.timeline.is_of(log):  # it lost its end: what is there is to be looked at
                self._unresumed.add(run.batch_id)
                return
            ends = end_unfinished(
                run.state,
                code="internal",
                at_s=wall_s(),
                total_time_s=run.timeline.elapsed_s,
                found=await find_left_behind(run.state, self._maker.images),
            )
            await run.record(*ends)
            log_cut_off(self._log, run.state, ends, log)
            if not run.state.is_final:  # somebody else wrote meanwhile: that is to be looked at
                self._unresumed.add(run.batch_id)
        except Exception as error:  # noqa: BLE001 - as above
            self._log.error("batch_not_ended", batch_id=run.batch_id, exc_info=error)
            self._unresumed.add(run.batch_id)

    # Stopping.

    def refuse_if_stopping(self) -> None:
        """Raise `Stopping` once the service shuts down."""
        if self.stopping.is_set():
            raise Stopping

    def close(self) -> None:
        """Begin nothing new; calls under way go on."""
        self.stopping.set()
        for run in self.roster.runs.values():
            run.deadline.close(_last_code(run))

    async def end(self, *, grace_s: float) -> None:
        """Give calls under way `grace_s`, then leave the rest to the next start."""
        await self._drain(timeout_s=grace_s)
        for run in self.roster.runs.values():
            run.deadline.cut(_last_code(run))
        await self._drain(timeout_s=_LAST_WRITES_S)
        # Only a store that fails leaves anything here; the next start reads what it has.
        await self._queue.stop()
        await _cancel_all(self._hurried)
        for run in tuple(self.roster.runs.values()):
            self._log.error("batch_not_written", batch_id=run.batch_id)
            await run.recorder.close()
            self.roster.drop(run)
        self.roster.close()

    async def _drain(self, *, timeout_s: float) -> None:
        until_s = monotonic_s() + timeout_s
        await self._queue.drain(timeout_s=timeout_s)
        if self._hurried:
            await asyncio.wait(self._hurried, timeout=max(0.0, until_s - monotonic_s()))


def _describe(run: BatchRun) -> dict[str, Fact]:
    order = run.state.order
    return {
        "batch_id": run.batch_id,
        "session_id": order.session_id,
        "slide_count": len(order.slides),
        "max_workers": order.max_workers,
    }


async def _cancel_all(tasks: Collection[asyncio.Task[None]]) -> None:
    left = tuple(tasks)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _last_code(run: BatchRun) -> SlideErrorCode | None:
    """What a stop ends slides in: a single one has its caller's answer, others are left open."""
    return "interrupted" if run.state.order.is_single else None
