"""The engine: takes orders and wishes, has batches run, and answers for every one of them."""

import asyncio
import math
import uuid
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.batch import BatchState, can_reopen, fold
from slideloom.domain.estimate import Estimate
from slideloom.domain.events import (
    BatchCancelled,
    BatchFinished,
    BatchOrder,
    BatchSubmitted,
    SlideRestored,
    SlidesReopened,
)
from slideloom.domain.images import NotAPicture
from slideloom.domain.keys import OnceKey
from slideloom.domain.status import to_summary
from slideloom.engine.estimates import estimate_batch
from slideloom.engine.journal import log_batch_end, log_batch_start, log_cut_off
from slideloom.engine.lanes import SINGLES
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
    InvalidRequest,
    SlideErrorCode,
    SlideUnderWay,
    Stopping,
    StoreError,
    UnknownBatch,
    UnknownSlide,
)
from slideloom.logs import Log
from slideloom.queues.base import Queue
from slideloom.stores.base import BatchStore, Page

_CLEANUP_EVERY_S = 600.0
_LAST_WRITES_S = 5.0
"""For recording what a stop cut off."""
_CANCEL_S = 5.0
"""How long a cancel waits for the batch's end; a picture that is just being kept is kept."""
_RECENT_SLIDES = 50
"""How many finished slides the advice on duration rests on."""
_MIN_BATCH_TIMEOUT_S = 600.0
"""Source: contract section 5."""

_T = TypeVar("_T")


class EngineLimits(Struct, frozen=True, kw_only=True):
    """The numbers and choices of an operator."""

    slide_timeout_s: float
    batch_timeout_s: float
    """0: by the number of slides and workers."""
    single_workers: int
    """Single slides under way at once."""
    keep_finished_s: float
    """How long a finished batch's record is kept."""
    resume_in_flight: InFlightPolicy = "fail"


class BatchEngine:
    """Runs batches over a queue and keeps what it knows of them."""

    def __init__(
        self, *, store: BatchStore, queue: Queue, maker: SlideMaker, limits: EngineLimits, log: Log
    ) -> None:
        self._store = store
        self._queue = queue
        self._maker = maker
        self._limits = limits
        self._log = log
        self._roster = Roster()
        self._single_slots = asyncio.Semaphore(limits.single_workers)
        self._recent_s: deque[float] = deque(maxlen=_RECENT_SLIDES)
        self._errands: set[asyncio.Task[Any]] = set()
        """What callers asked for and must not be left half done."""
        self._singles: set[asyncio.Task[None]] = set()
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        """One wish at a time for each batch."""
        self._cleaner: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()

    # Its life.

    async def start(self) -> None:
        """Go on with what an earlier process left open, then take orders."""
        left_open = await self._store.find_unfinished()
        runs = await asyncio.gather(*map(self._resume, left_open))
        self._queue.serve(self._run)
        for run in runs:
            if run is not None:
                await self._queue.submit(run.batch_id)
        self._cleaner = asyncio.create_task(self._clean_up(), name="clean up")

    async def stop(self, *, grace_s: float) -> None:
        """Begin nothing new, give calls under way `grace_s`, then leave the rest to the next start.

        May be called again meanwhile, to cut the grace short.
        """
        self.stopping.set()
        if self._cleaner is not None:
            self._cleaner.cancel()
        for run in self._roster.runs.values():
            run.deadline.close(_last_code(run))
        if self._errands:
            await asyncio.wait(self._errands, timeout=_LAST_WRITES_S)
        await self._drain(timeout_s=grace_s)
        for run in self._roster.runs.values():
            run.deadline.cut(_last_code(run))
        await self._drain(timeout_s=_LAST_WRITES_S)
        # Only a store that fails leaves anything here; the next start reads what it has.
        await self._queue.stop()
        for run in tuple(self._roster.runs.values()):
            self._log.error("batch_not_written", batch_id=run.batch_id)
            await run.recorder.close()
            self._roster.drop(run)

    async def _drain(self, *, timeout_s: float) -> None:
        until_s = monotonic_s() + timeout_s
        await self._queue.drain(timeout_s=timeout_s)
        if self._singles:
            await asyncio.wait(self._singles, timeout=max(0.0, until_s - monotonic_s()))

    def refuse_if_stopping(self) -> None:
        """Raise `Stopping` once the service shuts down."""
        if self.stopping.is_set():
            raise Stopping

    # Orders.

    async def submit(self, order: BatchOrder) -> Timeline:
        """Take an order: it is written down when this returns.

        Raises:
            Stopping: the service is shutting down.
            StoreError: it could not be written.
        """
        timeline, _ = await self.submit_once(order, None)
        return timeline

    async def submit_once(self, order: BatchOrder, key: OnceKey | None) -> tuple[Timeline, bool]:
        """Take an order unless `key` stands for one taken before; whether it does.

        Raises:
            KeyReused: it stands for another order.
            Stopping, StoreError: as `submit`.
        """
        self.refuse_if_stopping()
        return await self._see_through(self._take(order, key), name="take an order")

    async def make_single(self, order: BatchOrder, key: OnceKey | None = None) -> BatchState:
        """Make one slide, a batch of its own, and wait for its end.

        Raises:
            KeyReused, Stopping, StoreError: as `submit_once`.
        """
        timeline, _ = await self.submit_once(order, key)
        await timeline.wait_finished(timeout_s=None)
        if not timeline.state.is_final:
            raise Stopping
        return timeline.state

    async def keep_reference(self, order: BatchOrder, picture: bytes) -> BatchOrder:
        """The order, with a picture that was sent along for the style of its slides.

        Raises:
            InvalidRequest: it is no picture.
            StorageFull: it could not be kept.
        """
        try:
            name = await self._maker.images.keep_reference(picture)
        except NotAPicture as error:
            raise InvalidRequest(str(error), ("body", "style_reference")) from error
        return replace(order, reference_file=name)

    async def estimate(self, order: BatchOrder) -> Estimate:
        """What making the batch would take; nothing is paid."""
        return await estimate_batch(
            order, self._maker, measured_slide_s=self.mean_slide_s(), log=self._log
        )

    async def _take(self, order: BatchOrder, key: OnceKey | None) -> tuple[Timeline, bool]:
        batch_id = str(uuid.uuid4())
        submitted = BatchSubmitted(at_s=wall_s(), order=order)
        taken_id = await self._store.create(batch_id, submitted, key=key)
        if taken_id != batch_id:
            return await self.get(taken_id), True
        run = self._enrol(Timeline(fold(batch_id, [submitted])), epoch=1)
        log_batch_start(self._log, run.state)
        if order.is_single:  # waits for no batch
            task = asyncio.create_task(self._run(batch_id), name=f"single slide {batch_id}")
            self._singles.add(task)
            task.add_done_callback(self._singles.discard)
        else:
            await self._queue.submit(batch_id)
        return run.timeline, False

    def _enrol(self, timeline: Timeline, *, epoch: int) -> BatchRun:
        """A run of the batch, known from now on."""
        order = timeline.state.order
        run = BatchRun(
            Recorder(store=self._store, timeline=timeline, epoch=epoch, log=self._log),
            slots=self._single_slots if order.is_single else asyncio.Semaphore(order.max_workers),
            party=SINGLES if order.is_single else timeline.state.batch_id,
        )
        if self.stopping.is_set():
            run.deadline.close(_last_code(run))
        self._roster.add(run)
        return run

    # Wishes: what users want of a batch that is there.

    async def cancel(self, batch_id: str) -> Timeline:
        """Begin no more attempts, give up those under way; the batch as it is then.

        Raises:
            UnknownBatch: there is none.
            Stopping: the service is shutting down.
        """
        self.refuse_if_stopping()
        timeline = await self.get(batch_id)
        run = self._roster.runs.get(batch_id)
        if run is not None and not run.state.is_final:
            await self._see_through(self._cancel(run), name=f"cancel {batch_id}")
        return timeline

    async def _cancel(self, run: BatchRun) -> None:
        run.deadline.close("cancelled")
        if not run.state.is_cancelled:
            await run.record(BatchCancelled(at_s=wall_s()))
        run.deadline.cut("cancelled")
        await self._run(run.batch_id)  # if it still waits for its turn
        await run.timeline.wait_finished(timeout_s=_CANCEL_S)

    async def retry(self, batch_id: str, slide_ids: Collection[str] | None = None) -> Timeline:
        """Make again what is not done: those slides, or all.

        Raises:
            UnknownBatch, UnknownSlide: there is none.
            Stopping: the service is shutting down.
        """

        def choose(state: BatchState) -> list[int]:
            chosen = [slide.id for slide in state.order.slides] if slide_ids is None else slide_ids
            return [_find_place(state, slide_id) for slide_id in dict.fromkeys(chosen)]

        return await self._reopen(batch_id, choose, anew=False)

    async def regenerate(self, batch_id: str, slide_id: str) -> Timeline:
        """Make a new version of a slide, never from the cache; one under way is that version.

        Raises:
            UnknownBatch, UnknownSlide, Stopping: as `retry`.
        """
        return await self._reopen(batch_id, lambda state: [_find_place(state, slide_id)], anew=True)

    async def restore(self, batch_id: str, slide_id: str, version: int) -> Timeline:
        """Show an earlier version of a slide again; `version` is 1-based.

        Raises:
            SlideUnderWay: it is being made.
            UnknownBatch, UnknownSlide, Stopping: as `retry`.
        """
        return await self._see_through(
            self._restore(batch_id, slide_id, version), name=f"restore in {batch_id}"
        )

    async def _restore(self, batch_id: str, slide_id: str, version: int) -> Timeline:
        async with self._holding(batch_id) as run:
            place = _find_place(run.state, slide_id)
            slide = run.state.slides[place]
            if not slide.is_final:
                raise SlideUnderWay(slide_id)
            if not 1 <= version <= len(slide.versions):
                raise UnknownSlide(slide_id, version)
            if slide.picture is not slide.versions[version - 1]:
                await run.record(SlideRestored(at_s=wall_s(), place=place, version=version))
            return run.timeline

    async def _reopen(
        self, batch_id: str, choose: Callable[[BatchState], Sequence[int]], *, anew: bool
    ) -> Timeline:
        async def reopen() -> Timeline:
            async with self._holding(batch_id) as run:
                slides = run.state.slides
                places = [p for p in choose(run.state) if can_reopen(slides[p], anew=anew)]
                if places:
                    await self._make_again(run, places, anew=anew)
                return run.timeline

        return await self._see_through(reopen(), name=f"make again {batch_id}")

    async def _make_again(self, run: BatchRun, places: Sequence[int], *, anew: bool) -> None:
        if run.has_begun:
            run.deadline.start(self._batch_timeout_s(run.state.order))
        await run.record(SlidesReopened(at_s=wall_s(), places=tuple(places), anew=anew))
        log_batch_start(self._log, run.state, places=places)
        run.notice()
        if not run.has_begun:
            await self._queue.submit(run.batch_id)

    @asynccontextmanager
    async def _holding(self, batch_id: str) -> AsyncIterator[BatchRun]:
        """The run that may write to the batch, its state up to date, for one wish at a time.

        One that has ended gets a new run; if it is still ended afterwards, that is over at once.
        """
        async with self._turns.setdefault(batch_id, asyncio.Lock()):
            run = await self._find_run(batch_id) or await self._revive(batch_id)
            try:
                yield run
            finally:
                if run.state.is_final and not run.has_begun:
                    self._roster.drop(run)

    async def _find_run(self, batch_id: str) -> BatchRun | None:
        while (run := self._roster.runs.get(batch_id)) is not None:
            self.refuse_if_stopping()
            if run.deadline.is_closed:  # cancelled just now: it only ends
                await run.is_over.wait()
                continue
            await run.recorder.settle()
            if self._roster.runs.get(batch_id) is run:
                break
        self.refuse_if_stopping()
        return run

    async def _revive(self, batch_id: str) -> BatchRun:
        """A new run of a batch that has ended.

        Raises:
            UnknownBatch: there is none, or it is a single slide's.
        """
        epoch = await self._store.lease(batch_id)
        state = fold(batch_id, await self._store.read(batch_id))
        if state.order.is_single:
            raise UnknownBatch(batch_id)
        return self._enrol(Timeline(state), epoch=epoch)

    # Answers.

    async def get(self, batch_id: str) -> Timeline:
        """A batch's timeline: a live one without touching the disk.

        Raises:
            UnknownBatch: there is none, or its record has been cleaned up.
        """
        if (known := self._roster.find(batch_id)) is not None:
            return known
        log = await self._store.read(batch_id)
        if not log:
            raise UnknownBatch(batch_id)
        return Timeline(fold(batch_id, log))

    async def list_batches(self, *, limit: int, cursor: str | None) -> Page:
        """Batches, newest first; unfinished ones as they stand now."""
        page = await self._store.list_batches(limit=limit, cursor=cursor)
        runs = self._roster.runs
        batches = tuple(
            to_summary(runs[line.batch_id].state) if line.batch_id in runs else line
            for line in page.batches
        )
        return Page(batches=batches, next_cursor=page.next_cursor)

    def list_stops(self) -> list[str]:
        """The keys that were refused, in words."""
        return self._maker.lanes.list_stops()

    def active_count(self) -> int:
        """How many batches have not ended."""
        states = [run.state for run in self._roster.runs.values()]
        return sum(not state.is_final and not state.order.is_single for state in states)

    def mean_slide_s(self) -> float | None:
        """How long a slide took lately; `None` before the first."""
        return sum(self._recent_s) / len(self._recent_s) if self._recent_s else None

    # Runs.

    async def _run(self, batch_id: str) -> None:
        run = self._roster.runs.get(batch_id)
        if run is None or run.has_begun:
            return
        run.has_begun = True
        timeout_s = self._batch_timeout_s(run.state.order)
        try:
            await run_batch(run, self._maker, timeout_s=timeout_s, log=self._log)
        except* Fenced:
            self._log.warning("batch_fenced", batch_id=batch_id)
        except* Exception as error:  # noqa: BLE001 - the edge of a batch's task
            self._log.error("batch_crashed", batch_id=batch_id, exc_info=error)
            await self._end_crashed(run)
        self._recent_s.extend(run.made_s)
        self._roster.drop(run)
        if run.state.is_final:
            log_batch_end(self._log, run.state)

    async def _end_crashed(self, run: BatchRun) -> None:
        """End truthfully a batch whose run broke down."""
        log = await self._store.read(run.batch_id)
        elapsed_s = run.timeline.elapsed_s
        ends = end_unfinished(run.state, code="internal", at_s=wall_s(), total_time_s=elapsed_s)
        await run.record(*ends)
        log_cut_off(self._log, run.state, ends, log)

    async def _resume(self, batch_id: str) -> BatchRun | None:
        """Bring an unfinished batch's log in order; its run, if it is to go on."""
        try:
            epoch = await self._store.lease(batch_id)
            log = await self._store.read(batch_id)
            state = fold(batch_id, log)
            found = await find_left_behind(state, self._maker.images)
            policy = self._limits.resume_in_flight
            events = plan_resume(state, found=found, policy=policy, at_s=wall_s())
            if events:
                await self._store.append(batch_id, epoch, events)
        except StoreError as error:  # one unreadable record keeps no other from being served
            self._log.error("batch_unreadable", batch_id=batch_id, exc_info=error)
            return None
        state = fold(batch_id, [*log, *events])
        log_cut_off(self._log, state, events, log)
        self._log.warning("batch_resumed", batch_id=batch_id, cut_off=len(events))
        if isinstance(events[-1] if events else None, BatchFinished):
            log_batch_end(self._log, state)
            return None
        return self._enrol(Timeline(state), epoch=epoch)

    async def _clean_up(self) -> None:
        """Drop the records of batches that ended long ago; their pictures stay."""
        while True:
            try:
                now_s = wall_s()
                before_s = now_s - self._limits.keep_finished_s
                forgotten = await self._store.forget_finished(before_s=before_s, now_s=now_s)
                await self._maker.results.forget_old()
                if forgotten:
                    self._roster.forget_ended()
                    self._log.info("records_cleaned_up", batches=forgotten)
            except Exception as error:  # noqa: BLE001 - a background loop outlives its errors
                self._log.error("clean_up_failed", exc_info=error)
            await asyncio.sleep(_CLEANUP_EVERY_S)

    def _batch_timeout_s(self, order: BatchOrder) -> float:
        if self._limits.batch_timeout_s:
            return self._limits.batch_timeout_s
        rounds = math.ceil(len(order.slides) / order.max_workers)
        return max(_MIN_BATCH_TIMEOUT_S, self._limits.slide_timeout_s * rounds)

    async def _see_through(self, errand: Coroutine[Any, Any, _T], *, name: str) -> _T:
        """Do it in a task of the engine's own: a caller that goes away leaves nothing half done."""
        task = asyncio.create_task(errand, name=name)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return await asyncio.shield(task)


def _find_place(state: BatchState, slide_id: str) -> int:
    """Where the slide stands in the batch.

    Raises:
        UnknownSlide: nowhere.
    """
    for place, slide in enumerate(state.order.slides):
        if slide.id == slide_id:
            return place
    raise UnknownSlide(slide_id)


def _last_code(run: BatchRun) -> SlideErrorCode | None:
    """What a stop ends slides in: a single one has its caller's answer, others are left open."""
    return "interrupted" if run.state.order.is_single else None
