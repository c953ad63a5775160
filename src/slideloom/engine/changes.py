"""What users want of a batch that is there: stop it, make slides again, show earlier pictures."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from slideloom.clock import wall_s
from slideloom.domain.batch import BatchState, can_reopen
from slideloom.domain.events import BatchCancelled, SlideRestored, SlidesReopened
from slideloom.engine.journal import log_batch_start
from slideloom.engine.run import BatchRun
from slideloom.engine.runs import Runs
from slideloom.engine.timeline import Timeline
from slideloom.errors import SlideUnderWay, UnknownSlide, UnknownVersion
from slideloom.logs import Log

_CANCEL_S = 5.0
"""How long a cancel waits for the batch's end; a picture that is just being kept is kept."""

Choice = Callable[[BatchState], Sequence[int]]
"""The places of the slides that are wanted once more."""


class Changes:
    """Changes to batches, for one caller at a time each; all raise `Stopping` at the end."""

    def __init__(self, runs: Runs, *, log: Log) -> None:
        self._runs = runs
        self._log = log
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def cancel(self, run: BatchRun) -> None:
        """Begin no more attempts, give up those under way; wait for the end a while."""
        run.deadline.close("cancelled")
        # In front of what the cut brings: a crash in between leaves a cancelled batch.
        written = run.recorder.put(BatchCancelled(at_s=wall_s()))
        run.deadline.cut("cancelled")
        if not run.has_begun:
            self._runs.hurry(run)
        await written
        await run.timeline.wait_finished(timeout_s=_CANCEL_S)

    async def reopen(self, batch_id: str, choose: Choice, *, anew: bool) -> Timeline:
        """Make the chosen slides once more, as far as they have ended and need it.

        Raises:
            UnknownBatch: there is none.
        """
        async with self._holding(batch_id) as run:
            slides = run.state.slides
            places = [place for place in choose(run.state) if can_reopen(slides[place], anew=anew)]
            if run.has_begun:
                self._runs.restart_clock(run)
            if places:
                await self._make_again(run, places, anew=anew)
            return run.timeline

    async def restore(self, batch_id: str, slide_id: str, version: int) -> Timeline:
        """Show an earlier version of a slide again; `version` is 1-based.

        Raises:
            SlideUnderWay: it is being made.
            UnknownBatch, UnknownSlide: there is none.
        """
        async with self._holding(batch_id) as run:
            place = find_place(run.state, slide_id)
            slide = run.state.slides[place]
            if not slide.is_final:
                raise SlideUnderWay(slide_id)
            if not 1 <= version <= len(slide.versions):
                raise UnknownVersion(slide_id, str(version))
            if slide.picture is not slide.versions[version - 1]:
                await run.record(SlideRestored(at_s=wall_s(), place=place, version=version))
            return run.timeline

    async def _make_again(self, run: BatchRun, places: Sequence[int], *, anew: bool) -> None:
        await run.record(SlidesReopened(at_s=wall_s(), places=tuple(places), anew=anew))
        log_batch_start(self._log, run.state, places=places)
        run.notice()
        if not run.has_begun:
            await self._runs.begin(run)

    @asynccontextmanager
    async def _holding(self, batch_id: str) -> AsyncIterator[BatchRun]:
        """The run that may write to the batch, its state up to date, for one wish at a time.

        One that has ended gets a new run; if it is still ended afterwards, that is over at once.
        """
        async with self._turns.setdefault(batch_id, asyncio.Lock()):
            run = await self._find_run(batch_id) or await self._runs.revive(batch_id)
            try:
                yield run
            finally:
                if run.state.is_final and not run.has_begun:
                    self._runs.roster.drop(run)

    async def _find_run(self, batch_id: str) -> BatchRun | None:
        runs = self._runs.roster.runs
        while (run := runs.get(batch_id)) is not None:
            self._runs.refuse_if_stopping()
            if run.deadline.is_closed:  # cancelled just now: it only ends
                await run.is_over.wait()
                continue
            await run.recorder.settle()
            if runs.get(batch_id) is run and not run.deadline.is_closed:
                break
        self._runs.refuse_if_stopping()
        return run


def choose_slides(slide_ids: Collection[str] | None) -> Choice:
    """Those slides, or all.

    The choice raises `UnknownSlide` when the batch has no such slide.
    """

    def choose(state: BatchState) -> list[int]:
        if slide_ids is None:
            return list(range(len(state.slides)))
        return [find_place(state, slide_id) for slide_id in dict.fromkeys(slide_ids)]

    return choose


def find_place(state: BatchState, slide_id: str) -> int:
    """Where the slide stands in the batch, 0-based.

    Raises:
        UnknownSlide: nowhere.
    """
    for place, slide in enumerate(state.order.slides):
        if slide.id == slide_id:
            return place
    raise UnknownSlide(slide_id)
