"""What users want of a batch that is made here, or was: carried out by the run that writes it."""

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slideloom.clock import wall_s
from slideloom.domain.events import BatchCancelled, SlidesReopened
from slideloom.engine.journal import log_batch_start
from slideloom.engine.run import BatchRun
from slideloom.engine.runs import Runs
from slideloom.engine.timeline import Timeline
from slideloom.engine.wishes import Choice, decide_reopening, decide_restoring
from slideloom.logs import Log

_CANCEL_S = 5.0
"""How long a cancel waits for the batch's end; a picture that is just being kept is kept."""


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
            reopening = decide_reopening(run.state, choose, anew=anew)
            if run.has_begun:
                self._runs.restart_clock(run)
            if reopening is not None:
                await self._make_again(run, reopening)
            return run.timeline

    async def restore(self, batch_id: str, slide_id: str, version: int) -> Timeline:
        """Show an earlier version of a slide again; `version` is 1-based.

        Raises:
            SlideUnderWay: it is being made.
            UnknownBatch, UnknownSlide: there is none.
        """
        async with self._holding(batch_id) as run:
            restoring = decide_restoring(run.state, slide_id, version)
            if restoring is not None:
                await run.record(restoring)
            return run.timeline

    async def _make_again(self, run: BatchRun, reopening: SlidesReopened) -> None:
        await run.record(reopening)
        log_batch_start(self._log, run.state, places=reopening.places)
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
