"""The making of batches in this process."""

import asyncio

from slideloom.domain.batch import BatchState, fold
from slideloom.domain.events import BatchSubmitted
from slideloom.engine.changes import Changes
from slideloom.engine.journal import log_batch_start
from slideloom.engine.runs import Runs
from slideloom.engine.timeline import Timeline
from slideloom.engine.wishes import Choice
from slideloom.errors import UnknownBatch
from slideloom.logs import Log
from slideloom.stores.base import BatchStore


class LocalWork:
    """A `BatchWork` over runs of this process."""

    def __init__(self, runs: Runs, *, store: BatchStore, log: Log) -> None:
        self.runs = runs
        self._store = store
        self._log = log
        self._changes = Changes(runs, log=log)
        self._chore: asyncio.Task[None] | None = None

    @property
    def stopping(self) -> asyncio.Event:
        """See `BatchWork`."""
        return self.runs.stopping

    async def start(self) -> None:
        """See `BatchWork`."""
        await self.runs.resume_all()
        self._chore = asyncio.create_task(self.runs.resume_late(), name="resume late")

    def close(self) -> None:
        """See `BatchWork`."""
        self.runs.close()
        if self._chore is not None:
            self._chore.cancel()

    async def end(self, *, grace_s: float) -> None:
        """See `BatchWork`."""
        await self.runs.end(grace_s=grace_s)

    async def begin(self, batch_id: str, submitted: BatchSubmitted) -> Timeline:
        """See `BatchWork`."""
        run = self.runs.enrol(Timeline(fold(batch_id, [submitted])), epoch=1)
        log_batch_start(self._log, run.state)
        await self.runs.begin(run)
        return run.timeline

    async def get(self, batch_id: str) -> Timeline:
        """See `BatchWork`; a live batch's without touching the disk."""
        if (known := self.runs.roster.find(batch_id)) is not None:
            return known
        log = await self._store.read(batch_id)
        if not log:
            raise UnknownBatch(batch_id)
        return self.runs.roster.meet(batch_id, log)

    async def get_told(self, batch_id: str) -> Timeline:
        """See `BatchWork`."""
        timeline = await self.get(batch_id)
        # As long as it has no end, only its run can say when it ends.
        return timeline if timeline.state.is_final else self.runs.get(batch_id).timeline

    async def cancel(self, batch_id: str) -> Timeline:
        """See `BatchWork`."""
        timeline = await self.get(batch_id)
        if timeline.state.is_final:
            return timeline
        run = self.runs.get(batch_id)
        await self._changes.cancel(run)
        return run.timeline

    async def reopen(self, batch_id: str, choose: Choice, *, anew: bool) -> Timeline:
        """See `BatchWork`."""
        return await self._changes.reopen(batch_id, choose, anew=anew)

    async def restore(self, batch_id: str, slide_id: str, version: int) -> Timeline:
        """See `BatchWork`."""
        return await self._changes.restore(batch_id, slide_id, version)

    def find_live(self, batch_id: str) -> BatchState | None:
        """See `BatchWork`."""
        run = self.runs.roster.runs.get(batch_id)
        return None if run is None else run.state

    def list_live(self) -> list[BatchState]:
        """See `BatchWork`."""
        return [run.state for run in self.runs.roster.runs.values()]

    async def count_active(self, *, owner: str | None = None) -> int:
        """See `BatchWork`: here every batch without an end is live."""
        return sum(
            not (state.is_final or state.order.is_single) and owner in {None, state.order.owner}
            for state in self.list_live()
        )

    def forget_ended(self) -> None:
        """See `BatchWork`."""
        self.runs.roster.forget_ended()

    def mean_slide_s(self) -> float | None:
        """See `BatchWork`."""
        return self.runs.mean_slide_s()
