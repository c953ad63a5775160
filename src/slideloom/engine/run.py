"""Run one batch: one coroutine per slide, under a semaphore of `max_workers`."""

import asyncio
from collections.abc import Sequence
from itertools import chain, repeat

from msgspec.structs import replace

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.batch import BatchState
from slideloom.domain.events import (
    BatchFinished,
    BatchOrder,
    BatchStarted,
    Event,
    SlideDone,
    SlideFailed,
)
from slideloom.domain.messages import NO_REFERENCE
from slideloom.domain.prompt import build_prompt, prompt_language
from slideloom.domain.ratio import parse_ratio
from slideloom.domain.status import cost_usd
from slideloom.engine.attempt import SlideJob
from slideloom.engine.deadline import Deadline
from slideloom.engine.journal import log_slide_end
from slideloom.engine.slide import SlideMaker
from slideloom.engine.timeline import Timeline
from slideloom.errors import Fenced, StoreError
from slideloom.logs import Log
from slideloom.providers.base import DrawOrder
from slideloom.stores.base import BatchStore, Encoded, encode_event

_WRITE_PAUSES_S = (0.5, 1.0, 2.0, 5.0)
"""Between tries to write while the store fails; the last one for as long as it takes."""


class BatchRun:
    """One run's right to write to one batch: what it records is written, then announced.

    Events are written in the order they were recorded; those that come while a
    write is under way go together into the next. A store that fails is asked
    again until it is back: meanwhile nothing is announced, and nothing new paid.
    """

    def __init__(self, *, store: BatchStore, timeline: Timeline, epoch: int, log: Log) -> None:
        self._store = store
        self._epoch = epoch
        self._log = log
        self._waiting: list[tuple[Sequence[Encoded], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self.timeline = timeline
        self.batch_id = timeline.state.batch_id
        self.deadline = Deadline()

    @property
    def state(self) -> BatchState:
        """The batch as announced."""
        return self.timeline.state

    async def record(self, *events: Event) -> None:
        """Write `events`, then announce them; also when the caller is cancelled meanwhile.

        Raises:
            StoreError: this run has been fenced off.
            UnicodeEncodeError: one of them holds what is no text; none is written.
        """
        encoded = [encode_event(event) for event in events]
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((encoded, written))
        if self._writer is None or self._writer.done():
            name = f"writer {self.batch_id}"
            self._writer = asyncio.create_task(self._write_waiting(), name=name)
        await written

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
        for pause_s in chain(_WRITE_PAUSES_S, repeat(_WRITE_PAUSES_S[-1])):
            try:
                await self._store.append(self.batch_id, self._epoch, events)
            except Fenced as fence:
                return fence
            except StoreError as error:
                self._log.error("store_failed", batch_id=self.batch_id, exc_info=error)
                await asyncio.sleep(pause_s)
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
                return error
            else:
                break
        self.timeline.announce([one.event for one in events])
        return None


async def run_batch(run: BatchRun, maker: SlideMaker, *, timeout_s: float, log: Log) -> None:
    """Make every slide that has not ended, then end the batch.

    A slide's failure is a value; anything unforeseen outside a slide ends the
    run, loudly.
    """
    run.deadline.start(timeout_s)
    await run.record(BatchStarted(at_s=wall_s()))
    jobs = _list_jobs(run, maker)
    lead = run.state.order.reference_place
    first = [job for job in jobs if job.place == lead]
    await _run_all(run, maker, first, log=log)
    made = None if lead is None else run.state.slides[lead].image
    reference = await maker.find_reference(run.state.order, made, log=log)
    rest = [job for job in jobs if job.place != lead]
    is_led = lead is not None or run.state.order.reference_file is not None
    if is_led and reference is None:
        await _end_without_reference(run, rest, log=log)
    else:
        for job in rest:
            job.order = replace(job.order, reference=reference)
        await _run_all(run, maker, rest, log=log)
    await run.record(BatchFinished(at_s=wall_s(), total_time_s=round(run.timeline.elapsed_s, 3)))


def _list_jobs(run: BatchRun, maker: SlideMaker) -> list[SlideJob]:
    """The slides that have not ended."""
    order, taken_at_s = run.state.order, monotonic_s()
    slots = asyncio.Semaphore(order.max_workers)
    budget = maker.open_budget(order, spent_usd=cost_usd(run.state))
    return [
        SlideJob(
            order=draw_order,
            place=place,
            page_num=draw_order.slide.page_num,
            taken_at_s=taken_at_s,
            deadline=run.deadline,
            slots=slots,
            party=run.batch_id,
            budget=budget,
            uses_cache=order.cache,
            record=run.record,
        )
        for place, draw_order in enumerate(to_draw_orders(order))
        if not run.state.slides[place].is_final
    ]


async def _run_all(run: BatchRun, maker: SlideMaker, jobs: Sequence[SlideJob], *, log: Log) -> None:
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            name = f"slide {run.batch_id} {job.place + 1}"
            group.create_task(_run_slide(run, maker, job, log=log), name=name)


async def _end_without_reference(run: BatchRun, jobs: Sequence[SlideJob], *, log: Log) -> None:
    """Nothing is paid for pictures that could not match: their reference is not to be had."""
    place = run.state.order.reference_place
    code = None if place is None else run.state.slides[place].error_code
    for job in jobs:
        await _end_slide(run, job, job.to_failed(code or "invalid_image", NO_REFERENCE), log=log)


async def _run_slide(run: BatchRun, maker: SlideMaker, job: SlideJob, *, log: Log) -> None:
    await _end_slide(run, job, await maker.make(job, log=log), log=log)


async def _end_slide(
    run: BatchRun, job: SlideJob, end: SlideDone | SlideFailed, *, log: Log
) -> None:
    try:
        await run.record(end)
    except UnicodeEncodeError as error:  # a provider's word that is no text: brothers go on
        log.error("slide_end_not_writable", batch_id=run.batch_id, exc_info=error)
        billed = run.state.slides[job.place].in_flight_bills
        end = job.to_failed("internal", type(error).__name__, possibly_billed=billed)
        await run.record(end)
    log_slide_end(
        log,
        session_id=run.state.order.session_id,
        batch_id=run.batch_id,
        slide=job.order.slide,
        action=f"slide_{job.place + 1:03d}",
        end=end,
        prompt=job.order.prompt,
        attempts=job.attempts,
    )


def to_draw_orders(order: BatchOrder) -> list[DrawOrder]:
    """What each slide of a batch is to be drawn from, its reference apart."""
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
