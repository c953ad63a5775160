"""The users of the histories: what they ask, and how they are answered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from msgspec import Struct

from slideloom.clock import wall_s
from slideloom.domain.batch import BatchState
from slideloom.domain.events import BatchOrder, SlidesReopened
from slideloom.domain.keys import OnceKey
from slideloom.engine.timeline import Timeline
from slideloom.errors import (
    KeyReused,
    SlideUnderWay,
    Stopping,
    StoreError,
    UnknownBatch,
    UnknownSlide,
)
from slideloom.stores.base import Page
from tests.support.histories.life import Life
from tests.support.histories.logbook import BatchTrack
from tests.support.histories.sight import Sight
from tests.support.histories.world import KEEP_FINISHED_S, World

_KEY_S: Final = 24 * 3600.0
"""Source: contract section 2."""
_PATIENCE_S: Final = 60.0
"""How long somebody waits for an answer, before doing something else meanwhile."""
_STORE_PAUSE_S: Final = 6.0
NOWHERE: Final = 8
"""Of the numbers that say which slide is meant."""


class Manner(Struct, frozen=True):
    """How somebody asks: waits for the answer, or does not after so many loop steps."""

    what: Literal["wait", "go on", "hang up"] = "wait"
    steps: int = 0


class Users:
    """All callers of one history."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.accepted: list[str] = []
        """Ids of batches, in the order they were told."""
        self.singles: set[str] = set()
        self.sight = Sight(world.books)
        self.asking: set[asyncio.Task[None]] = set()

    # Asking.

    async def submit(self, order: BatchOrder, key_text: str | None, manner: Manner) -> None:
        """Order a deck; `key_text` stands for the order's first slide's id."""
        digest = order.slides[0].id
        key = key_text and OnceKey(text=key_text, digest=digest, until_s=wall_s() + _KEY_S)
        engine = self.world.life.engine

        def take(answer: tuple[Timeline, bool]) -> None:
            timeline, is_replayed = answer
            self._accept(timeline.state, order)
            first = self.world.books.batches[timeline.state.batch_id].key
            if key and (first is None or (first.text, first.digest) != (key.text, key.digest)):
                self.world.books.complain("a_key_stands_for_one_batch", key, first)
            if is_replayed and not key:
                self.world.books.complain("only_a_key_is_replayed", order)
            self.sight.look(timeline)

        async def ask() -> tuple[Timeline, bool]:
            return await engine.submit_once(order, key or None)

        await self._ask("submit", ask, take, manner, key=key or None)

    async def make_single(self, order: BatchOrder, manner: Manner) -> None:
        """Order one slide, and wait for it."""
        engine = self.world.life.engine

        def take(state: BatchState) -> None:
            self._accept(state, order)
            if not state.is_final:
                self.world.books.complain("a_single_slides_answer_is_its_end", state)

        await self._ask("single", lambda: engine.make_single(order), take, manner)

    async def cancel(self, batch_id: str, manner: Manner) -> None:
        """Want no more of it."""

        def take(timeline: Timeline) -> None:
            batch = self.world.books.batches[batch_id]
            if not (batch.is_cancelled or batch.is_final or batch.reopened > reopened):
                self.world.books.complain("an_answered_cancel_is_written", timeline.state)
            batch.is_given_up = batch.is_cancelled or batch.is_final
            calls = self.world.books.upstream.list_open(batch_id)
            if batch.is_given_up and any(call.life == life.number for call in calls):
                self.world.books.complain("an_answered_cancel_has_given_calls_up", calls)
            self.sight.look(timeline)

        reopened = self.world.books.batches[batch_id].reopened
        life = self.world.life
        await self._ask(
            "cancel", lambda: life.engine.cancel(batch_id), take, manner, batch_id=batch_id
        )

    async def retry(self, batch_id: str, places: list[int] | None, manner: Manner) -> None:
        """Want those slides that are not done, or all; a place that is not there is asked too."""
        order = self.world.books.batches[batch_id].order
        places = None if places is None else [to_place(order, number) for number in places]
        ids = None if places is None else [_to_id(order, place) for place in places]
        wanted = range(len(order.slides)) if places is None else places
        await self._want("retry", batch_id, list(wanted), ids, manner)

    async def regenerate(self, batch_id: str, place: int, manner: Manner) -> None:
        """Want another version of a slide."""
        place = to_place(self.world.books.batches[batch_id].order, place)
        await self._want("regenerate", batch_id, [place], None, manner)

    async def _want(
        self, what: str, batch_id: str, places: list[int], ids: list[str] | None, manner: Manner
    ) -> None:
        batch, engine = self.world.books.batches[batch_id], self.world.life.engine
        is_anew = what == "regenerate"
        length = len(batch.log)

        def call() -> Awaitable[Timeline]:
            if is_anew:
                return engine.regenerate(batch_id, _to_id(batch.order, places[0]))
            return engine.retry(batch_id, ids)

        def take(timeline: Timeline) -> None:
            for place in places:
                if not _is_heard(batch, place, length, is_anew=is_anew):
                    self.world.books.complain(
                        "an_answered_wish_is_written", what, place, timeline.state
                    )
            self.sight.look(timeline)

        is_known = all(place < len(batch.order.slides) for place in places)
        may = () if is_known else (UnknownSlide,)
        await self._ask(what, call, take, manner, batch_id=batch_id, may=may)

    async def restore(self, batch_id: str, number: int, manner: Manner) -> None:
        """Want an earlier picture back, where there are most; with `NOWHERE` one that never was."""
        batch = self.world.books.batches[batch_id]
        counts = [len(slide.images) for slide in batch.slides]
        place = counts.index(max(counts))
        version = 1 + (counts[place] if number == NOWHERE else number % max(1, counts[place]))
        length = len(batch.log)

        def take(timeline: Timeline) -> None:
            slide = timeline.state.slides[place]
            is_shown = slide.picture is not None and slide.shown == version - 1
            if not is_shown and len(batch.log) == length:
                self.world.books.complain(
                    "an_answered_restore_is_written", place, version, timeline.state
                )
            self.sight.look(timeline)

        engine, slide_id = self.world.life.engine, _to_id(batch.order, place)
        may = (UnknownSlide, SlideUnderWay)

        def call() -> Awaitable[Timeline]:
            return engine.restore(batch_id, slide_id, version)

        await self._ask("restore", call, take, manner, batch_id=batch_id, may=may)

    async def poll(self, batch_id: str, manner: Manner) -> None:
        """Ask how it is."""
        engine = self.world.life.engine
        await self._ask(
            "poll", lambda: engine.get(batch_id), self.sight.look, manner, batch_id=batch_id
        )

    async def wait_for_the_end(self, batch_id: str, manner: Manner) -> None:
        """Wait until it has ended, or nothing more is done about it here."""
        engine = self.world.life.engine

        async def wait() -> Timeline:
            timeline = await engine.get(batch_id)
            if batch_id in self.world.life.shop.runs.roster.runs:
                await timeline.wait_finished(timeout_s=None)
            return timeline

        await self._ask("wait", wait, self.sight.look, manner, batch_id=batch_id)

    async def list_batches(self, manner: Manner) -> None:
        """Ask for all batches, and how many are under way."""
        life = self.world.life
        known = [one for one in self.accepted if one not in self.singles]

        def take(page: Page) -> None:
            listed = {line.batch_id for line in page.batches}
            missing = [one for one in known if one not in listed and not self._may_be_gone(one)]
            if missing or listed & self.singles:
                self.world.books.complain(
                    "the_list_has_every_batch", missing, listed & self.singles
                )
            if not 0 <= life.engine.active_count() <= len(self.world.books.batches):
                self.world.books.complain("the_count_is_of_batches", life.engine.active_count())

        def call() -> Awaitable[Page]:
            return life.engine.list_batches(limit=1000, cursor=None)

        await self._ask("list", call, take, manner)

    async def hang_up(self) -> None:
        """All who wait for an answer go away."""
        for task in tuple(self.asking):
            task.cancel()
        while self.asking:
            await asyncio.sleep(0)

    # Waiting, and what comes of it.

    async def _ask(
        self,
        what: str,
        call: Callable[[], Awaitable[Any]],
        take: Callable[[Any], None],
        manner: Manner,
        **case: Any,
    ) -> None:
        asking = self._hear(what, self.world.life, call, take, **case)
        task = asyncio.create_task(asking, name=f"user: {what}")
        self.asking.add(task)
        task.add_done_callback(self.asking.discard)
        if manner.what == "wait":
            await asyncio.wait({task}, timeout=_PATIENCE_S)
            return
        for _ in range(manner.steps):
            await asyncio.sleep(0)
        if manner.what == "hang up":
            task.cancel()

    async def _hear(  # noqa: C901, PLR0913 - one case for each thing that may be answered
        self,
        what: str,
        life: Life,
        call: Callable[[], Awaitable[Any]],
        take: Callable[[Any], None],
        *,
        batch_id: str = "",
        key: OnceKey | None = None,
        may: tuple[type[Exception], ...] = (),
    ) -> None:
        # A store that failed is tried again after a pause: it may be well since, and not yet asked.
        since_s = self.world.loop.time() - _STORE_PAUSE_S
        try:
            answer = await call()
        except StoreError as error:
            is_waiting = batch_id in life.shop.runs._unresumed
            if self.world.books.dice.fell_at_s < since_s and not is_waiting:
                self.world.books.complain("only_a_failing_store_is_blamed", what, repr(error))
        except Stopping:
            if life.stopped_at_s is None:
                self.world.books.complain("only_a_stop_is_called_one", what)
        except KeyReused:
            use = self.world.books.keys.get(key.text) if key else None
            if key is None or use is None or use.digest == key.digest:
                self.world.books.complain("only_a_key_of_another_order_is_refused", key)
        except UnknownBatch:
            if not self._may_be_gone(batch_id) and batch_id not in self.singles:
                self.world.books.complain("no_accepted_batch_is_lost", what, batch_id)
        except may:
            pass
        except Exception as error:  # noqa: BLE001 - whatever a user must never see
            self.world.books.complain("no_user_sees_an_error_of_ours", what, repr(error))
        else:
            take(answer)

    def _accept(self, state: BatchState, order: BatchOrder) -> None:
        if state.order != order:
            self.world.books.complain("an_answer_is_for_what_was_ordered", state, order)
        if state.batch_id not in self.accepted:
            self.accepted.append(state.batch_id)
        if order.is_single:
            self.singles.add(state.batch_id)

    def _may_be_gone(self, batch_id: str) -> bool:
        """Whether it ended so long ago that its record goes."""
        batch = self.world.books.batches.get(batch_id)
        if batch is None or not batch.is_final:
            return False
        return batch.state.latest_at_s < self.world.books.latest_s() - KEEP_FINISHED_S


def to_place(order: BatchOrder, number: int) -> int:
    """A place of the deck, in turn; beyond the end for the one number that is never there."""
    count = len(order.slides)
    return count if number == NOWHERE else number % count


def _to_id(order: BatchOrder, place: int) -> str:
    """The slide's id; of a place that is not there, one that nobody sent."""
    return order.slides[place].id if place < len(order.slides) else "no such slide"


def _is_heard(batch: BatchTrack, place: int, length: int, *, is_anew: bool) -> bool:
    """Whether a wish for the slide was written, or was fulfilled or under way without it."""
    slide = batch.state.slides[place]
    if slide.status in {"pending", "generating"} or (slide.status == "done" and not is_anew):
        return True
    later = batch.log[length:]
    return any(
        getattr(event, "place", -1) == place or isinstance(event, SlidesReopened) for event in later
    )
