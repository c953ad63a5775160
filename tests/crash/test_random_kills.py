"""`kill -9` at random moments, several in one life: nothing is lost, nothing paid twice."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.support.crash.life import Life, Policy, Shape, living
from tests.support.crash.tally import Tally

_KILLS_A_LIFE = 10
_AT_ONCE = 3
"""Lives side by side: starting Python is most of the work, waiting the rest."""
_LONGEST_S = 0.6
"""From ready to the kill: about as long as the decks of one round take."""
_EARLY_SHARE = 0.15
_START_S = 0.9
"""About what a start takes: kills before it is ready are drawn from it."""
_SEED = 4


async def die_early(life: Life, dice: Random) -> None:
    """Killed while it starts, most likely: it may also just be ready."""
    await life.spawn()
    await asyncio.sleep(dice.uniform(0, _START_S))
    life.tally.early_kills += 1
    await life.kill()


async def die_at_work(life: Life, dice: Random) -> None:
    """Two or three decks come in, one after the other; then it is killed."""
    await life.start()
    *moments_s, end_s = sorted(dice.uniform(0, _LONGEST_S) for _ in range(dice.randint(3, 4)))
    now_s = 0.0
    for moment_s in moments_s:
        await asyncio.sleep(moment_s - now_s)
        now_s = moment_s
        life.order(life.press.draw(dice))
    await asyncio.sleep(end_s - now_s)
    await life.kill()


async def live(folder: Path, *, seed: str, kills: int, policy: Policy, shape: Shape) -> Tally:
    """A life with that many kills."""
    dice = Random(seed)
    async with living(folder, policy=policy, shape=shape) as life:
        for _ in range(kills):
            is_early = dice.random() < _EARLY_SHARE
            await (die_early if is_early else die_at_work)(life, dice)
        await life.start()
        tally = await life.finish()
    assert [*life.faults] == [], f"seed {seed}"
    assert [*life.customer.refused] == [], f"seed {seed}"
    return tally


async def live_all(folder: Path, *, kills: int, policy: Policy) -> list[Tally]:
    """As many lives as that takes, two at once."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def live_one(number: int, share: int) -> Tally:
        shape: Shape = "images" if number % 4 == 3 else "chat"
        seed = f"{_SEED}-{policy}-{number}"
        async with turns:
            return await live(folder / seed, seed=seed, kills=share, policy=policy, shape=shape)

    shares = [min(_KILLS_A_LIFE, kills - begun) for begun in range(0, kills, _KILLS_A_LIFE)]
    async with asyncio.TaskGroup() as group:
        lives = [group.create_task(live_one(*numbered)) for numbered in enumerate(shares)]
    return [task.result() for task in lives]


@pytest.mark.parametrize("policy", ["fail", "retry"])
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(3, marks=pytest.mark.slow),
        pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
async def test_kills_at_random_moments_lose_nothing_and_pay_nothing_twice(
    tmp_path: Path, kills: int, policy: Policy, tell: Callable[[str, Tally], None]
) -> None:
    total = Tally.sum_up(await live_all(tmp_path, kills=kills, policy=policy))
    tell(f"random moments, {policy}", total)
    assert total.kills == kills
    assert total.in_flight > 0
    assert policy == "retry" or total.extra_calls == 0
