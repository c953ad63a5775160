"""The wall clock jumps by an hour, in virtual time: nothing that counts seconds notices."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from msgspec import Struct, structs

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.status import BatchStatus
from slideloom.engine.timeline import Timeline
from slideloom.errors import RateLimited, UpstreamDown
from slideloom.web.statuses import show_status
from tests.support.orders import order
from tests.support.parts import ScriptedProvider, Workshop

_HOUR_S = 3600.0
_SINCE_S = 1_800_000_000.0
"""What the wall clock shows when the loop's clock shows 0."""
_LOOK_EVERY_S = 2.3
_SEED = 604

Jumps = Sequence[tuple[float, float]]
"""When on the loop's clock, and by how many seconds."""


class WallClock(Struct):
    """Shows what it likes."""

    jumps: Jumps

    def time(self) -> float:
        """As `time.time`."""
        now_s = monotonic_s()
        return _SINCE_S + now_s + sum(by_s for at_s, by_s in self.jumps if at_s <= now_s)


class Seen(Struct, frozen=True):
    """A batch as people saw it while it was made, and how long that really took."""

    makespan_s: float
    shown: list[BatchStatus]

    def list_outcomes(self) -> list[Any]:
        """How everything ended, but for dates."""
        end = self.shown[-1]
        slides = [(result.status, result.error_code, result.attempts) for result in end.results]
        return [end.status, end.possibly_billed, *slides]

    def list_durations(self) -> list[float | None]:
        """How long everything took."""
        end = self.shown[-1]
        return [self.makespan_s, end.total_time, *(one.generation_time for one in end.results)]


async def watch(timeline: Timeline) -> list[BatchStatus]:
    """What a client that polls is shown, until the end."""
    shown = []
    while not await timeline.wait_finished(timeout_s=_LOOK_EVERY_S):
        shown.append(show_status(timeline, "en"))
    return [*shown, show_status(timeline, "en")]


async def make(shop: Workshop, slides: int, **changes: Any) -> Seen:
    """Order a deck and watch it being made."""
    started_s = monotonic_s()
    shown = await watch(await shop.engine.submit(order(slides, **changes)))
    return Seen(round(monotonic_s() - started_s, 3), shown)


async def long_attempts() -> Seen:
    async with Workshop(ScriptedProvider(seconds=50)) as shop:
        return await make(shop, 6, max_workers=2)


async def attempts_that_time_out() -> Seen:
    async with Workshop(ScriptedProvider(seconds=500), slide_timeout_s=120.0) as shop:
        return await make(shop, 2, max_workers=1)


async def back_offs() -> Seen:
    faults = [UpstreamDown("502") for _ in range(9)]
    rules = {"policy": {"backoff_base_s": 8.0}}
    async with Workshop(ScriptedProvider(*faults), **rules) as shop:
        return await make(shop, 4)


async def pauses() -> Seen:
    faults = [RateLimited("slow down", retry_after_s=40) for _ in range(3)]
    async with Workshop(ScriptedProvider(*faults, seconds=5)) as shop:
        return await make(shop, 5)


async def batch_deadline() -> Seen:
    async with Workshop(ScriptedProvider(seconds=100), batch_timeout_s=150.0) as shop:
        return await make(shop, 3, max_workers=1)


async def wait_for_another_batch() -> Seen:
    async with Workshop(ScriptedProvider(seconds=60), concurrency=1) as shop:
        await shop.engine.submit(order(3))
        return await make(shop, 3)


async def stop_with_a_grace() -> Seen:
    """Two calls get their grace and end in it; what is left is looked at, not made."""
    async with Workshop(ScriptedProvider(seconds=20)) as shop:
        timeline = await shop.engine.submit(order(4, max_workers=2))
        await asyncio.sleep(25)
        started_s = monotonic_s()
        await shop.engine.stop(grace_s=30.0)
        return Seen(round(monotonic_s() - started_s, 3), [show_status(timeline, "en")])


SCENES: list[Callable[[], Awaitable[Seen]]] = [
    long_attempts,
    attempts_that_time_out,
    back_offs,
    pauses,
    batch_deadline,
    wait_for_another_batch,
    stop_with_a_grace,
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """The wall clock of everything here; dice always show the same."""
    made = WallClock(())
    monkeypatch.setattr("slideloom.clock.time", made)
    monkeypatch.setattr("slideloom.engine.slide.random.random", lambda: 0.5)
    return made


def list_jumps(dice: random.Random, times: int) -> list[Jumps]:
    """Once each way, there and back, then `times` sequences at any moment."""
    some = [
        [
            (dice.uniform(0, 160), dice.choice((-_HOUR_S, _HOUR_S)))
            for _ in range(dice.randint(1, 5))
        ]
        for _ in range(times)
    ]
    zigzag = [(10.3, _HOUR_S), (30.1, -2 * _HOUR_S), (45.6, _HOUR_S)]
    return [[(10.3, _HOUR_S)], [(30.1, -_HOUR_S)], zigzag, *some]


def check_times(seen: Seen) -> None:
    """No duration is negative, none goes back, and no estimate is out of all proportion."""
    elapsed = [status.total_time for status in seen.shown]
    assert elapsed == sorted(elapsed)
    assert elapsed[0] >= 0
    assert elapsed[-1] <= _HOUR_S / 2
    for status in seen.shown:
        took = [result.generation_time for result in status.results]
        assert all(seconds is None or 0 <= seconds < _HOUR_S / 2 for seconds in took)
        left_s = status.estimated_remaining_time
        longest_s = max((seconds for seconds in took if seconds), default=0.0)
        assert left_s is None or 0 <= left_s <= longest_s * len(took)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("times", [2, pytest.param(200, marks=pytest.mark.long)])
async def test_jump_of_an_hour_changes_no_outcome_and_no_duration(
    clock: WallClock, scene: Callable[[], Awaitable[Seen]], times: int
) -> None:
    steady = await scene()
    check_times(steady)
    for jumps in list_jumps(random.Random(_SEED), times):
        begun_s = monotonic_s()
        clock.jumps = [(begun_s + at_s, by_s) for at_s, by_s in jumps]
        jumping = await scene()
        check_times(jumping)
        assert jumping.list_outcomes() == steady.list_outcomes(), jumps
        assert jumping.list_durations() == pytest.approx(steady.list_durations(), abs=0.02), jumps


async def test_log_of_a_batch_over_a_jump_back_folds_to_times_of_the_monotonic_clock(
    clock: WallClock,
) -> None:
    clock.jumps = [(monotonic_s() + 20.0, -_HOUR_S)]
    async with Workshop(ScriptedProvider(seconds=50)) as shop:
        await make(shop, 2, max_workers=1)
        ((batch_id, log),) = shop.store.logs.items()
        assert log[-1].at_s < log[0].at_s, "the dates do go back"
        timeline = await shop.engine.get(batch_id)
        assert structs.asdict(show_status(timeline, "en"))["total_time"] == pytest.approx(100, 0.01)
        assert wall_s() < _SINCE_S
