"""Which batches are made in this process, and which ended lately."""

from collections.abc import Sequence

from slideloom.domain.events import Event
from slideloom.engine.known import Known
from slideloom.engine.run import BatchRun
from slideloom.engine.timeline import Timeline


class Roster:
    """Runs and timelines by batch id; nothing here waits."""

    def __init__(self) -> None:
        self.runs: dict[str, BatchRun] = {}
        self._known = Known()
        """Ended batches are kept; whoever holds one sees it made again."""

    def find(self, batch_id: str) -> Timeline | None:
        """What is known here of the batch."""
        run = self.runs.get(batch_id)
        return self._known.find_kept(batch_id) if run is None else run.timeline

    def meet(self, batch_id: str, log: Sequence[Event]) -> Timeline:
        """The batch's timeline by its whole log: the one that somebody watches, if anybody does.

        Raises:
            UnreadableLog: it is not what we write.
        """
        watched = self._known.find(batch_id)
        if watched is None:
            # Nothing has been done for a new one: its time is that of waiting.
            watched = Timeline.replay(batch_id, log, goes_on=len(log) == 1)
            self._known.add(watched)
        watched.announce(log[watched.state.seq :])
        return watched

    def meet_again(self, batch_id: str, log: Sequence[Event]) -> Timeline:
        """The same for a log that was leased just now: what is known here beyond it is not so.

        Raises:
            UnreadableLog: as `meet`.
        """
        watched = self._known.find(batch_id)
        if watched is not None and not watched.is_of(log):
            self._known.forget(watched)
            watched.close()
        return self.meet(batch_id, log)

    def add(self, run: BatchRun) -> None:
        """From now on the batch is made here."""
        self._known.release(run.batch_id)
        self._known.add(run.timeline)
        run.timeline.open()
        self.runs[run.batch_id] = run

    def drop(self, run: BatchRun) -> None:
        """The batch is not made here any more; if it has ended, it is answered for a while yet."""
        self.runs.pop(run.batch_id, None)
        run.is_over.set()
        if run.state.is_final:
            self._known.keep(run.timeline)
        else:
            run.timeline.close()

    def close(self) -> None:
        """Let everybody go who watches."""
        for timeline in self._known:
            timeline.close()

    def forget_ended(self) -> None:
        """Let the store answer for every batch that has ended."""
        self._known.release_all()
