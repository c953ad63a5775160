"""The disk fails at one system call: the service lives on, tells the truth, and loses nothing."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.crash.life import Life, living
from tests.support.crash.strace import Point, attached, find_hindrance, was_played
from tests.support.crash.tally import Tally
from tests.support.upstream import Plan
from tests.support.upstream.plan import Uniform

pytestmark = pytest.mark.skipif(find_hindrance() != "", reason=find_hindrance())

_WAL = "data/slideloom.sqlite3-wal"
_PLAN = Plan(latency_s=Uniform(0.01, 0.03), record_bodies=False, image_bytes=400_000)
"""Pictures that come, and are written, in several pieces."""
_EIO, _ENOSPC, _EMFILE = "error=EIO", "error=ENOSPC", "error=EMFILE"
_REACHED_SHARE = 0.9
"""How many of a deck's calls there are of one sort varies a little."""

SAMPLE = (
    Point(call="fdatasync", path=_WAL, n=1, what=_EIO),  # the order is not taken
    Point(call="fsync", n=1, what=_EIO),  # a picture
    Point(call="fsync", n=2, what=_EIO),  # the folder, once the picture has its name
)
ALL = (
    *SAMPLE,
    *(Point(call="fdatasync", path=_WAL, n=n, what=_EIO) for n in range(2, 9)),
    *(Point(call="pwrite64", path=_WAL, n=n, what=_ENOSPC) for n in range(1, 40, 3)),
    *(Point(call="pwrite64", path=_WAL, n=n, what=_EIO) for n in range(2, 40, 9)),
    *(Point(call="write", n=n, what=_ENOSPC) for n in range(1, 16)),
    *(Point(call="rename", n=n, what=_EIO) for n in (1, 2)),
    *(Point(call="link", n=n, what=_ENOSPC) for n in (1, 2)),
    *(Point(call="openat", n=n, what=_EMFILE) for n in range(1, 6)),
)


async def suffer(life: Life, point: Point) -> None:
    """A deck is made while the disk fails once; one that is refused is sent again."""
    deck = life.press.make(slides=3, workers=1 + point.n % 2, is_keyed=True)
    async with attached(point, life.site):
        if await life.order(deck) not in {200, 202}:
            assert await life.order(deck) == 202, point
        await life.settle()
    assert life.site.is_up, point
    life.tally.points += was_played(life.site)


async def live(folder: Path, points: Sequence[Point]) -> Tally:
    """One life with all those errors, and a kill at its end."""
    async with living(folder, plan=_PLAN) as life:
        life.codes.add("storage_full")
        await life.start()
        for point in points:
            await suffer(life, point)
        life.order(life.press.make(slides=4, workers=2, is_keyed=True))
        await asyncio.sleep(0.05)
        await life.kill()
        tally = await life.finish()
    assert [*life.faults] == []
    return tally


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(SAMPLE, id="sample", marks=pytest.mark.slow),
        pytest.param(ALL, id="all", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
async def test_disk_errors_neither_end_the_service_nor_lose_anything(
    tmp_path: Path, points: Sequence[Point], tell: Callable[[str, Tally], None]
) -> None:
    tally = await live(tmp_path / "site", points)
    tell("disk errors", tally)
    assert tally.points >= _REACHED_SHARE * len(points)
    assert tally.done > 0
