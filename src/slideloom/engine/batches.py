"""The engine: takes orders, has them run, and answers for every batch."""

import asyncio
import math
import uuid
from collections import deque

from msgspec import Struct

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.batch import fold
from slideloom.domain.events import BatchOrder, BatchSubmitted, SlideDone, SlideFailed
from slideloom.domain.prompt import build_prompt, prompt_language
from slideloom.domain.ratio import Ratio
from slideloom.domain.slide import Slide
from slideloom.domain.status import to_summary
from slideloom.engine.journal import log_batch_end, log_batch_start, log_slide_end
from slideloom.engine.recovery import end_unfinished
from slideloom.engine.run import BatchRun, run_batch
from slideloom.engine.slide import SlideJob, SlideMaker
from slideloom.engine.timeline import Timeline
from slideloom.errors import SlideErrorCode, Stopping, StoreError, UnknownBatch
from slideloom.logs import Log
from slideloom.providers.base import DrawOrder
from slideloom.queues.base import Queue
from slideloom.stores.base import BatchStore, Page

_CLEANUP_EVERY_S = 600.0
_ENDED_KEPT = 64
"""Ended batches still answered for from memory: those their clients still ask about."""
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
        self._cleaner: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()

    async def start(self) -> None:
        """End truthfully what an earlier process left open, then take orders."""
        for batch_id in await self._store.find_unfinished():
            await self._end_left_open(batch_id)
        self._queue.serve(self._run)
        self._cleaner = asyncio.create_task(self._clean_up(), name="clean up")

    async def stop(self, *, grace_s: float) -> None:
        """Take no more orders, give what runs `grace_s`, then cut it off and record that.

        May be called again, to cut the grace short.
        """
        self.stopping.set()
        if self._cleaner is not None:
            self._cleaner.cancel()
            await asyncio.gather(self._cleaner, return_exceptions=True)
        await self._queue.stop(grace_s=grace_s)
        for run in list(self._runs.values()):
            await self._end(run, "interrupted")

    async def submit(self, order: BatchOrder) -> Timeline:
        """Take an order: it is written down when this returns.

        Raises:
            Stopping: the service is shutting down.
            StoreError: it could not be written.
        """
        self.refuse_if_stopping()
        batch_id = str(uuid.uuid4())
        submitted = BatchSubmitted(at_s=wall_s(), order=order)
        epoch = await self._store.lease(batch_id)
        await self._store.append(batch_id, epoch, [submitted])
        timeline = Timeline(fold(batch_id, [submitted]))
        self._live[batch_id] = timeline
        self._runs[batch_id] = BatchRun(store=self._store, timeline=timeline, epoch=epoch)
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

    def active_count(self) -> int:
        """How many batches have not ended."""
        return sum(not timeline.state.is_final for timeline in self._live.values())

    def mean_slide_s(self) -> float | None:
        """How long a slide took lately; `None` before the first."""
        return sum(self._recent_s) / len(self._recent_s) if self._recent_s else None

    async def make_single(
        self,
        slide: Slide,
        *,
        style_prompt: str,
        ratio: Ratio,
        model: str | None,
        page_num: int | None,
    ) -> SlideDone | SlideFailed:
        """Make one slide outside any batch; how it ended.

        Raises:
            Stopping: the service is shutting down.
        """
        self.refuse_if_stopping()
        language = prompt_language([slide], style_prompt)
        job = SlideJob(
            order=DrawOrder(
                prompt=build_prompt(
                    slide, style_prompt=style_prompt, ratio=ratio, language=language
                ),
                ratio=ratio,
                model=model,
                slide=slide,
                style_prompt=style_prompt,
            ),
            place=0,
            page_num=page_num,
            taken_at_s=monotonic_s(),
            deadline_s=monotonic_s() + self._batch_timeout_s(slides=1, workers=1),
            slots=self._single_slots,
            record=_record_nothing,
            attempts=[],
        )
        end = await self._maker.make_to_end(job, log=self._log)
        if isinstance(end, SlideDone):
            self._recent_s.append(end.generation_time_s)
        log_slide_end(
            self._log,
            session_id=str(uuid.uuid4()),
            batch_id=None,
            slide=slide,
            action="slide_generate",
            end=end,
            attempts=job.attempts,
        )
        return end

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
        except Exception as error:  # noqa: BLE001 - the edge of a batch's task
            self._log.error("batch_crashed", batch_id=batch_id, exc_info=error)
            await self._end(run, "internal")
        else:
            self._retire(run)

    async def _end(self, run: BatchRun, code: SlideErrorCode) -> None:
        """Give every open slide an end and the batch with them."""
        await run.settle()
        state = run.state
        elapsed_s = round(run.timeline.elapsed_s, 3)
        ends = end_unfinished(state, code=code, at_s=wall_s(), total_time_s=elapsed_s)
        try:
            await run.record(*ends)
        except StoreError as error:
            # Readers must not wait for ever; the next start reads the log and says the same.
            self._log.error("batch_end_not_written", batch_id=run.batch_id, exc_info=error)
            for seq, event in enumerate(ends, start=state.seq + 1):
                run.timeline.announce(seq, event)
        self._retire(run)

    async def _end_left_open(self, batch_id: str) -> None:
        log = await self._store.read(batch_id)
        state = fold(batch_id, log)
        total_time_s = max(0.0, round(log[-1].at_s - state.created_at_s, 3))
        ends = end_unfinished(state, code="interrupted", at_s=wall_s(), total_time_s=total_time_s)
        await self._store.append(batch_id, await self._store.lease(batch_id), ends)
        ended = fold(batch_id, [*log, *ends])
        self._log.warning("batch_interrupted", batch_id=batch_id, unfinished=len(ends) - 1)
        log_batch_end(self._log, ended)

    def _retire(self, run: BatchRun) -> None:
        """The batch has ended: the store answers for it, the latest ones also from memory."""
        log_batch_end(self._log, run.state)
        for slide in run.state.slides:
            if slide.status == "done" and slide.generation_time_s is not None:
                self._recent_s.append(slide.generation_time_s)
        self._runs.pop(run.batch_id, None)
        self._live.pop(run.batch_id, None)
        self._ended[run.batch_id] = run.timeline
        while len(self._ended) > _ENDED_KEPT:
            del self._ended[next(iter(self._ended))]

    async def _clean_up(self) -> None:
        """Drop the records of batches that ended long ago; their pictures stay."""
        while True:
            try:
                before_s = wall_s() - self._limits.keep_finished_s
                forgotten = await self._store.forget_finished(before_s=before_s)
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


async def _record_nothing(_: object) -> None:
    """Single slides have a log file, but no log of events."""
