"""Run one batch: one coroutine per slide, under a semaphore of `max_workers`."""

import asyncio
from collections.abc import Sequence

from msgspec import Struct, field
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
    SlideRetrying,
    SlideStarted,
)
from slideloom.domain.messages import NO_REFERENCE
from slideloom.domain.prompt import build_prompt, prompt_language
from slideloom.domain.ratio import parse_ratio
from slideloom.domain.status import cost_usd
from slideloom.engine.attempt import SlideJob
from slideloom.engine.budget import Budget
from slideloom.engine.deadline import Deadline
from slideloom.engine.journal import count_slide_end, log_slide_end
from slideloom.engine.recorder import Recorder
from slideloom.engine.reference import find_reference
from slideloom.engine.retry import Tally
from slideloom.engine.slide import SlideMaker
from slideloom.engine.timeline import Timeline
from slideloom.errors import Fenced, Stopping
from slideloom.logs import Log
from slideloom.metrics import Metrics
from slideloom.providers.base import DrawOrder, Reference
from slideloom.tracing import find_trace, step

_LONG_S = 5.0
"""For a write of milliseconds. Other processes take batches over after some 20 s of silence."""


class BatchRun:
    """One batch while it is made here."""

    def __init__(self, recorder: Recorder, *, slots: asyncio.Semaphore, party: str) -> None:
        """Take whose batch it is.

        Args:
            recorder: writes what happens.
            slots: bounds the slides under way.
            party: whose turn it is in the queue before the lanes.
        """
        self.recorder = recorder
        self.slots = slots
        self.party = party
        self.deadline = Deadline()
        self.trace = find_trace()
        """Of whoever has it made, for its calls go on after the answer."""
        self.has_begun = False
        self.is_over = asyncio.Event()
        """Set once the batch is not made here any more."""
        self.made_s: list[float] = []
        """How long its pictures took."""
        self._changed = asyncio.Event()

    @property
    def batch_id(self) -> str:
        """Its id."""
        return self.recorder.batch_id

    @property
    def timeline(self) -> Timeline:
        """What it announces."""
        return self.recorder.timeline

    @property
    def state(self) -> BatchState:
        """The batch as announced."""
        return self.recorder.timeline.state

    async def record(self, *events: Event) -> None:
        """Write `events` and announce them; see `Recorder.record`."""
        await self.recorder.record(*events)

    async def record_ahead(self, event: SlideStarted | SlideRetrying) -> None:
        """Write down what is going to be done.

        Raises:
            Fenced: as `record`; or the attempt took so long to be written, in a process that was
                frozen or without its store, that another run has ended it meanwhile.
        """
        began_s = monotonic_s()
        await self.record(event)
        if isinstance(event, SlideStarted) and monotonic_s() - began_s > _LONG_S:
            await self.recorder.catch_up()
            if self.state.slides[event.place].in_flight != event:
                raise Fenced(self.batch_id, None)

    def notice(self) -> None:
        """Have the run look again what there is to be made."""
        self._changed.set()

    async def wait_noticed(self) -> None:
        """Wait until `notice` was called since this returned last."""
        await self._changed.wait()
        self._changed.clear()

    def list_open(self) -> list[int]:
        """The places of the slides that have not ended."""
        return [place for place, slide in enumerate(self.state.slides) if not slide.is_final]

    def list_wanted(self) -> list[int]:
        """The places of the slides that are to be made; none once they are left to others."""
        return [] if self.deadline.is_left else self.list_open()


async def run_batch(
    run: BatchRun, maker: SlideMaker, *, timeout_s: float, log: Log, metrics: Metrics
) -> None:
    """Make every slide that has not ended, then end the batch.

    A slide's failure is a value; anything unforeseen outside a slide ends the
    run, loudly. What cannot be ended here, as the service stops or another run has
    taken the batch, is left as its log says.
    """
    run.deadline.start(timeout_s)
    if run.deadline.is_left:
        return
    await run.record(BatchStarted(at_s=wall_s()))
    while not run.state.is_final:
        await _make_wanted(run, maker, log=log, metrics=metrics)
        await run.recorder.settle()  # a slide reopened just now is in no state yet
        if run.list_open():
            if run.deadline.is_left:
                return
            continue
        total_time_s = round(run.timeline.elapsed_s, 3)
        await run.record(BatchFinished(at_s=wall_s(), total_time_s=total_time_s))
        await run.recorder.settle()


class _Round(Struct, kw_only=True):
    """What the slides of one run share."""

    run: BatchRun
    maker: SlideMaker
    log: Log
    metrics: Metrics
    orders: Sequence[DrawOrder]
    """One a slide."""
    budget: Budget
    reference: Reference | None = None
    """The picture whose style they are to have, once it is there."""
    under_way: set[int] = field(default_factory=set)
    """Places."""


async def _make_wanted(run: BatchRun, maker: SlideMaker, *, log: Log, metrics: Metrics) -> None:
    """Make the slides that wait, and those that are reopened meanwhile."""
    order = run.state.order
    limit_usd = order.max_cost_usd if maker.lanes.first.bills else None
    budget = Budget(
        limit_usd,
        spent_usd=cost_usd(run.state) or 0.0,
        unpriced_calls=sum(slide.unpriced for slide in run.state.slides),
    )
    shared = _Round(
        run=run,
        maker=maker,
        log=log,
        metrics=metrics,
        orders=to_draw_orders(order),
        budget=budget,
    )
    made, lead = None, order.reference_place
    if lead is not None:
        if lead in run.list_wanted():
            await _make_slide(shared, lead)
        picture = run.state.slides[lead].picture
        made = None if picture is None else picture.image
    shared.reference = await find_reference(maker.images, order, made, log=log)
    async with asyncio.TaskGroup() as group:
        while places := shared.under_way.union(run.list_wanted()):
            for place in sorted(places - shared.under_way):
                shared.under_way.add(place)
                name = f"slide {run.batch_id} {place + 1}"
                group.create_task(_make_slide(shared, place), name=name)
            await run.wait_noticed()


async def _make_slide(shared: _Round, place: int) -> None:
    """Make one slide, and write down how it ended."""
    run, order, lead = shared.run, shared.run.state.order, shared.run.state.order.reference_place
    is_led = place != lead and (lead is not None or order.reference_file is not None)
    job = _to_job(shared, place, reference=shared.reference if is_led else None)
    try:
        with step("slide", batch_id=run.batch_id, slide_id=order.slides[place].id) as span:
            if is_led and shared.reference is None:
                # Nothing is paid for a picture that could not match.
                code = None if lead is None else run.state.slides[lead].error_code
                end: SlideDone | SlideFailed = job.to_failed(code or "invalid_image", NO_REFERENCE)
            else:
                end = await shared.maker.make(job, log=shared.log)
            if isinstance(end, SlideFailed):
                span.note(error_code=end.error_code)
            else:
                span.note(cached=end.cached)
            await _end_slide(shared, job, end)
    except (Stopping, Fenced):
        # Its log says how far it is. Brothers whose calls are out end by themselves: they cost.
        run.deadline.leave()
    finally:
        shared.under_way.discard(place)
        run.notice()


def _to_job(shared: _Round, place: int, *, reference: Reference | None) -> SlideJob:
    run, order = shared.run, shared.run.state.order
    return SlideJob(
        order=replace(shared.orders[place], reference=reference),
        place=place,
        page_num=order.slides[place].page_num if order.names_pages else None,
        taken_at_s=monotonic_s(),
        deadline=run.deadline,
        slots=run.slots,
        party=run.party,
        budget=shared.budget,
        owner=order.owner,
        uses_cache=order.cache and not run.state.slides[place].is_anew,
        attempts_before=run.state.slides[place].attempts,
        failed_before=Tally(
            unbilled=run.state.slides[place].failed_unbilled,
            maybe_billed=run.state.slides[place].failed_maybe_billed,
        ),
        record=run.record_ahead,
    )


async def _end_slide(shared: _Round, job: SlideJob, end: SlideDone | SlideFailed) -> None:
    run, log = shared.run, shared.log
    try:
        await run.record(end)
    except UnicodeEncodeError as error:  # a provider's word that is no text: brothers go on
        log.error("slide_end_not_writable", batch_id=run.batch_id, exc_info=error)
        billed = run.state.slides[job.place].in_flight_bills
        end = job.to_failed("internal", type(error).__name__, possibly_billed=billed)
        await run.record(end)
    if isinstance(end, SlideDone) and not end.cached:
        run.made_s.append(end.generation_time_s)
    count_slide_end(shared.metrics, end, job.attempts)
    log_slide_end(
        log,
        run.state,
        place=job.place,
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
