"""Killed at each write, sync, rename and link: whatever was just not done is no harm."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from msgspec import Struct

from tests.support.crash.life import Policy, living, living_on
from tests.support.crash.points import Moment, die_at_each, die_newborn
from tests.support.crash.strace import Point, find_hindrance
from tests.support.crash.tally import Tally
from tests.support.upstream import Plan, spawn_upstream
from tests.support.upstream.plan import Uniform

pytestmark = pytest.mark.skipif(find_hindrance() != "", reason=find_hindrance())

WAL = "data/slideloom.sqlite3-wal"
DATABASE = "data/slideloom.sqlite3"
_AT_ONCE = 3
_PLAN = Plan(latency_s=Uniform(0.02, 0.05), record_bodies=False)
_BIG_PLAN = Plan(latency_s=Uniform(0.02, 0.05), record_bodies=False, image_bytes=1_500_000)
"""Pictures that come, and are written, in many pieces."""
_MOST = 150
"""No deck and no start makes more calls of one sort in one thread."""


class Family(Struct, frozen=True):
    """Calls of one sort, each of which is a point."""

    moment: Moment
    call: str
    path: str = ""
    step: int = 1
    """Each is a point, or only every so many."""
    plan: Plan = _PLAN

    def to_points(self, numbers: Iterable[int]) -> list[Point]:
        """The points of those numbers."""
        return [Point(call=self.call, path=self.path, n=n) for n in numbers]

    def __str__(self) -> str:
        """For the table."""
        return f"{self.moment}, {self.call} {self.path.rpartition('.')[2]}".rstrip()


FAMILIES: dict[Policy, tuple[Family, ...]] = {
    "fail": (
        Family("work", "pwrite64", WAL),
        Family("work", "fdatasync", WAL),
        Family("work", "fsync"),
        Family("work", "rename"),
        Family("work", "write", step=3, plan=_BIG_PLAN),
        Family("work", "openat"),
        Family("work", "link"),
        Family("work", "unlink"),
        Family("held", "pwrite64", WAL, step=3),
        Family("held", "fdatasync", WAL),
        Family("held", "fsync"),
        Family("held", "rename"),
        Family("start", "pwrite64", WAL, step=2),
        Family("start", "fdatasync", WAL),
        Family("start", "unlink"),
        Family("stop", "pwrite64", WAL, step=2),
        Family("stop", "pwrite64", DATABASE),
        Family("stop", "fdatasync"),
        Family("stop", "unlink"),
    ),
    "retry": (
        Family("work", "pwrite64", WAL, step=3),
        Family("work", "fdatasync", WAL),
        Family("work", "fsync"),
        Family("work", "rename"),
        Family("work", "write", step=9, plan=_BIG_PLAN),
        Family("held", "fdatasync", WAL),
        Family("held", "fsync"),
        Family("held", "rename"),
        Family("start", "pwrite64", WAL, step=4),
        Family("start", "fdatasync", WAL),
    ),
}
_SAMPLE: tuple[tuple[Family, tuple[int, ...]], ...] = (
    (Family("work", "pwrite64", WAL), (13,)),
    (Family("held", "fdatasync", WAL), (4,)),
    (Family("held", "rename"), (1,)),
    (Family("start", "fdatasync", WAL), (2,)),
)
"""Between two pages of a commit, before a call, around a picture's name, in a resume."""


async def live(folder: Path, family: Family, policy: Policy) -> Tally:
    """One life, killed at each point of the family."""
    async with living(folder, policy=policy, plan=family.plan) as life:
        await die_at_each(life, family.moment, family.to_points(range(1, _MOST, family.step)))
        tally = await life.finish()
    assert [*life.faults] == [], family
    assert 0 < tally.points < _MOST // family.step, family
    return tally


@pytest.mark.slow
async def test_kills_at_a_sample_of_system_calls_are_no_harm(
    tmp_path: Path, tell: Callable[[str, Tally], None]
) -> None:
    async with living(tmp_path / "site", policy="retry", plan=_PLAN) as life:
        for family, numbers in _SAMPLE:
            await die_at_each(life, family.moment, family.to_points(numbers))
        tally = await life.finish()
    tell("sampled calls, retry", tally)
    assert [*life.faults] == []
    assert tally.points == sum(len(numbers) for _, numbers in _SAMPLE)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("policy", ["fail", "retry"])
async def test_kills_at_each_system_call_are_no_harm(
    tmp_path: Path, policy: Policy, tell: Callable[[str, Tally], None]
) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def live_one(number: int, family: Family) -> None:
        async with turns:
            tally = await live(tmp_path / str(number), family, policy)
            tell(f"{family}, {policy}", tally)

    async with asyncio.TaskGroup() as group:
        for number, family in enumerate(FAMILIES[policy]):
            group.create_task(live_one(number, family))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("call", "step"), [("pwrite64", 3), ("fdatasync", 1), ("ftruncate", 1), ("unlink", 1)]
)
async def test_kills_in_the_very_first_start_are_no_harm(
    tmp_path: Path, call: str, step: int, tell: Callable[[str, Tally], None]
) -> None:
    async with spawn_upstream(_PLAN) as upstream:
        for n in range(1, _MOST, step):
            await upstream.reset(_PLAN)
            async with living_on(upstream, tmp_path / str(n)) as life:
                if not await die_newborn(life, Point(call=call, n=n)):
                    break
                await life.start()
                await life.order(life.press.make(slides=2, workers=2))
                tally = await life.finish()
            tell(f"first start, {call}", tally)
            assert [*life.faults] == [], n
    assert n > 1
