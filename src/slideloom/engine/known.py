"""Timelines of batches that somebody watches, or asked about lately."""

import weakref
from collections.abc import Iterator

from slideloom.engine.timeline import Timeline

_KEPT_CHARS = 8_000_000
"""Texts of batches answered for from memory though nobody holds them: clients still ask."""


class Known:
    """All timelines that somebody holds, by batch id, and those that are kept; nothing waits."""

    def __init__(self) -> None:
        self._held: weakref.WeakValueDictionary[str, Timeline] = weakref.WeakValueDictionary()
        self._kept: dict[str, tuple[Timeline, int]] = {}
        """In the order they were kept, with what each weighed then."""
        self._kept_chars = 0

    def __iter__(self) -> Iterator[Timeline]:
        return iter(tuple(self._held.values()))

    def find(self, batch_id: str) -> Timeline | None:
        """The batch's timeline, if anybody holds it or it is kept."""
        return self._held.get(batch_id)

    def find_kept(self, batch_id: str) -> Timeline | None:
        """The batch's timeline, if it is kept."""
        kept = self._kept.get(batch_id)
        return None if kept is None else kept[0]

    def add(self, timeline: Timeline) -> None:
        """Know of it as long as somebody holds it."""
        self._held[timeline.state.batch_id] = timeline

    def keep(self, timeline: Timeline) -> None:
        """Hold it for a while, in place of those kept longest."""
        batch_id, chars = timeline.state.batch_id, _weigh(timeline)
        self.release(batch_id)
        self._kept[batch_id] = timeline, chars
        self._kept_chars += chars
        while len(self._kept) > 1 and self._kept_chars > _KEPT_CHARS:
            self.release(next(iter(self._kept)))

    def release(self, batch_id: str) -> None:
        """Keep it no longer; whoever holds it does so."""
        _, chars = self._kept.pop(batch_id, (None, 0))
        self._kept_chars -= chars

    def release_all(self) -> None:
        """Keep none."""
        self._kept.clear()
        self._kept_chars = 0

    def forget(self, timeline: Timeline) -> None:
        """Know it no more: what it says is not so. One that has taken its place stays."""
        batch_id = timeline.state.batch_id
        if self._held.get(batch_id) is timeline:
            self.release(batch_id)
            del self._held[batch_id]


def _weigh(timeline: Timeline) -> int:
    """Roughly how much memory a batch takes: its prompts, and its events for each slide."""
    return sum(4000 + len(slide.final_prompt or "") for slide in timeline.state.slides)
