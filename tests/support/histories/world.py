"""A service that lives, dies and lives again, in one loop of virtual time."""

import asyncio
import math
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from slideloom.domain.events import Event
from slideloom.engine.recovery import InFlightPolicy
from slideloom.engine.run import BatchRun
from slideloom.errors import StoreError
from slideloom.providers.base import DrawOrder
from slideloom.stores.image_base import Draft
from tests.support.flaky import FlakyImages, FlakyProvider, FlakyStore
from tests.support.histories.books import Books
from tests.support.histories.clocks import WallClock
from tests.support.histories.life import Life, Setup, find_leaks
from tests.support.histories.upstream import SLIDE_TIMEOUT_S, Act, Call, LedgerProvider
from tests.support.histories.witness import Pace, Passage, WitnessedImages, WitnessedStore
from tests.support.parts import Workshop

KEEP_FINISHED_S = 24 * 3600.0
_LAST_WRITES_S = 15.0
"""A stop may take so long beyond its grace, for writing."""
_START_AGAIN_S = 60.0
_STARTS = 20
"""A service that still does not start then is broken."""
_DEATH_THROES = 200
"""Loop steps within which everything that was cancelled has ended."""

_T = TypeVar("_T")


class World:
    """The lives of one service, and the time that passes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wall: WallClock, setup: Setup) -> None:
        self.loop = loop
        self.setup = setup
        self.books = Books(loop, wall, setup)
        self.lives = 0
        self.life: Life
        self.zombie: Life | None = None
        """A life whose batches another one has taken."""
        self.late_life, self.late_from_s = 0, math.inf
        """The zombie that has time to write what its late answers cost, and since when."""
        self.next_policy: InFlightPolicy = "fail"
        """Of the life after a crash that is still to come."""
        self._driver: asyncio.Task[Any] | None = None
        self._tasks: dict[asyncio.Task[Any], None] = {}
        """Those of all lives, in the order of their making."""
        loop.set_exception_handler(self._note_complaint)
        loop.set_task_factory(self._make_task)

    # Time.

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do it; time passes only here."""
        task = self.loop.create_task(work, name="history")
        self._driver = task
        return self.loop.run_until_complete(task)

    async def wait(self, seconds: float, *, steps: int = 0) -> None:
        """Let time pass, then so many loop steps."""
        if seconds:
            await asyncio.sleep(seconds)
        for _ in range(steps):
            await asyncio.sleep(0)

    async def wait_for_timer(self, *, steps: int) -> None:
        """Let time pass until somebody's timer is due, then so many loop steps."""
        now_s = self.loop.time()
        timers = [timer.when() for timer in _list_timers(self.loop) if not timer.cancelled()]
        next_s = min((when for when in timers if when > now_s), default=now_s)
        await self.wait(next_s - now_s, steps=steps)

    def list_tasks(self) -> list[asyncio.Task[Any]]:
        """All tasks but the one that drives the history, in the order of their making."""
        return [one for one in self._tasks if one is not self._driver and not one.done()]

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, work: Any, **more: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **more)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def _note_complaint(self, _: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.books.complain("the_loop_has_nothing_to_complain_of", context["message"], repr(error))

    # Birth.

    async def begin(self, policy: InFlightPolicy) -> None:
        """Start a service, again and again if it dies meanwhile or the store is away."""
        for _ in range(_STARTS):
            self.life = self._bear(policy)
            start = asyncio.create_task(self.life.engine.start(), name="start")
            await asyncio.wait({start})
            if not start.cancelled() and start.exception() is None:
                return
            if not start.cancelled() and not isinstance(start.exception(), StoreError):
                start.result()
            await self.bury()
            await asyncio.sleep(_START_AGAIN_S)
        message = "the service does not start"
        raise AssertionError(message)

    def _bear(self, policy: InFlightPolicy) -> Life:
        self.lives += 1
        setup, books = self.setup, self.books
        books.owner, books.has_zombie = self.lives, self.zombie is not None
        pace = Pace(before=setup.steps_before, after=setup.steps_after, seconds=setup.lag_s)
        passage = Passage(pace, end_life=self.cut)
        life: Life

        def begin(order: DrawOrder, draft: Draft, act: Act) -> Call:
            return books.note_call(life, order, draft, act)

        def written(batch_id: str, events: Sequence[Event]) -> None:
            books.note_events(life, batch_id, events)

        ledger = LedgerProvider(books.upstream, bills=setup.bills, begin=begin, touch=passage.touch)
        provider: Any = FlakyProvider(ledger, books.dice)
        store = FlakyStore(books.store, books.dice)
        shop = Workshop(
            provider,
            store=WitnessedStore(store, passage, opened=books.note_order, written=written),
            images=WitnessedImages(FlakyImages(books.images, books.dice), passage),
            concurrency=setup.concurrency,
            lane_start=setup.lane_start,
            policy={"retry_no_image": setup.retry_no_image},
            slide_timeout_s=SLIDE_TIMEOUT_S,
            keep_finished_s=KEEP_FINISHED_S,
            resume_in_flight=policy,
        )
        life = Life(self.lives, policy, passage, shop)
        self._watch_slots(life)
        return life

    def _watch_slots(self, life: Life) -> None:
        roster = life.shop.runs.roster
        drop = roster.drop

        def watch(run: BatchRun) -> None:
            drop(run)
            order = run.state.order
            is_whole = order.is_single or run.slots._value == order.max_workers
            if not is_whole and life.passage.is_open:
                self.books.complain("a_run_that_is_over_holds_no_slot", run.batch_id)

        roster.drop = watch  # type: ignore[method-assign]  # nobody else tells when

    # Death.

    def cut(self) -> None:
        """The power goes: nothing more of any life runs, calls or writes."""
        for life in (self.life, self.zombie):
            if life is not None:
                life.passage.is_open = False
        self.zombie = None
        for task in self.list_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    async def bury(self) -> None:
        """Cut the power, and wait until nothing is left."""
        self.cut()
        for _ in range(_DEATH_THROES):
            tasks = self.list_tasks()
            if not tasks:
                return
            for task in tasks:
                task.add_done_callback(_look_at)
                task.cancel()
            await asyncio.sleep(0)
        self.books.complain("nothing_outlives_a_crash", self.list_tasks())

    async def revive(self) -> None:
        """If the power went, start anew."""
        if not self.life.passage.is_open:
            await self.bury()
            await self.begin(self.next_policy)

    async def crash(
        self, policy: InFlightPolicy, steps_left: int, *, within_s: float, down_s: float
    ) -> None:
        """Cut the power at a step to store, disk or provider, or when time is up; start anew."""
        self.life.passage.steps_left = steps_left
        tasks = self.list_tasks()
        if steps_left and within_s and tasks:
            await asyncio.wait(tasks, timeout=within_s)
        await self.bury()
        await self.wait(down_s)
        await self.begin(policy)

    async def take_over(self, policy: InFlightPolicy) -> None:
        """Another process takes all batches, while this one still believes they are its own."""
        self.zombie = self.life
        await self.begin(policy)

    @property
    def can_be_taken_over(self) -> bool:
        """Whether nothing that users asked of this life is under way, and it is the only one."""
        engine = self.life.engine
        return self.zombie is None and not engine._errands and not self.life.shop.runs._unresumed

    async def stop(self, *, grace_s: float, policy: InFlightPolicy) -> None:
        """Stop in order, look that nothing is left, and start anew."""
        if self.zombie is not None:
            await self.zombie.engine.stop(grace_s=0.0)
            self.zombie = None
        began_s = self.life.stopped_at_s = self.loop.time()
        stop = asyncio.create_task(self.life.engine.stop(grace_s=grace_s), name="stop")
        await asyncio.wait({stop})
        if not stop.cancelled():  # the power may go meanwhile
            stop.result()
            if self.loop.time() - began_s > grace_s + _LAST_WRITES_S:
                self.books.complain("a_stop_is_bounded", self.loop.time() - began_s)
            await self._look_what_is_left()
        await self.bury()
        await self.begin(policy)

    async def _look_what_is_left(self) -> None:
        await self.wait(_LAST_WRITES_S)
        if not self.life.passage.is_open:
            return
        if leaks := find_leaks(self.life, self.setup):
            self.books.complain("nothing_is_held_after_a_stop", leaks)
        if tasks := self.list_tasks():
            self.books.complain("no_task_is_left_over", tasks)

    def have_peace(self) -> None:
        """From now on nothing fails, and the power stays."""
        if self.zombie is not None and not self.setup.share:
            self.late_life, self.late_from_s = self.zombie.number, self.loop.time()
        self.books.dice.share = 0.0
        self.books.dice.end_outages()
        self.books.upstream.script.clear()
        for life in (self.life, self.zombie):
            if life is not None:
                life.passage.steps_left = None

    def is_late(self, call: Call) -> bool:
        """Whether the call was answered when its batch was another life's already."""
        is_told = call.ended_s is not None and call.told_usd is not None
        return is_told and call.life == self.late_life and (call.ended_s or 0.0) > self.late_from_s


def _list_timers(loop: Any) -> list[asyncio.TimerHandle]:
    timers: list[asyncio.TimerHandle] = loop._scheduled
    return timers


def _look_at(task: asyncio.Task[Any]) -> None:
    """What a dying task says is nobody's business."""
    if not task.cancelled():
        task.exception()
