"""The engine: takes orders, has them run, and answers for every batch."""

import asyncio
import math
import uuid
from collections import deque

from msgspec import Struct
from msgspec.structs import replace

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.batch import fold
from slideloom.domain.estimate import Estimate, to_estimate
from slideloom.domain.events import (
    BatchOrder,
    BatchSubmitted,
    SlideDone,
    SlideFailed,
    SlideRetrying,
    SlideStarted,
)
from slideloom.domain.images import NotAPicture
from slideloom.domain.status import to_summary
from slideloom.engine.attempt import SlideJob
from slideloom.engine.deadline import Deadline
from slideloom.engine.journal import log_batch_end, log_batch_start, log_cut_off, log_slide_end
from slideloom.engine.lanes import SINGLES
from slideloom.engine.recovery import end_unfinished
from slideloom.engine.run import BatchRun, run_batch, to_draw_orders
from slideloom.engine.slide import SlideMaker
from slideloom.engine.timeline import Timeline
from slideloom.errors import Fenced, InvalidRequest, Stopping, StoreError, UnknownBatch
from slideloom.logs import Log
from slideloom.queues.base import Queue
from slideloom.stores.base import BatchStore, Page

_CLEANUP_EVERY_S = 600.0
_LAST_WRITES_S = 5.0
"""For recording what a stop cut off."""
_ENDED_KEPT_CHARS = 8_000_000
"""Texts of ended batches still answered for from memory: those their clients still ask about."""
_RECENT_SLIDES = 50
"""How many finished slides the advice on duration rests on."""
_MIN_BATCH_TIMEOUT_S = 600.0
"""Source: contract section 5."""


class EngineLimits(Struct, frozen=True, kw_only=True):
    """The numbers an operator may change."""

    slide_timeout_s: float
    batch_timeout_s: float
    """0: by the number of slides and workers."""
    single_workers: int
    """Single slides under way at once."""
    keep_finished_s: float
    """How long a finished batch's record is kept."""


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
        self._live: dict[str, Timeline] = {}
        """Batches that have not ended."""
        self._ended: dict[str, Timeline] = {}
        """The latest that have, in the order they ended."""
        self._runs: dict[str, BatchRun] = {}
        self._single_slots = asyncio.Semaphore(limits.single_workers)
        self._recent_s: deque[float] = deque(maxlen=_RECENT_SLIDES)
        self._takings: set[asyncio.Task[Timeline]] = set()
        self._singles: dict[asyncio.Task[SlideDone | SlideFailed], Deadline] = {}
        self._cleaner: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()

    async def start(self) -> None:
        """End truthfully what an earlier process left open, then take orders."""
        for batch_id in await self._store.find_unfinished():
            try:
                await self._end_left_open(batch_id)
            except StoreError as error:  # one unreadable record keeps no other from being served
                self._log.error("batch_unreadable", batch_id=batch_id, exc_info=error)
        self._queue.serve(self._run)
        self._cleaner = asyncio.create_task(self._clean_up(), name="clean up")

    async def stop(self, *, grace_s: float) -> None:
        """Begin nothing new, give calls under way `grace_s`, then end them, and record it all.

        May be called again meanwhile, to cut the grace short.
        """
        self.stopping.set()
        if self._cleaner is not None:
            self._cleaner.cancel()
        for deadline in self._deadlines():
            deadline.close("interrupted")
        if self._takings:
            await asyncio.wait(self._takings, timeout=_LAST_WRITES_S)
        await self._drain(timeout_s=grace_s)
        for deadline in self._deadlines():
            deadline.cut("interrupted")
        await self._drain(timeout_s=_LAST_WRITES_S)
        # Only a store that fails leaves anything here; the next start ends it truthfully.
        await self._queue.stop()
        for run in self._runs.values():
            self._log.error("batch_end_not_written", batch_id=run.batch_id)
            await run.close()

    def _deadlines(self) -> list[Deadline]:
        return [run.deadline for run in self._runs.values()] + list(self._singles.values())

    async def _drain(self, *, timeout_s: float) -> None:
        until_s = monotonic_s() + timeout_s
        await self._queue.drain(timeout_s=timeout_s)
        if self._singles:
            await asyncio.wait(self._singles, timeout=max(0.0, until_s - monotonic_s()))

    async def submit(self, order: BatchOrder) -> Timeline:
        """Take an order: it is written down when this returns.

        Raises:
            Stopping: the service is shutting down.
            StoreError: it could not be written.
        """
        self.refuse_if_stopping()
        # The engine's own task: a caller that goes away must not leave half an order.
        task = asyncio.create_task(self._take(order), name="take an order")
        self._takings.add(task)
        task.add_done_callback(self._takings.discard)
        return await asyncio.shield(task)

    async def keep_reference(self, order: BatchOrder, picture: bytes) -> BatchOrder:
        """The order, with a picture that was sent along for the style of its slides.

        Raises:
            InvalidRequest: it is no picture.
            StorageFull: it could not be kept.
        """
        try:
            name = await self._maker.keep_reference(picture)
        except NotAPicture as error:
            raise InvalidRequest(str(error), ("body", "style_reference")) from error
        return replace(order, reference_file=name)

    async def _take(self, order: BatchOrder) -> Timeline:
        batch_id = str(uuid.uuid4())
        submitted = BatchSubmitted(at_s=wall_s(), order=order)
        epoch = await self._store.lease(batch_id)
        await self._store.append(batch_id, epoch, [submitted])
        timeline = Timeline(fold(batch_id, [submitted]))
        run = BatchRun(store=self._store, timeline=timeline, epoch=epoch, log=self._log)
        if self.stopping.is_set():
            run.deadline.close("interrupted")
        self._live[batch_id], self._runs[batch_id] = timeline, run
        log_batch_start(self._log, timeline.state)
        await self._queue.submit(batch_id)
        return timeline

    async def get(self, batch_id: str) -> Timeline:
        """A batch's timeline: a live one without touching the disk.

        Raises:
            UnknownBatch: there is none, or its record has been cleaned up.
        """
        if (known := self._live.get(batch_id) or self._ended.get(batch_id)) is not None:
            return known
        log = await self._store.read(batch_id)
        if not log:
            raise UnknownBatch(batch_id)
        return Timeline(fold(batch_id, log))

    async def list_batches(self, *, limit: int, cursor: str | None) -> Page:
        """Batches, newest first; unfinished ones as they stand now."""
        page = await self._store.list_batches(limit=limit, cursor=cursor)
        batches = tuple(
            to_summary(self._live[line.batch_id].state) if line.batch_id in self._live else line
            for line in page.batches
        )
        return Page(batches=batches, next_cursor=page.next_cursor)

    def list_stops(self) -> list[str]:
        """The keys that were refused, in words."""
        return self._maker.lanes.list_stops()

    def active_count(self) -> int:
        """How many batches have not ended."""
        return sum(not timeline.state.is_final for timeline in self._live.values())

    def mean_slide_s(self) -> float | None:
        """How long a slide took lately; `None` before the first."""
        return sum(self._recent_s) / len(self._recent_s) if self._recent_s else None

    async def estimate(self, order: BatchOrder) -> Estimate:
        """What making the batch would take; nothing is paid."""
        calls = await self._count_calls(order) if order.cache else len(order.slides)
        return to_estimate(
            order,
            calls=calls,
            provider=self._maker.lanes.first.name,
            model=order.model or self._maker.lanes.first.model,
            is_free=not self._maker.lanes.first.bills,
            measured_slide_s=self.mean_slide_s(),
        )

    async def _count_calls(self, order: BatchOrder) -> int:
        """How many slides would be called for; those that follow one not made yet all are."""
        draw_orders = to_draw_orders(order)
        if not self._maker.lanes.first.bills:
            return len(draw_orders)
        models = self._maker.lanes.list_models(draw_orders[0])
        place, made = order.reference_place, None
        lead = [] if place is None else [draw_orders.pop(place)]
        if lead:
            made = await self._maker.results.find_image(lead[0], models)
            if made is None:
                return 1 + len(draw_orders)
        reference = await self._maker.find_reference(order, made, log=self._log)
        if reference is not None:
            draw_orders = [replace(one, reference=reference) for one in draw_orders]
        elif lead or order.reference_file:
            return 0  # the run refuses what should follow a picture that is not to be had
        return await self._maker.results.count_missing([*lead, *draw_orders], models)

    async def make_single(
        self, order: BatchOrder, *, page_num: int | None
    ) -> SlideDone | SlideFailed:
        """Make one slide outside any batch; how it ended.

        Raises:
            Stopping: the service is shutting down.
        """
        self.refuse_if_stopping()
        deadline = Deadline()
        deadline.start(self._batch_timeout_s(slides=1, workers=1))
        job = SlideJob(
            order=to_draw_orders(order)[0],
            place=0,
            page_num=page_num,
            taken_at_s=monotonic_s(),
            deadline=deadline,
            slots=self._single_slots,
            party=SINGLES,
            budget=self._maker.open_budget(order),
            uses_cache=order.cache,
            record=self._log_single,
        )
        # The engine's own task, so that a stop can wait for it.
        task = asyncio.create_task(
            self._run_single(job, order.session_id), name=f"single slide {order.session_id}"
        )
        self._singles[task] = deadline
        task.add_done_callback(self._singles.pop)
        return await asyncio.shield(task)

    async def _run_single(self, job: SlideJob, session_id: str) -> SlideDone | SlideFailed:
        end = await self._maker.make(job, log=self._log)
        if isinstance(end, SlideDone) and not end.cached:
            self._recent_s.append(end.generation_time_s)
        log_slide_end(
            self._log,
            session_id=session_id,
            batch_id=None,
            slide=job.order.slide,
            action="slide_generate",
            end=end,
            prompt=job.order.prompt,
            attempts=job.attempts,
        )
        return replace(end, final_prompt=job.order.prompt)

    async def _log_single(self, event: SlideStarted | SlideRetrying) -> None:
        """Single slides have no log of events: what is begun stands in the pipeline log."""
        if isinstance(event, SlideStarted):
            self._log.info("single_slide_started", attempt=event.attempt, model=event.model)

    def refuse_if_stopping(self) -> None:
        """Raise `Stopping` once the service shuts down."""
        if self.stopping.is_set():
            raise Stopping

    async def _run(self, batch_id: str) -> None:
        run = self._runs[batch_id]
        order = run.state.order
        timeout_s = self._batch_timeout_s(slides=len(order.slides), workers=order.max_workers)
        try:
            await run_batch(run, self._maker, timeout_s=timeout_s, log=self._log)
        except* Fenced:
            self._log.warning("batch_fenced", batch_id=batch_id)
            self._forget(batch_id)
        except* Exception as error:  # noqa: BLE001 - the edge of a batch's task
            self._log.error("batch_crashed", batch_id=batch_id, exc_info=error)
            if batch_id in self._runs:
                await self._end_crashed(run)
        if run.state.is_final:
            self._retire(run)

    async def _end_crashed(self, run: BatchRun) -> None:
        """End truthfully a batch whose run broke down."""
        log = await self._store.read(run.batch_id)
        elapsed_s = round(run.timeline.elapsed_s, 3)
        ends = end_unfinished(run.state, code="internal", at_s=wall_s(), total_time_s=elapsed_s)
        await run.record(*ends)
        log_cut_off(self._log, run.state, ends, log)

    async def _end_left_open(self, batch_id: str) -> None:
        """End truthfully a batch that an earlier process left open."""
        log = await self._store.read(batch_id)
        state = fold(batch_id, log)
        total_time_s = max(0.0, round(log[-1].at_s - state.created_at_s, 3))
        ends = end_unfinished(state, code="interrupted", at_s=wall_s(), total_time_s=total_time_s)
        await self._store.append(batch_id, await self._store.lease(batch_id), ends)
        self._log.warning("batch_interrupted", batch_id=batch_id, unfinished=len(ends) - 1)
        ended = fold(batch_id, [*log, *ends])
        log_cut_off(self._log, ended, ends, log)
        log_batch_end(self._log, ended)

    def _forget(self, batch_id: str) -> None:
        self._runs.pop(batch_id, None)
        self._live.pop(batch_id, None)

    def _retire(self, run: BatchRun) -> None:
        """The batch has ended: the store answers for it, the latest ones also from memory."""
        log_batch_end(self._log, run.state)
        for slide in run.state.slides:
            if slide.status == "done" and slide.generation_time_s and not slide.cached:
                self._recent_s.append(slide.generation_time_s)
        self._forget(run.batch_id)
        self._ended[run.batch_id] = run.timeline
        while len(self._ended) > 1 and sum(map(_weigh, self._ended.values())) > _ENDED_KEPT_CHARS:
            del self._ended[next(iter(self._ended))]

    async def _clean_up(self) -> None:
        """Drop the records of batches that ended long ago; their pictures stay."""
        while True:
            try:
                before_s = wall_s() - self._limits.keep_finished_s
                forgotten = await self._store.forget_finished(before_s=before_s)
                await self._maker.results.forget_old()
                if forgotten:
                    self._ended.clear()
                    self._log.info("records_cleaned_up", batches=forgotten)
            except Exception as error:  # noqa: BLE001 - a background loop outlives its errors
                self._log.error("clean_up_failed", exc_info=error)
            await asyncio.sleep(_CLEANUP_EVERY_S)

    def _batch_timeout_s(self, *, slides: int, workers: int) -> float:
        if self._limits.batch_timeout_s:
            return self._limits.batch_timeout_s
        rounds = math.ceil(slides / workers)
        return max(_MIN_BATCH_TIMEOUT_S, self._limits.slide_timeout_s * rounds)


def _weigh(timeline: Timeline) -> int:
    """Roughly how much memory a batch takes: its prompts, and something for each slide."""
    return sum(1000 + len(slide.final_prompt or "") for slide in timeline.state.slides)
