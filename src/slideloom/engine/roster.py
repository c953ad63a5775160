"""Which batches are made in this process, and which ended lately."""

import weakref
from collections.abc import Sequence

from slideloom.domain.events import Event
from slideloom.engine.run import BatchRun
from slideloom.engine.timeline import Timeline

_ENDED_KEPT_CHARS = 8_000_000
"""Texts of ended batches still answered for from memory: those their clients still ask about."""


class Roster:
    """Runs and timelines by batch id; nothing here waits."""

    def __init__(self) -> None:
        self.runs: dict[str, BatchRun] = {}
        self._ended: dict[str, Timeline] = {}
        """In the order they ended."""
        self._watched: weakref.WeakValueDictionary[str, Timeline] = weakref.WeakValueDictionary()
        """All that somebody still holds: whoever watches an ended batch sees it made again."""

    def find(self, batch_id: str) -> Timeline | None:
        """What is known here of the batch."""
        run = self.runs.get(batch_id)
        return self._ended.get(batch_id) if run is None else run.timeline

    def meet(self, batch_id: str, log: Sequence[Event]) -> Timeline:
        """The batch's timeline by its whole log: the one that somebody watches, if anybody does.

        Raises:
            UnreadableLog: it is not what we write.
        """
        watched = self._watched.get(batch_id)
        if watched is None:
            watched = self._watched[batch_id] = Timeline.replay(batch_id, log)
        watched.announce(log[watched.state.seq :])
        return watched

    def add(self, run: BatchRun) -> None:
        """From now on the batch is made here."""
        self._ended.pop(run.batch_id, None)
        self._watched[run.batch_id] = run.timeline
        run.timeline.open()
        self.runs[run.batch_id] = run

    def drop(self, run: BatchRun) -> None:
        """The batch is not made here any more; if it has ended, it is answered for a while yet."""
        self.runs.pop(run.batch_id, None)
        run.is_over.set()
        if not run.state.is_final:
            run.timeline.close()
            return
        self._ended[run.batch_id] = run.timeline
        while len(self._ended) > 1 and sum(map(_weigh, self._ended.values())) > _ENDED_KEPT_CHARS:
            del self._ended[next(iter(self._ended))]

    def close(self) -> None:
        """Let everybody go who watches."""
        for timeline in self._watched.values():
            timeline.close()

    def forget_ended(self) -> None:
        """Let the store answer for every batch that has ended."""
        self._ended.clear()


def _weigh(timeline: Timeline) -> int:
    """Roughly how much memory a batch takes: its prompts, and its events for each slide."""
    return sum(4000 + len(slide.final_prompt or "") for slide in timeline.state.slides)
