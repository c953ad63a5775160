"""Batches that other processes make, as they stand in a store that is shared."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import aclosing

from slideloom.domain.events import Event, SlideDone
from slideloom.engine.hearing import hear
from slideloom.engine.known import Known
from slideloom.engine.recent import RecentSlides
from slideloom.engine.timeline import Timeline
from slideloom.errors import StoreError, UnknownBatch
from slideloom.logs import Log
from slideloom.stores.base import BatchStore
from slideloom.stores.shared_base import Doorbell, Missed, Ring

_AGAIN_S = 1.0
"""Between tries to read what the store did not give."""


class Follower:
    """Timelines kept up to date by the store's doorbell; `run` is to be under way meanwhile.

    Who asks is answered from the store, so that whatever was written before is in the answer,
    by whichever process; the doorbell serves those who wait and watch.
    """

    def __init__(self, store: BatchStore, doorbell: Doorbell, *, log: Log) -> None:
        self._store = store
        self._doorbell = doorbell
        self._log = log
        self._known = Known()
        self._behind: set[str] = set()
        """Batches whose news the store did not give."""
        self._recent = RecentSlides()

    async def get(self, batch_id: str) -> Timeline:
        """A batch's timeline, up to date.

        Raises:
            UnknownBatch: there is none, or its record has been cleaned up.
        """
        timeline = self._known.find(batch_id)
        if timeline is None or not await self._catch_up(timeline):
            log = await self._store.read(batch_id)
            if not log:
                raise UnknownBatch(batch_id)
            timeline = self.meet(batch_id, log)
        self._known.keep(timeline)
        return timeline

    def meet(self, batch_id: str, log: Sequence[Event]) -> Timeline:
        """The batch's timeline by its whole log.

        Raises:
            UnreadableLog: it is not what we write.
        """
        timeline = self._known.find(batch_id)
        if timeline is None:
            timeline = Timeline.replay(batch_id, log, goes_on=True)
            self._known.add(timeline)
        self._announce(timeline, log[timeline.state.seq :])
        return timeline

    async def look_for_ends(self, unfinished: Collection[str]) -> None:
        """Read whatever waits for its end here and is not `unfinished` in the store.

        Its end may have gone unheard; or the store has lost it, and would never ring again.
        """
        for timeline in self._known:
            if not timeline.state.is_final and timeline.state.batch_id not in unfinished:
                await self._try_to_catch_up(timeline)

    def mean_slide_s(self) -> float | None:
        """How long a slide took lately, of batches followed here; `None` before the first."""
        return self._recent.mean_s()

    async def run(self) -> None:
        """Tell whoever waits or watches, as news come, without end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="listen to the doorbell")
            group.create_task(self._catch_up_late(), name="catch up late")

    def close(self) -> None:
        """Let everybody go who waits or watches."""
        for timeline in self._known:
            timeline.close()

    async def _listen(self) -> None:
        async with aclosing(hear(self._doorbell, log=self._log)) as bell:
            async for news in bell:
                await self._heed(news)

    async def _heed(self, news: Ring | Missed) -> None:
        if isinstance(news, Missed):
            for timeline in self._known:
                await self._try_to_catch_up(timeline)
        elif (found := self._known.find(news.batch_id)) and news.seq > found.state.seq:
            await self._try_to_catch_up(found)

    async def _catch_up_late(self) -> None:
        while True:
            await asyncio.sleep(_AGAIN_S)
            for batch_id in tuple(self._behind):
                self._behind.discard(batch_id)
                if (timeline := self._known.find(batch_id)) is not None:
                    await self._try_to_catch_up(timeline)

    async def _try_to_catch_up(self, timeline: Timeline) -> None:
        try:
            await self._catch_up(timeline)
        except StoreError:
            self._behind.add(timeline.state.batch_id)
        except Exception as error:  # noqa: BLE001 - one batch's record holds up no other
            self._log.error("batch_not_followed", exc_info=error)

    async def _catch_up(self, timeline: Timeline) -> bool:
        """Announce what is new; `False`: the log is not what it was, so this timeline is over."""
        state = timeline.state
        log = await self._store.read(state.batch_id, after=state.seq - 1)
        if not log or log[0].at_s != state.latest_at_s:
            if log or not state.is_final:  # else it was cleaned up
                self._log.error("log_lost_its_end", batch_id=state.batch_id, known=state.seq)
            self._known.forget(timeline)
            timeline.close()
            return False
        # Others may have announced some of it meanwhile.
        self._announce(timeline, log[1 + timeline.state.seq - state.seq :])
        return True

    def _announce(self, timeline: Timeline, news: Sequence[Event]) -> None:
        if not news:
            return
        timeline.announce(news)
        made = (one for one in news if isinstance(one, SlideDone) and not one.cached)
        self._recent.add(one.generation_time_s for one in made)
