"""The engine: takes orders and wishes, has batches run, and answers for every one of them."""

import asyncio
import uuid
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

from msgspec.structs import replace

from slideloom.clock import wall_s
from slideloom.domain.batch import BatchState
from slideloom.domain.estimate import Estimate
from slideloom.domain.events import BatchOrder, BatchSubmitted
from slideloom.domain.images import NotAPicture
from slideloom.domain.keys import OnceKey
from slideloom.domain.status import to_summary
from slideloom.engine.estimates import estimate_batch, refuse_unaffordable
from slideloom.engine.runs import EngineLimits
from slideloom.engine.slide import SlideMaker
from slideloom.engine.timeline import Timeline
from slideloom.engine.wishes import choose_slides
from slideloom.engine.work import BatchWork
from slideloom.errors import InvalidRequest, NotWrittenYet, Stopping, StoreError
from slideloom.logs import Log
from slideloom.stores.base import BatchStore, Page

_CLEANUP_EVERY_S = 600.0
_ERRANDS_S = 5.0
"""How long a stop waits for what was asked just before."""
_WISH_S = 15.0
"""How long a caller waits for a wish while the store fails."""
_LATE_S = 60.0
"""After a single slide's whole time, for writing how it ended."""

_T = TypeVar("_T")


class BatchEngine:
    """Batches to be made and asked about, wherever that is done."""

    def __init__(
        self,
        *,
        store: BatchStore,
        work: BatchWork,
        maker: SlideMaker,
        limits: EngineLimits,
        log: Log,
    ) -> None:
        self._store = store
        self._work = work
        self._maker = maker
        self._limits = limits
        self._log = log
        self._errands: set[asyncio.Task[Any]] = set()
        """What callers asked for and must not be left half done."""
        self._chore: asyncio.Task[None] | None = None

    # Its life.

    async def start(self) -> None:
        """Go on with what an earlier process left open, then take orders.

        Raises:
            StoreError: what was left open cannot be read.
        """
        await self._work.start()
        self._chore = asyncio.create_task(self._clean_up(), name="clean up")

    async def stop(self, *, grace_s: float) -> None:
        """Begin nothing new, give calls under way `grace_s`, then leave the rest to the next start.

        May be called again meanwhile, to cut the grace short.
        """
        self._work.close()
        if self._chore is not None:
            self._chore.cancel()
        if self._errands:
            await asyncio.wait(self._errands, timeout=min(grace_s, _ERRANDS_S))
        await self._work.end(grace_s=grace_s)
        for errand in tuple(self._errands):
            errand.cancel()

    @property
    def stopping(self) -> asyncio.Event:
        """Set once the service shuts down."""
        return self._work.stopping

    def refuse_if_stopping(self) -> None:
        """Raise `Stopping` once the service shuts down."""
        if self.stopping.is_set():
            raise Stopping

    # Orders.

    async def submit(self, order: BatchOrder) -> Timeline:
        """Take an order: it is written down when this returns.

        Raises:
            Stopping: the service is shutting down.
            StoreError: it could not be written.
        """
        timeline, _ = await self.submit_once(order, None)
        return timeline

    async def submit_once(self, order: BatchOrder, key: OnceKey | None) -> tuple[Timeline, bool]:
        """Take an order unless `key` stands for one taken before; whether it does.

        Raises:
            KeyReused: it stands for another order.
            DailyCostReached: what is left today pays for no call any more.
            Stopping, StoreError: as `submit`.
        """
        self.refuse_if_stopping()
        return await self._see_through(self._take(order, key), name="take an order")

    async def make_single(self, order: BatchOrder, key: OnceKey | None = None) -> BatchState:
        """Make one slide, a batch of its own, and wait for its end.

        Raises:
            KeyReused, Stopping, StoreError: as `submit_once`.
        """
        timeline, _ = await self.submit_once(order, key)
        limit_s = self._limits.batch_timeout_of(timeline.state.order) + _LATE_S
        if not await timeline.wait_finished(timeout_s=limit_s):
            message = "the end of a single slide"
            raise NotWrittenYet(message)
        if not timeline.state.is_final:
            self.refuse_if_stopping()
            message = f"the store has lost the single slide {timeline.state.batch_id}"
            raise StoreError(message)
        return timeline.state

    async def keep_reference(self, order: BatchOrder, picture: bytes) -> BatchOrder:
        """The order, with a picture that was sent along for the style of its slides.

        Raises:
            InvalidRequest: it is no picture.
            StorageFull: it could not be kept.
        """
        try:
            name = await self._maker.images.keep_reference(picture)
        except NotAPicture as error:
            raise InvalidRequest(str(error), ("body", "style_reference")) from error
        return replace(order, reference_file=name)

    async def estimate(self, order: BatchOrder) -> Estimate:
        """What making the batch would take; nothing is paid."""
        return await estimate_batch(
            order, self._maker, measured_slide_s=self.mean_slide_s(), log=self._log
        )

    async def _take(self, order: BatchOrder, key: OnceKey | None) -> tuple[Timeline, bool]:
        if not await self._is_named(key):
            await refuse_unaffordable(order, self._maker, log=self._log)
        batch_id = str(uuid.uuid4())
        submitted = BatchSubmitted(at_s=wall_s(), order=order)
        taken_id = await self._store.create(batch_id, submitted, key=key)
        if taken_id != batch_id:
            return await self._work.get_told(taken_id), True
        return await self._work.begin(batch_id, submitted), False

    async def _is_named(self, key: OnceKey | None) -> bool:
        """Whether a key stands for a batch that was ordered before; asked where money is short."""
        if key is None or self._maker.allowance is None:
            return False
        return await self._store.find_named(key, now_s=wall_s()) is not None

    # Changes to a batch that is there.

    async def cancel(self, batch_id: str) -> Timeline:
        """Begin no more attempts, give up those under way; the batch as it is then.

        Raises:
            UnknownBatch: there is none.
            Stopping: the service is shutting down.
        """
        self.refuse_if_stopping()
        return await self._carry_out(self._work.cancel(batch_id), name=f"cancel {batch_id}")

    async def retry(self, batch_id: str, slide_ids: Collection[str] | None = None) -> Timeline:
        """Make again what is not done: those slides, or all.

        Raises:
            UnknownBatch, UnknownSlide: there is none.
            DailyCostReached: what is left today pays for no call any more.
            Stopping: the service is shutting down.
        """
        await self._refuse_unaffordable(batch_id, anew=False)
        wish = self._work.reopen(batch_id, choose_slides(slide_ids), anew=False)
        return await self._carry_out(wish, name=f"retry {batch_id}")

    async def regenerate(self, batch_id: str, slide_id: str) -> Timeline:
        """Make a new version of a slide, never from the cache; one under way is that version.

        Raises:
            UnknownBatch, UnknownSlide, DailyCostReached, Stopping: as `retry`.
        """
        await self._refuse_unaffordable(batch_id, anew=True)
        wish = self._work.reopen(batch_id, choose_slides((slide_id,)), anew=True)
        return await self._carry_out(wish, name=f"regenerate in {batch_id}")

    async def restore(self, batch_id: str, slide_id: str, version: int) -> Timeline:
        """Show an earlier version of a slide again; `version` is 1-based.

        Raises:
            SlideUnderWay: it is being made.
            UnknownBatch, UnknownSlide, Stopping: as `retry`.
        """
        wish = self._work.restore(batch_id, slide_id, version)
        return await self._carry_out(wish, name=f"restore in {batch_id}")

    async def _refuse_unaffordable(self, batch_id: str, *, anew: bool) -> None:
        if self._maker.allowance is not None:
            order = (await self.get(batch_id)).state.order
            await refuse_unaffordable(order, self._maker, anew=anew, log=self._log)

    async def _see_through(self, errand: Coroutine[Any, Any, _T], *, name: str) -> _T:
        """Do it in a task of the engine's own: a caller that goes away leaves nothing half done."""
        return await asyncio.shield(self._send_out(errand, name=name))

    async def _carry_out(self, wish: Coroutine[Any, Any, _T], *, name: str) -> _T:
        """See a wish through, but keep nobody waiting while the store fails.

        Raises:
            NotWrittenYet: it goes on, and is written as soon as that can be.
        """
        task = self._send_out(wish, name=name)
        await asyncio.wait({task}, timeout=_WISH_S)
        if not task.done():
            raise NotWrittenYet(name)
        return task.result()

    def _send_out(self, errand: Coroutine[Any, Any, _T], *, name: str) -> asyncio.Task[_T]:
        task = asyncio.create_task(errand, name=name)
        self._errands.add(task)
        task.add_done_callback(self._forget_errand)
        return task

    def _forget_errand(self, task: asyncio.Task[Any]) -> None:
        self._errands.discard(task)
        if not task.cancelled():
            task.exception()  # a caller that has gone away does not ask what went wrong

    # Answers.

    async def get(self, batch_id: str) -> Timeline:
        """A batch's timeline.

        Raises:
            UnknownBatch: there is none, or its record has been cleaned up.
        """
        return await self._work.get(batch_id)

    async def list_batches(
        self, *, limit: int, cursor: str | None, owner: str | None = None
    ) -> Page:
        """Batches, newest first, all or an owner's; unfinished ones as they stand now."""
        page = await self._store.list_batches(limit=limit, cursor=cursor, owner=owner)
        states = [self._work.find_live(line.batch_id) for line in page.batches]
        batches = tuple(
            line if state is None else to_summary(state)
            for line, state in zip(page.batches, states, strict=True)
        )
        return Page(batches=batches, next_cursor=page.next_cursor)

    async def check_store(self) -> None:
        """Make sure that another order could be written down.

        Raises:
            StoreError: it could not.
        """
        await self._store.check()

    def list_stops(self) -> list[str]:
        """The keys that were refused, in words."""
        return self._maker.lanes.list_stops()

    async def count_active(self, *, owner: str | None = None) -> int:
        """How many batches have not ended, all or an owner's, wherever they are made."""
        return await self._work.count_active(owner=owner)

    def active_count(self) -> int:
        """How many batches are made in this process."""
        states = self._work.list_live()
        return sum(not (state.is_final or state.order.is_single) for state in states)

    def cut_off_count(self) -> int:
        """Slides of batches made here which a stop cut off, and which may be charged."""
        slides = (slide for state in self._work.list_live() for slide in state.slides)
        return sum(
            slide.error_code == "interrupted" and bool(slide.possibly_billed) for slide in slides
        )

    def mean_slide_s(self) -> float | None:
        """How long a slide took lately; `None` before the first."""
        return self._work.mean_slide_s()

    # Housekeeping.

    async def _clean_up(self) -> None:
        """Drop the records of batches that ended long ago; their pictures stay, or longer."""
        while True:
            try:
                now_s = wall_s()
                before_s = now_s - self._limits.keep_finished_s
                forgotten = await self._store.forget_finished(before_s=before_s, now_s=now_s)
                await self._maker.results.forget_old()
                if self._limits.keep_pictures_s:
                    before_s = now_s - self._limits.keep_pictures_s
                    pictures = await self._maker.images.forget_old(before_s=before_s)
                    self._log.info("pictures_cleaned_up", pictures=pictures)
                if forgotten:
                    self._work.forget_ended()
                    self._log.info("records_cleaned_up", batches=forgotten)
            except Exception as error:  # noqa: BLE001 - a background loop outlives its errors
                self._log.error("clean_up_failed", exc_info=error)
            await asyncio.sleep(_CLEANUP_EVERY_S)
