"""The state machine: what may happen in a history, step by step, and what must hold at each."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from slideloom.domain.events import BatchOrder
from slideloom.engine.recovery import InFlightPolicy
from slideloom.errors import StorageFull, StoreError
from tests.support.flaky import Part
from tests.support.histories.clocks import HistoryLoop, wall_clock
from tests.support.histories.laws import LAWS, LAWS_OF_THE_END, check
from tests.support.histories.life import Setup
from tests.support.histories.upstream import FAULTS, PRICE_USD, Act
from tests.support.histories.users import NOWHERE, Manner, Users
from tests.support.histories.world import World
from tests.support.orders import order, slide

_MANNERS: Final = st.sampled_from(
    [
        *[Manner()] * 16,
        *(Manner("go on", steps) for steps in range(9)),
        *(Manner("hang up", steps) for steps in range(7)),
    ]
)
_WHICH: Final = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
"""Of the batches so far, in turn: the first ones have the most to tell."""
_PLACES: Final = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4, NOWHERE])
"""Of the slides, in turn."""
_POLICIES: Final = st.sampled_from(["fail", "retry"])
_ACTS: Final = st.builds(
    Act,
    fault=st.sampled_from(["", "slow", "garbage", *FAULTS, "answer lost", "no image", "rejected"]),
    seconds=st.sampled_from([1.0, 0.0, 0.1, 30.0]),
    is_billed=st.booleans(),
)
_TIMES: Final = st.sampled_from([1, 1, 2, 3, 6])
_SETUPS: Final = st.builds(
    Setup,
    is_sqlite=st.sampled_from([False, False, False, True]),
    bills=st.sampled_from([True, True, True, False]),
    concurrency=st.sampled_from([50, 1, 2]),
    lane_start=st.sampled_from([50, 1]),
    retry_no_image=st.sampled_from([1, 0, 2]),
    steps_before=st.integers(0, 2),
    steps_after=st.integers(0, 2),
    lag_s=st.sampled_from([0.0, 0.0, 0.01, 1.0]),
)
_WAITS_S: Final = st.sampled_from(
    [0.0, 0.01, 0.5, 1.0, 1.0, 1.0, 3.0, 7.0, 60.0, 60.0, 130.0, 130.0, 700.0, 1300.0]
)
_OUTAGES_S: Final = st.sampled_from([0.1, 3.0, 30.0, 200.0])
_KINDS: Final = st.sampled_from(
    ["plain", "plain", "plain", "plain", "alike", "alike", "led", "dear"]
)
_LOOK_S: Final = 2.5
"""How long somebody looks at the old picture while the new one is made."""
_PEACE_S: Final = 1000.0
"""Longer than any pause, back-off or budget of a batch."""
_RESUMED_S: Final = 60.0
"""What a start would pay for it pays for at once."""


class Histories(RuleBasedStateMachine):
    """Anything that users, upstream, disk, clock and power may do to the service."""

    share = 0.0
    """Of the calls to store, disk and provider that fail by plan."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = HistoryLoop()
        self._clock = wall_clock(self.loop)
        self._wall = self._clock.__enter__()
        self.users: Users | None = None
        self.labels = 0
        self.is_broken = False

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it happen; if the power goes meanwhile, the service is started anew."""

        async def happen() -> None:
            await work
            await self.world.revive()

        self.is_broken = True
        self.world.run(happen())
        self.is_broken = False

    @property
    def told(self) -> Users:
        """The users, once the history has begun."""
        assert self.users is not None
        return self.users

    @property
    def world(self) -> World:
        """Where they live."""
        return self.told.world

    def do_to(self, which: int, act: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Let it happen to one of the batches that users were told of, if there is any."""
        # No preconditions: what the engine does must not change what is drawn.
        if self.told.accepted:
            self.do(act(self.told.accepted[which % len(self.told.accepted)]))

    @initialize(
        setup=_SETUPS,
        seed=st.integers(0, 2**32),
        policy=_POLICIES,
        act=_ACTS,
        times=st.sampled_from([0, 0, 1, 2, 3, 6]),
        deck=st.tuples(st.integers(0, 5), st.integers(1, 3), _KINDS),
    )
    def begin(
        self,
        setup: Setup,
        seed: int,
        policy: InFlightPolicy,
        act: Act,
        times: int,
        deck: tuple[int, int, str],
    ) -> None:
        fixed = Setup(**{**_to_dict(setup), "seed": seed, "share": self.share})
        self.users = Users(World(self.loop, self._wall, fixed))
        self.do(self.world.begin(policy))
        self.upstream_will(act=act, times=times)
        slides, workers, kind = deck
        if slides:  # most of what happens needs a batch
            self.submit(slides=slides, workers=workers, kind=kind, manner=Manner())

    # What users do.

    @rule(
        slides=st.integers(1, 5),
        workers=st.integers(1, 3),
        kind=_KINDS,
        manner=_MANNERS,
    )
    def submit(self, slides: int, workers: int, kind: str, manner: Manner) -> None:
        self.labels += 1
        label = f"b{self.labels}"
        self.do(self.told.submit(_to_order(label, slides, workers, kind), None, manner))

    @rule(
        number=st.integers(1, 2),
        body=st.integers(1, 2),
        slides=st.integers(1, 3),
        manner=_MANNERS,
    )
    def submit_with_key(self, number: int, body: int, slides: int, manner: Manner) -> None:
        text = f"k{number}"
        label = f"{text}-{self._generation(text)}-{body}-{slides}"
        self.do(self.told.submit(_to_order(label, slides, 2, "plain"), text, manner))

    def _generation(self, text: str) -> int:
        """How often the key's time was over: then it stands for another order."""
        use = self.world.books.keys.get(text)
        if use is None:
            return 0
        before = int(use.digest.split("-")[1])
        return before + (use.until_s <= self._wall.time())

    @rule(manner=_MANNERS)
    def make_single(self, manner: Manner) -> None:
        self.labels += 1
        single = _to_order(f"s{self.labels}", 1, 1, "single")
        self.do(self.told.make_single(single, manner))

    @rule(which=_WHICH, manner=_MANNERS)
    def poll(self, which: int, manner: Manner) -> None:
        self.do_to(which, lambda batch_id: self.told.poll(batch_id, manner))

    @rule(which=_WHICH, manner=_MANNERS)
    def wait_for_the_end(self, which: int, manner: Manner) -> None:
        self.do_to(which, lambda batch_id: self.told.wait_for_the_end(batch_id, manner))

    @rule(manner=_MANNERS)
    def list_batches(self, manner: Manner) -> None:
        self.do(self.told.list_batches(manner))

    @rule(which=_WHICH, manner=_MANNERS)
    def cancel(self, which: int, manner: Manner) -> None:
        self.do_to(which, lambda batch_id: self.told.cancel(batch_id, manner))

    @rule(which=_WHICH, places=st.none() | st.lists(_PLACES, max_size=3), manner=_MANNERS)
    def retry(self, which: int, places: list[int] | None, manner: Manner) -> None:
        self.do_to(which, lambda batch_id: self.told.retry(batch_id, places, manner))

    @rule(which=_WHICH, place=_PLACES, manner=_MANNERS)
    def regenerate(self, which: int, place: int, manner: Manner) -> None:
        async def regenerate(batch_id: str) -> None:
            await self.told.regenerate(batch_id, place, manner)
            await self.world.wait(_LOOK_S if manner.what == "wait" else 0.0)

        self.do_to(which, regenerate)

    @rule(which=_WHICH, number=_PLACES, manner=_MANNERS)
    def restore(self, which: int, number: int, manner: Manner) -> None:
        self.do_to(which, lambda batch_id: self.told.restore(batch_id, number, manner))

    # What happens around the service.

    @rule(act=_ACTS, times=_TIMES)
    def upstream_will(self, act: Act, times: int) -> None:
        self.world.books.upstream.script.extend([act] * times)

    @rule(seconds=_WAITS_S, steps=st.integers(0, 20))
    def wait(self, seconds: float, steps: int) -> None:
        self.do(self.world.wait(seconds, steps=steps))

    @rule(steps=st.integers(0, 20))
    def wait_for_the_next_timer(self, steps: int) -> None:
        self.do(self.world.wait_for_timer(steps=steps))

    @rule(seconds=st.sampled_from([3600.0, -3600.0, 3600.0, -3600.0, 90_000.0]))
    def set_the_wall_clock(self, seconds: float) -> None:
        self.world.books.set_clock(seconds)

    @rule(
        part=st.sampled_from(["disk", "store"]),
        error=st.sampled_from([StorageFull("no room"), StoreError("away")]),
        seconds=_OUTAGES_S,
    )
    def nothing_is_written(self, part: Part, error: StoreError, seconds: float) -> None:
        now_s = self.loop.time()
        error = StorageFull("no room") if part == "disk" else error
        self.world.books.dice.begin_outage(part, error, since_s=now_s, until_s=now_s + seconds)

    @rule(grace_s=st.sampled_from([0.0, 0.5, 30.0]), policy=_POLICIES)
    def stop(self, grace_s: float, policy: InFlightPolicy) -> None:
        self.do(self.world.stop(grace_s=grace_s, policy=policy))

    @rule(
        steps_left=st.integers(0, 50),
        within_s=st.sampled_from([0.0, 2.0, 200.0, None]),
        down_s=st.sampled_from([0.0, 0.0, 10.0, 7200.0]),
        policy=_POLICIES,
    )
    def power_goes(
        self, steps_left: int, within_s: float | None, down_s: float, policy: InFlightPolicy
    ) -> None:
        """At a step to store, disk or provider; without `within_s` while other things happen."""
        self.world.next_policy = policy
        if within_s is None:
            self.world.life.passage.steps_left = steps_left
        else:
            self.do(self.world.crash(policy, steps_left, within_s=within_s, down_s=down_s))

    @rule(policy=_POLICIES)
    def another_process_takes_over(self, policy: InFlightPolicy) -> None:
        async def take_over() -> None:
            await self.told.hang_up()
            await self.world.take_over(policy)

        if self.world.can_be_taken_over:
            self.do(take_over())

    # What must hold.

    @invariant()
    def laws_hold(self) -> None:
        if self.users is not None and not self.is_broken:
            self.is_broken = True
            check(self.users, LAWS)
            self.is_broken = False

    def teardown(self) -> None:
        try:
            if self.users is not None and not self.is_broken:
                self.do(self._end())
        finally:
            if self.users is not None:
                self.world.run(self.world.bury())
                self.world.run(self.world.books.store.close())
            self._clock.__exit__(None, None, None)
            self.loop.close()

    async def _end(self) -> None:
        """Time enough without faults, then a stop and another start: nothing more is paid."""
        self.world.have_peace()
        await self.world.revive()
        await asyncio.sleep(_PEACE_S)
        check(self.told, LAWS_OF_THE_END)
        calls = len(self.world.books.upstream.calls)
        await self.world.stop(grace_s=0.0, policy="retry")
        await self.world.books.check_store()
        await asyncio.sleep(_RESUMED_S)
        check(self.told, LAWS_OF_THE_END)
        assert len(self.world.books.upstream.calls) == calls


def _to_dict(setup: Setup) -> dict[str, Any]:
    return {name: getattr(setup, name) for name in setup.__struct_fields__}


def _to_order(label: str, slides: int, workers: int, kind: str) -> BatchOrder:
    """An order whose slides' ids are its own; `alike` ones ask for pictures made before."""
    title = "" if kind == "alike" else label
    deck = tuple(
        slide(number, id=f"{label}-{number}", title=f"{title} {number % 2}", visual_desc="")
        for number in range(1, slides + 1)
    )
    return order(
        deck,
        max_workers=workers,
        cache=kind in {"alike", "led"},
        reference_place=0 if kind == "led" else None,
        max_cost_usd=PRICE_USD if kind == "dear" else None,
        is_single=kind == "single",
    )
