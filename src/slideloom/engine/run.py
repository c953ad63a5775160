"""Run one batch: one coroutine per slide, under a semaphore of `max_workers`."""

import asyncio
from collections.abc import Sequence

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.batch import BatchState
from slideloom.domain.events import BatchFinished, BatchStarted, Event
from slideloom.domain.prompt import build_prompt, prompt_language
from slideloom.domain.ratio import parse_ratio
from slideloom.engine.journal import log_slide_end
from slideloom.engine.slide import SlideJob, SlideMaker
from slideloom.engine.timeline import Timeline
from slideloom.logs import Log
from slideloom.providers.base import DrawOrder
from slideloom.stores.base import BatchStore


class BatchRun:
    """One run's right to write to one batch: what it records is written, then announced."""

    def __init__(self, *, store: BatchStore, timeline: Timeline, epoch: int) -> None:
        self._store = store
        self._epoch = epoch
        self._writes: set[asyncio.Task[None]] = set()
        self.timeline = timeline
        self.batch_id = timeline.state.batch_id

    @property
    def state(self) -> BatchState:
        """The batch as announced."""
        return self.timeline.state

    async def record(self, *events: Event) -> None:
        """Write `events`, then announce them.

        A caller that is cancelled meanwhile leaves no gap: what is written is
        announced all the same.

        Raises:
            StoreError: they could not be written, and are not announced.
        """
        write = asyncio.create_task(self._write(events), name=f"write {self.batch_id}")
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        await asyncio.shield(write)

    async def settle(self) -> None:
        """Wait for the writes of callers that were cancelled."""
        while self._writes:
            await asyncio.wait(self._writes)

    async def _write(self, events: Sequence[Event]) -> None:
        last = await self._store.append(self.batch_id, self._epoch, events)
        for seq, event in enumerate(events, start=last - len(events) + 1):
            self.timeline.announce(seq, event)


async def run_batch(run: BatchRun, maker: SlideMaker, *, timeout_s: float, log: Log) -> None:
    """Make every slide that has not ended, then end the batch.

    A slide's failure is a value; anything unforeseen outside a slide ends the
    run, loudly.
    """
    taken_at_s = monotonic_s()
    await run.record(BatchStarted(at_s=wall_s()))
    slots = asyncio.Semaphore(run.state.order.max_workers)
    jobs = [
        SlideJob(
            order=order,
            place=place,
            page_num=order.slide.page_num,
            taken_at_s=taken_at_s,
            deadline_s=taken_at_s + timeout_s,
            slots=slots,
            record=run.record,
            attempts=[],
        )
        for place, order in enumerate(_draw_orders(run.state))
        if not run.state.slides[place].is_final
    ]
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            name = f"slide {run.batch_id} {job.place + 1}"
            group.create_task(_run_slide(run, maker, job, log=log), name=name)
    await run.record(BatchFinished(at_s=wall_s(), total_time_s=round(run.timeline.elapsed_s, 3)))


async def _run_slide(run: BatchRun, maker: SlideMaker, job: SlideJob, *, log: Log) -> None:
    end = await maker.make_to_end(job, log=log)
    await run.record(end)
    log_slide_end(
        log,
        session_id=run.state.order.session_id,
        batch_id=run.batch_id,
        slide=job.order.slide,
        action=f"slide_{job.place + 1:03d}",
        end=end,
        attempts=job.attempts,
    )


def _draw_orders(state: BatchState) -> list[DrawOrder]:
    order = state.order
    ratio = parse_ratio(order.aspect_ratio)
    language = prompt_language(order.slides, order.style_prompt)
    return [
        DrawOrder(
            prompt=build_prompt(
                slide, style_prompt=order.style_prompt, ratio=ratio, language=language
            ),
            ratio=ratio,
            model=order.model,
            slide=slide,
            style_prompt=order.style_prompt,
        )
        for slide in order.slides
    ]
