"""A service that lives, dies and lives again over what outlives it; everything it does is noted."""

import asyncio
import math
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from slideloom.domain.events import BatchSubmitted, Event, SlideDone
from slideloom.domain.keys import OnceKey
from slideloom.engine.batches import BatchEngine
from slideloom.engine.recovery import InFlightPolicy
from slideloom.engine.run import BatchRun
from slideloom.errors import StoreError
from slideloom.providers.base import DrawOrder
from slideloom.stores.base import Draft
from tests.support.flaky import Dice, FlakyImages, FlakyProvider, FlakyStore
from tests.support.histories.calls import CALL_LAWS, Scene
from tests.support.histories.clocks import WallClock
from tests.support.histories.logbook import EVENT_LAWS, BatchTrack, Situation, follow, open_track
from tests.support.histories.upstream import (
    SLIDE_TIMEOUT_S,
    Act,
    Call,
    LedgerProvider,
    Upstream,
)
from tests.support.histories.witness import (
    InlineSqliteStore,
    Pace,
    Passage,
    QuickMemoryStore,
    WitnessedImages,
    WitnessedStore,
)
from tests.support.parts import MemoryImageStore, Workshop

KEEP_FINISHED_S = 24 * 3600.0
LAST_WRITES_S = 15.0
"""A stop may take so long beyond its grace, for writing."""
_START_AGAIN_S = 60.0
_STARTS = 20
"""A service that still does not start then is broken."""

_T = TypeVar("_T")


class Setup(Struct, frozen=True, kw_only=True):
    """What does not change in one history."""

    is_sqlite: bool = False
    bills: bool = True
    concurrency: int = 50
    """Batches at once."""
    lane_start: int = 50
    retry_no_image: int = 1
    steps_before: int = 0
    """Loop steps before each effect at store and disk."""
    steps_after: int = 0
    lag_s: float = 0.0
    """Seconds before each effect."""
    seed: int = 0
    share: float = 0.0
    """Of the calls to store, disk and provider that fail."""


class Life(Struct, eq=False):
    """One process of the service."""

    number: int
    policy: InFlightPolicy
    passage: Passage
    shop: Workshop
    stopped_at_s: float | None = None
    """When it was asked to stop."""

    @property
    def engine(self) -> BatchEngine:
        """Its engine."""
        return self.shop.engine


class KeyUse(Struct, frozen=True):
    """What a key stands for."""

    digest: str
    batch_id: str
    until_s: float


class World:
    """Everything there is, in one loop of virtual time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wall: WallClock, setup: Setup) -> None:
        self.loop = loop
        self.wall = wall
        self.setup = setup
        self.dice = Dice(seed=setup.seed, share=setup.share)
        self.store: Any = InlineSqliteStore() if setup.is_sqlite else QuickMemoryStore()
        self.images = MemoryImageStore()
        self.upstream = Upstream()
        self.book: dict[str, BatchTrack] = {}
        """Every batch that was ever written."""
        self.slides: dict[str, tuple[str, int]] = {}
        """Batch and place by slide id: those of the histories are unique."""
        self.keys: dict[str, KeyUse] = {}
        self.broken: list[str] = []
        """Laws that were broken by something written, called or answered."""
        self.newest_s = wall.time()
        """The latest the wall clock ever was: a cleaner may have seen it."""
        self.lives = 0
        self.zombie: Life | None = None
        """A life whose batches another one has taken."""
        self.late_life, self.late_from_s = 0, math.inf
        """The zombie that has time to write what its late answers cost, and since when."""
        self.life: Life
        self.next_policy: InFlightPolicy = "fail"
        """Of the life after a crash that is still to come."""
        self._driver: asyncio.Task[Any] | None = None
        self._tasks: dict[asyncio.Task[Any], None] = {}
        """Those of all lives, in the order of their making."""
        loop.set_exception_handler(self._note_complaint)
        loop.set_task_factory(self._make_task)

    # Running.

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do it; time passes only here."""
        task = self.loop.create_task(work, name="history")
        self._driver = task
        return self.loop.run_until_complete(task)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, work: Any, **more: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **more)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def list_tasks(self) -> list[asyncio.Task[Any]]:
        """All tasks but the one that drives the history, in the order of their making."""
        return [one for one in self._tasks if one is not self._driver and not one.done()]

    def latest_s(self) -> float:
        """The latest that the wall clock was, as far as is known."""
        return max(self.newest_s, self.wall.time())

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.newest_s = self.latest_s()
        self.wall.jump(seconds)

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
        await self.wait(min(next_s - now_s, 600.0), steps=steps)

    def _note_complaint(self, _: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.broken.append(f"the loop complains: {context['message']} {error!r}")

    # Lives.

    async def begin(self, policy: InFlightPolicy, *, steps_left: int | None = None) -> None:
        """Start a service, again and again if it dies meanwhile or the store is away."""
        for _ in range(_STARTS):
            self.life = self._bear(policy)
            self.life.passage.steps_left = steps_left
            steps_left = None
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
        setup = self.setup
        pace = Pace(before=setup.steps_before, after=setup.steps_after, seconds=setup.lag_s)
        passage = Passage(pace, end_life=self.cut)
        life: Life

        def begin(order: DrawOrder, draft: Draft, act: Act) -> Call:
            return self._note_call(life, order, draft, act)

        def written(batch_id: str, events: Sequence[Event]) -> None:
            self._note_events(life, batch_id, events)

        ledger = LedgerProvider(self.upstream, bills=setup.bills, begin=begin, touch=passage.touch)
        provider: Any = FlakyProvider(ledger, self.dice)
        store = FlakyStore(self.store, self.dice)
        shop = Workshop(
            provider,
            store=WitnessedStore(store, passage, opened=self._note_order, written=written),
            images=WitnessedImages(FlakyImages(self.images, self.dice), passage),
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
        """A run that is over holds no slot of its batch any more."""
        roster = life.engine._runs.roster
        drop = roster.drop

        def watch(run: BatchRun) -> None:
            drop(run)
            order = run.state.order
            is_whole = order.is_single or run.slots._value == order.max_workers
            if not is_whole and life.passage.is_open:
                self.broken.append(f"a_run_that_is_over_holds_no_slot: {run.batch_id}")

        roster.drop = watch  # type: ignore[method-assign]  # nobody else tells when

    def cut(self) -> None:
        """The power goes: nothing more of any life runs, calls or writes."""
        for life in (self.life, self.zombie):
            if life is not None:
                life.passage.is_open = False
        self.zombie = None
        for task in self.list_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    def find_leaks(self) -> list[str]:
        """What the life holds on to, though it has nothing to do any more."""
        return [name for name, count in _count_held(self.life, self.setup).items() if count]

    def is_late(self, call: Call) -> bool:
        """Whether the call was answered when its batch was another life's already."""
        is_told = call.ended_s is not None and call.told_usd is not None
        return is_told and call.life == self.late_life and (call.ended_s or 0.0) > self.late_from_s

    def have_peace(self) -> None:
        """From now on nothing fails, and the power stays."""
        if self.zombie is not None and not self.setup.share:
            self.late_life, self.late_from_s = self.zombie.number, self.loop.time()
        self.dice.share = 0.0
        self.dice.end_outages()
        self.upstream.script.clear()
        for life in (self.life, self.zombie):
            if life is not None:
                life.passage.steps_left = None

    async def check_store(self) -> None:
        """Compare the store with what was written, event by event."""
        for batch_id, batch in self.book.items():
            log = await self.store.read(batch_id)
            if log and log != batch.log:
                self.broken.append(f"the_log_is_what_was_written: {batch_id} {log}")

    async def bury(self) -> None:
        """Wait until nothing of it is left."""
        self.cut()
        for _ in range(200):
            tasks = self.list_tasks()
            if not tasks:
                break
            for task in tasks:
                task.add_done_callback(_look_at)
                task.cancel()
            await asyncio.sleep(0)
        if tasks := self.list_tasks():
            self.broken.append(f"tasks outlive a crash: {tasks}")

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
        return self.zombie is None and not engine._errands and not engine._runs._unresumed

    async def stop(self, *, grace_s: float, policy: InFlightPolicy) -> None:
        """Stop in order, and start anew."""
        await self.stop_only(grace_s=grace_s)
        await self.begin(policy)

    async def stop_only(self, *, grace_s: float) -> None:
        """Stop in order; nothing may be left."""
        life = self.life
        if self.zombie is not None:
            await self.zombie.engine.stop(grace_s=0.0)
            self.zombie = None
        began_s = life.stopped_at_s = self.loop.time()
        stop = asyncio.create_task(life.engine.stop(grace_s=grace_s), name="stop")
        await asyncio.wait({stop})
        if stop.cancelled():  # the power went meanwhile
            await self.bury()
            return
        stop.result()
        if self.loop.time() - began_s > grace_s + LAST_WRITES_S:
            self.broken.append(f"a_stop_is_bounded: {self.loop.time() - began_s} s")
        await self.wait(LAST_WRITES_S)
        if not life.passage.is_open:
            await self.bury()
            return
        self.broken += [f"{name} after a stop" for name in self.find_leaks()]
        if tasks := self.list_tasks():
            self.broken.append(f"no_task_is_left_over: {tasks}")
        await self.bury()

    # What is noted.

    def _note_order(
        self, batch_id: str, taken_id: str, submitted: BatchSubmitted, key: OnceKey | None
    ) -> None:
        use = self.keys.get(key.text) if key else None
        if use is not None and use.until_s <= submitted.at_s:
            use = None
        if use is not None and use.until_s <= self.latest_s():  # gone before the clock was set back
            use = use if taken_id == use.batch_id else None
        if taken_id != (batch_id if use is None else use.batch_id):
            self.broken.append(f"the store takes key {key} for {taken_id}")
        if taken_id != batch_id:
            return
        if key is not None:
            self.keys[key.text] = KeyUse(key.digest, batch_id, key.until_s)
        self.book[batch_id] = open_track(batch_id, submitted, life=self.lives, key=key)
        for place, slide in enumerate(submitted.order.slides):
            self.slides[slide.id] = batch_id, place

    def _note_events(self, life: Life, batch_id: str, events: Sequence[Event]) -> None:
        batch = self.book[batch_id]
        situation = Situation(
            life=life.number,
            hears_all=not self.setup.share,
            policy=life.policy,
            bills=self.setup.bills,
            retry_no_image=self.setup.retry_no_image,
            is_kept=self._was_kept,
        )
        for event in events:
            for law in EVENT_LAWS:
                if not law(batch, event, situation):
                    self.broken.append(f"{law.__name__}: {batch_id} {event}")
            if isinstance(event, SlideDone) and event.image not in self.images.kept:
                self.broken.append(f"picture_is_kept_before_it_is_recorded: {batch_id} {event}")
            follow(batch, event, now_s=self.loop.time())

    def _was_kept(self, stem: str) -> bool:
        """Before anybody could look; another life may keep it just while this one looks."""
        return self.zombie is None and f"{stem}.png" in self.images.kept

    def _note_call(self, life: Life, order: DrawOrder, draft: Draft, act: Act) -> Call:
        batch_id, place = self.slides[order.slide.id]
        slide = self.book[batch_id].slides[place]
        beside = [one for one in self.upstream.list_open(batch_id) if one.life == life.number]
        call = Call(
            number=len(self.upstream.calls),
            batch_id=batch_id,
            place=place,
            attempt=slide.attempts,
            prompt=order.prompt,
            life=life.number,
            begun_s=self.loop.time(),
            is_billed=act.is_billed and self.setup.bills,
        )
        scene = Scene(
            call=call,
            batch=self.book[batch_id],
            is_owner=life is self.life,
            beside=len(beside),
            draft_opened_s=getattr(draft, "opened_s", 0.0),
            disk_full_since_s=self.dice.find_outage("disk"),
            stopped_at_s=life.stopped_at_s,
        )
        self.broken += [f"{law.__name__}: {scene}" for law in CALL_LAWS if not law(scene)]
        slide.called, slide.call = slide.attempts, call
        self.upstream.begin(call)
        return call


def _count_held(life: Life, setup: Setup) -> dict[str, int]:
    """What a life holds on to."""
    lanes, engine, runs = life.shop.lanes, life.engine, life.engine._runs
    queue: Any = runs._queue
    return {
        "a lane's call": lanes._lanes[0].throttle.in_flight,
        "a single slide's call": lanes._lanes[0].single_count,
        "a wish before the lanes": len(lanes._parties),
        "a claim on a picture": len(life.shop.maker.results._making),
        "a run": len(runs.roster.runs),
        "an errand": len(engine._errands),
        "a run out of turn": len(runs._hurried),
        "a place in the queue": setup.concurrency - queue._slots._value,
        "a single slide's slot": engine._limits.single_workers - runs._single_slots._value,
    }


def _list_timers(loop: Any) -> list[asyncio.TimerHandle]:
    timers: list[asyncio.TimerHandle] = loop._scheduled
    return timers


def _look_at(task: asyncio.Task[Any]) -> None:
    """What a dying task says is nobody's business."""
    if not task.cancelled():
        task.exception()
