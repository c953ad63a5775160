"""Deaths at one system call: at work, while it starts, while it stops."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Literal

from msgspec.structs import replace

from tests.support.crash.customer import UNREACHABLE
from tests.support.crash.life import Life
from tests.support.crash.site import NotServing, Site
from tests.support.crash.strace import HOLD, Point, attached, find_unsynced, tracer, wait_held

Moment = Literal["work", "held", "start", "stop"]
"""`held` is at work too, but all other threads go on for a while."""
_SLIDES = 3
_TRAIL_S = 0.2
"""What is still written when a batch has ended: log files."""
_CUT_S = 0.03
"""After the order was taken: some slides are under way then, some wait."""
_DYING_S = 0.2
"""From the last word of a process that is killed until it is gone."""
_HELD_S = 0.1
"""For all others to say and do what they can without the thread that is held."""
_MISSES = 2
"""So many points in a row that are not reached, and there are no more."""


async def die_at_each(life: Life, moment: Moment, points: Iterable[Point]) -> None:
    """Play the points one after the other; stop where the service does not get to them any more."""
    misses = 0
    for point in points:
        died = await _PLAYS[moment](life, point)
        life.tally.points += died
        misses = 0 if died else misses + 1
        if misses == _MISSES:
            return


async def _die_at_work(life: Life, point: Point) -> bool:
    """A deck comes in, and the point comes while it is made. Whether it did."""
    await _be_up(life)
    await life.settle()
    deck = life.press.make(slides=_SLIDES, workers=1 + point.n % 2, is_keyed=point.n % 3 == 0)
    async with attached(point, life.site):
        life.order(deck)
        await _live_on(life)
    return await _is_dead(life)


async def _die_held(life: Life, point: Point) -> bool:
    """At work the point comes for one thread; when the others have gone on, all are killed."""
    await _be_up(life)
    await life.settle()
    deck = life.press.make(slides=_SLIDES, workers=2, waits=point.n % 2 == 0)
    async with attached(replace(point, what=HOLD), life.site) as holder:
        life.order(deck)
        held = asyncio.create_task(wait_held(life.site))
        over = asyncio.create_task(_live_on(life))
        await asyncio.wait({held, over}, return_when=asyncio.FIRST_COMPLETED)
        if not over.done():
            await asyncio.sleep(_HELD_S)
            life.site.strike()
            holder.kill()  # who holds a thread does not notice that it is dead
        held.cancel()
        await asyncio.wait({held, over})
    if not life.site.is_up and point.call == "fdatasync":
        _cut_the_power(life.site, point)
    return await _is_dead(life)


def _cut_the_power(site: Site, point: Point) -> None:
    """A kill leaves what was written; take from the file what was not synced as well."""
    begins_at = find_unsynced(site)
    if begins_at is not None:
        os.truncate(site.folder / point.path, begins_at)


async def _die_at_start(life: Life, point: Point) -> bool:
    """Killed at work; the point comes while the next process takes that up."""
    await _be_up(life)
    await life.settle()  # or each start would have more to take up than the one before
    await life.order(life.press.make(slides=_SLIDES, workers=2))
    await asyncio.sleep(_CUT_S)
    await life.kill()
    await life.spawn(tracer(point, life.site))
    with contextlib.suppress(NotServing):
        await life.wait_ready()
        await _live_on(life)
    died = await _is_dead(life)
    if not died:
        await life.kill()  # the tracer too
    return died


async def _die_at_stop(life: Life, point: Point) -> bool:
    """Told to stop in the middle of a deck; the point comes while it does."""
    await _be_up(life)
    await life.order(life.press.make(slides=_SLIDES, workers=2))
    await asyncio.sleep(_CUT_S)
    async with attached(point, life.site):
        life.site.ask_to_stop()
        code = await life.site.wait_ended()
    if code == 0:
        return False
    await life.look_after_death()
    return True


_PLAYS: Final[dict[Moment, Callable[[Life, Point], Awaitable[bool]]]] = {
    "work": _die_at_work,
    "held": _die_held,
    "start": _die_at_start,
    "stop": _die_at_stop,
}


async def _be_up(life: Life) -> None:
    if not life.site.is_up:
        await life.start()


async def _live_on(life: Life) -> None:
    """Until all batches have their ends, or the service dies."""
    with contextlib.suppress(*UNREACHABLE):
        await life.settle()
        await asyncio.sleep(_TRAIL_S)


async def _is_dead(life: Life) -> bool:
    """Whether it was killed, or is just being killed; then look."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(life.site.wait_ended(), _DYING_S)
    if life.site.is_up:
        return False
    await life.look_after_death()
    return True


async def die_newborn(life: Life, point: Point) -> bool:
    """Killed in the first start of all. Whether it was."""
    await life.spawn(tracer(point, life.site))
    with contextlib.suppress(NotServing):
        await life.wait_ready()
    died = await _is_dead(life)
    life.tally.points += died
    return died
