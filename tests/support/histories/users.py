"""The users of the histories: what they ask, what they are told, and what they may hold us to."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from msgspec import Struct, field

from slideloom.clock import wall_s
from slideloom.domain.batch import BatchState
from slideloom.domain.events import BatchOrder
from slideloom.domain.keys import OnceKey
from slideloom.domain.status import BatchStatus, to_status
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
from tests.support.histories.logbook import BatchTrack
from tests.support.histories.world import KEEP_FINISHED_S, Life, World

_KEY_S: Final = 24 * 3600.0
"""Source: contract section 2."""
_PATIENCE_S: Final = 60.0
"""How long somebody waits for an answer, before doing something else meanwhile."""
_EPSILON_S: Final = 1e-6
NOWHERE: Final = 8
"""Of the numbers that say which slide is meant."""


class Manner(Struct, frozen=True):
    """How somebody asks: waits for the answer, or does not after so many loop steps."""

    what: Literal["wait", "go on", "hang up"] = "wait"
    steps: int = 0


class Seen(Struct, eq=False):
    """What a user knows of a batch."""

    seq: int = 0
    reopened: int = 0
    finished: int = 0
    images: list[list[str]] = field(default_factory=list)
    timeline: Timeline | None = None
    elapsed_s: float = 0.0
    looked_s: float = 0.0


class Users:
    """All callers of one history."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.accepted: list[str] = []
        """Ids of batches, in the order they were told."""
        self.singles: set[str] = set()
        self.seen: dict[str, Seen] = {}
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
            first = self.world.book[timeline.state.batch_id].key
            if key and (first is None or (first.text, first.digest) != (key.text, key.digest)):
                self._complain("a_key_stands_for_one_batch", key, first)
            if is_replayed and not key:
                self._complain("only_a_key_is_replayed", order)
            self._look(timeline)

        async def ask() -> tuple[Timeline, bool]:
            return await engine.submit_once(order, key or None)

        await self._ask("submit", ask, take, manner, key=key or None)

    async def make_single(self, order: BatchOrder, manner: Manner) -> None:
        """Order one slide, and wait for it."""
        engine = self.world.life.engine

        def take(state: BatchState) -> None:
            self._accept(state, order)
            if not state.is_final:
                self._complain("a_single_slides_answer_is_its_end", state)

        await self._ask("single", lambda: engine.make_single(order), take, manner)

    async def cancel(self, batch_id: str, manner: Manner) -> None:
        """Want no more of it."""

        def take(timeline: Timeline) -> None:
            batch = self.world.book[batch_id]
            if not (batch.is_cancelled or batch.is_final or batch.reopened > reopened):
                self._complain("an_answered_cancel_is_written", timeline.state)
            batch.is_given_up = batch.is_cancelled or batch.is_final
            calls = self.world.upstream.list_open(batch_id)
            if batch.is_given_up and any(call.life == life.number for call in calls):
                self._complain("an_answered_cancel_has_given_calls_up", calls)
            self._look(timeline)

        reopened = self.world.book[batch_id].reopened
        life = self.world.life
        await self._ask(
            "cancel", lambda: life.engine.cancel(batch_id), take, manner, batch_id=batch_id
        )

    async def retry(self, batch_id: str, places: list[int] | None, manner: Manner) -> None:
        """Want those slides that are not done, or all; a place that is not there is asked too."""
        order = self.world.book[batch_id].order
        places = None if places is None else [to_place(order, number) for number in places]
        ids = None if places is None else [_to_id(order, place) for place in places]
        wanted = range(len(order.slides)) if places is None else places
        await self._want("retry", batch_id, list(wanted), ids, manner)

    async def regenerate(self, batch_id: str, place: int, manner: Manner) -> None:
        """Want another version of a slide."""
        place = to_place(self.world.book[batch_id].order, place)
        await self._want("regenerate", batch_id, [place], None, manner)

    async def _want(
        self, what: str, batch_id: str, places: list[int], ids: list[str] | None, manner: Manner
    ) -> None:
        batch, engine = self.world.book[batch_id], self.world.life.engine
        is_anew = what == "regenerate"
        length = len(batch.log)

        def call() -> Awaitable[Timeline]:
            if is_anew:
                return engine.regenerate(batch_id, _to_id(batch.order, places[0]))
            return engine.retry(batch_id, ids)

        def take(timeline: Timeline) -> None:
            for place in places:
                if not _is_heard(batch, place, length, is_anew=is_anew):
                    self._complain("an_answered_wish_is_written", what, place, timeline.state)
            self._look(timeline)

        is_known = all(place < len(batch.order.slides) for place in places)
        may = () if is_known else (UnknownSlide,)
        await self._ask(what, call, take, manner, batch_id=batch_id, may=may)

    async def restore(self, batch_id: str, number: int, manner: Manner) -> None:
        """Want an earlier picture back, where there are most; with `NOWHERE` one that never was."""
        batch = self.world.book[batch_id]
        counts = [len(slide.images) for slide in batch.slides]
        place = counts.index(max(counts))
        version = 1 + (counts[place] if number == NOWHERE else number % max(1, counts[place]))
        length = len(batch.log)

        def take(timeline: Timeline) -> None:
            slide = timeline.state.slides[place]
            is_shown = slide.picture is not None and slide.shown == version - 1
            if not is_shown and len(batch.log) == length:
                self._complain("an_answered_restore_is_written", place, version, timeline.state)
            self._look(timeline)

        engine, slide_id = self.world.life.engine, _to_id(batch.order, place)
        may = (UnknownSlide, SlideUnderWay)

        def call() -> Awaitable[Timeline]:
            return engine.restore(batch_id, slide_id, version)

        await self._ask("restore", call, take, manner, batch_id=batch_id, may=may)

    async def poll(self, batch_id: str, manner: Manner) -> None:
        """Ask how it is."""
        engine = self.world.life.engine
        await self._ask("poll", lambda: engine.get(batch_id), self._look, manner, batch_id=batch_id)

    async def wait_for_the_end(self, batch_id: str, manner: Manner) -> None:
        """Wait until it has ended, or nothing more is done about it here."""
        engine = self.world.life.engine

        async def wait() -> Timeline:
            timeline = await engine.get(batch_id)
            if batch_id in engine._runs.roster.runs:
                await timeline.wait_finished(timeout_s=None)
            return timeline

        await self._ask("wait", wait, self._look, manner, batch_id=batch_id)

    async def list_batches(self, manner: Manner) -> None:
        """Ask for all batches, and how many are under way."""
        life = self.world.life
        known = [one for one in self.accepted if one not in self.singles]

        def take(page: Page) -> None:
            listed = {line.batch_id for line in page.batches}
            missing = [one for one in known if one not in listed and not self._may_be_gone(one)]
            if missing or listed & self.singles:
                self._complain("the_list_has_every_batch", missing, listed & self.singles)
            if not 0 <= life.engine.active_count() <= len(self.world.book):
                self._complain("the_count_is_of_batches", life.engine.active_count())

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
        fallen = self.world.dice.fallen
        try:
            answer = await call()
        except StoreError as error:
            is_waiting = batch_id in life.engine._runs._unresumed
            if self.world.dice.fallen == fallen and not is_waiting:
                self._complain("only_a_failing_store_is_blamed", what, repr(error))
        except Stopping:
            if life.stopped_at_s is None:
                self._complain("only_a_stop_is_called_one", what)
        except KeyReused:
            use = self.world.keys.get(key.text) if key else None
            if key is None or use is None or use.digest == key.digest:
                self._complain("only_a_key_of_another_order_is_refused", key)
        except UnknownBatch:
            if not self._may_be_gone(batch_id) and batch_id not in self.singles:
                self._complain("no_accepted_batch_is_lost", what, batch_id)
        except may:
            pass
        except Exception as error:  # noqa: BLE001 - whatever a user must never see
            self._complain("no_user_sees_an_error_of_ours", what, repr(error))
        else:
            take(answer)

    def _accept(self, state: BatchState, order: BatchOrder) -> None:
        if state.order != order:
            self._complain("an_answer_is_for_what_was_ordered", state, order)
        if state.batch_id not in self.seen:
            self.accepted.append(state.batch_id)
            self.seen[state.batch_id] = Seen()
        if order.is_single:
            self.singles.add(state.batch_id)

    def _may_be_gone(self, batch_id: str) -> bool:
        """Whether it ended so long ago that its record goes."""
        batch = self.world.book.get(batch_id)
        if batch is None or not batch.is_final:
            return False
        return batch.state.latest_at_s < self.world.latest_s() - KEEP_FINISHED_S

    def _look(self, timeline: Timeline) -> None:
        """A user sees the batch."""
        state = timeline.state
        status = to_status(
            state,
            elapsed_s=timeline.elapsed_s,
            now_s=wall_s(),
            last_event=len(timeline.feed),
            language="en",
        )
        seen, batch = self.seen.setdefault(state.batch_id, Seen()), self.world.book[state.batch_id]
        if state.seq > len(batch.log):
            self._complain("what_is_announced_is_written", state.seq, len(batch.log))
        if not _is_true(status):
            self._complain("done_means_a_picture_and_error_a_reason", status)
        if state.seq < seen.seq:
            self._complain("no_state_is_older_than_one_seen_before", state.seq, seen.seq)
        reopened = sum(_is_reopening(event) for event in batch.log[: state.seq])
        is_counted = not batch.late_costs  # else the log has more than who runs the batch knows
        if is_counted and reopened == seen.reopened and status.completed_slides < seen.finished:
            self._complain("progress_never_goes_back", status)
        self._look_at_time(seen, timeline, is_same_run=reopened == seen.reopened)
        images = [[version.image for version in slide.versions] for slide in state.slides]
        for before, now in zip(seen.images, images, strict=bool(seen.images)):
            if now[: len(before)] != before:
                self._complain("a_version_seen_stays", before, now)
        seen.seq, seen.reopened, seen.finished = state.seq, reopened, status.completed_slides
        seen.images = images

    def _look_at_time(self, seen: Seen, timeline: Timeline, *, is_same_run: bool) -> None:
        """The time a batch has taken goes with the loop's clock, whatever the wall clock does."""
        now_s, elapsed_s = self.world.loop.time(), timeline.elapsed_s
        if seen.timeline is timeline and is_same_run and not timeline.state.is_final:
            passed_s = now_s - seen.looked_s
            if abs(elapsed_s - seen.elapsed_s - passed_s) > _EPSILON_S:
                self._complain("time_taken_is_monotonic", elapsed_s, seen.elapsed_s, passed_s)
        seen.timeline, seen.elapsed_s, seen.looked_s = timeline, elapsed_s, now_s

    def _complain(self, law: str, *facts: object) -> None:
        self.world.broken.append(f"{law}: {facts}")


def to_place(order: BatchOrder, number: int) -> int:
    """A place of the deck, in turn; beyond the end for the one number that is never there."""
    count = len(order.slides)
    return count if number == NOWHERE else number % count


def _to_id(order: BatchOrder, place: int) -> str:
    """The slide's id; of a place that is not there, one that nobody sent."""
    return order.slides[place].id if place < len(order.slides) else "no such slide"


def _is_reopening(event: object) -> bool:
    return type(event).__name__ == "SlidesReopened"


def _is_heard(batch: BatchTrack, place: int, length: int, *, is_anew: bool) -> bool:
    """Whether a wish for the slide was written, or was fulfilled or under way without it."""
    slide = batch.state.slides[place]
    if slide.status in {"pending", "generating"} or (slide.status == "done" and not is_anew):
        return True
    later = batch.log[length:]
    return any(getattr(event, "place", -1) == place or _is_reopening(event) for event in later)


def _is_true(status: BatchStatus) -> bool:
    """Whether what a user reads makes sense by itself."""
    slides_fit = all(
        (one.status == "done") == (one.image_url is not None)
        and (one.status == "error") == (one.error_code is not None)
        for one in status.results
    )
    is_over = status.status in {"completed", "failed"}
    verdict_fits = not is_over or (status.status == "completed") == (status.successful > 0)
    return slides_fit and verdict_fits and (not is_over or status.progress == 1.0)
