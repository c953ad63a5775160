"""Lanes of several workers with a board between them, in virtual time."""

import asyncio
from functools import partial

import pytest

from slideloom.clock import monotonic_s
from slideloom.engine.lanes import NotAdmitted, Wish
from slideloom.engine.shared_lane import SharedLane
from slideloom.errors import RateLimited, StoreError
from slideloom.stores.shared_base import Posted
from tests.bench.lanes.board import MemoryBoard
from tests.bench.lanes.scenarios import HELD_OUT
from tests.bench.lanes.upstream import Scenario
from tests.bench.lanes.workers import SCENARIOS, Site, judge
from tests.support.orders import order
from tests.support.parts import ScriptedProvider, Workshop

LIMITED = Scenario(name="limit 10", limits=((0, 10),), decks=((0, 150),))


def shared(site: Site, worker: int) -> SharedLane:
    lane = site.lanes[worker]._lanes[0]
    assert isinstance(lane, SharedLane)
    return lane


def busy(site: Site) -> list[int]:
    """Calls under way, of each worker."""
    return [shared(site, worker)._in_flight for worker in range(len(site.lanes))]


async def end(site: Site) -> None:
    """Leave off in the middle."""
    for worker in range(len(site.lanes)):
        await site.kill(worker)


# What N workers come to, beside one who knows the upstream. Source: issue 6.


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_that_share_a_limit_of_ten_are_near_the_oracle(workers: int) -> None:
    score = judge(SCENARIOS[0], range(7000, 7001), workers=workers)
    assert score.middle <= 1.15
    assert score.wasted <= 0.7


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_that_share_a_lane_are_near_the_oracle(workers: int) -> None:
    for scenario in SCENARIOS[:5]:
        score = judge(scenario, range(7000, 7002), workers=workers)
        assert score.middle <= 1.15, scenario.name
        assert score.wasted <= 0.7, scenario.name


@pytest.mark.long
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_that_share_a_lane_reach_what_one_does(workers: int) -> None:
    lines, seeds = [], range(7000, 7005)
    for scenario in (*SCENARIOS, *(one for one in HELD_OUT if one.workers > one.slide_count)):
        alone = judge(scenario, seeds, workers=1)
        score = judge(scenario, seeds, workers=workers)
        lines.append(f"{scenario.name:26} one {alone}  {workers} {score}")
        assert score.middle <= max(1.15, alone.middle + 0.1), lines[-1]
        assert score.wasted <= max(0.7, alone.wasted + 0.1), lines[-1]
    print("\n".join(lines))  # noqa: T201 - the table of the closing note


# Whose seats.


async def test_workers_have_the_same_number_of_calls_after_a_round() -> None:
    site = Site(LIMITED, 1, workers=3, board=MemoryBoard())
    site.take_all()
    await asyncio.sleep(40)
    assert sum(busy(site)) >= 9
    assert max(busy(site)) - min(busy(site)) <= 2
    await end(site)


async def test_worker_that_comes_later_gets_its_share() -> None:
    site = Site(LIMITED, 1, workers=2, board=MemoryBoard())
    for slide in range(100):
        site.take(0, slide)
    for slide in range(100, 200):
        site.take(1, slide, at_s=30)
    await asyncio.sleep(29)
    assert busy(site) == [10, 0]
    await asyncio.sleep(21)
    assert min(busy(site)) >= 4
    await end(site)


async def test_single_slide_of_another_worker_finds_a_seat_at_once() -> None:
    site = Site(LIMITED, 1, workers=2, board=MemoryBoard())
    for slide in range(100):
        site.take(0, slide)
    await asyncio.sleep(2)
    wish = Wish(party="", since_s=0.0, left_s=lambda: 99.0, model=None)
    async with asyncio.timeout(0.1):
        seat = await site.lanes[1].sit(wish)
    assert seat.is_single
    site.lanes[1].drop(seat)
    await end(site)


async def test_lanes_of_several_keys_share_the_work() -> None:
    board = MemoryBoard()
    providers = [ScriptedProvider(seconds=10) for _ in range(3)]
    async with Workshop(*providers, board=board, lane_start=8) as shop:
        timeline = await shop.engine.submit(order(24, max_workers=24))
        await timeline.wait_finished(timeout_s=3600)
        assert timeline.state.count("done") == 24
        await shop.lanes.close_providers()
    assert all(len(provider.calls) >= 4 for provider in providers)
    assert len(board.bodies) == 3


# What one is told, the others know.


async def test_retry_after_of_one_worker_pauses_the_others() -> None:
    board = MemoryBoard()
    limited = ScriptedProvider(RateLimited(retry_after_s=60), seconds=0.1)
    good = ScriptedProvider(seconds=0.1)
    async with Workshop(limited, board=board) as one, Workshop(good, board=board) as other:
        first = await one.engine.submit(order(1))
        await asyncio.sleep(1)
        started_s = monotonic_s()
        second = await other.engine.submit(order(1))
        await second.wait_finished(timeout_s=3600)
        assert monotonic_s() - started_s == pytest.approx(59, abs=1)
        await first.wait_finished(timeout_s=3600)
        assert first.state.count("done") == 1
        await one.lanes.close_providers()
        await other.lanes.close_providers()


async def test_slide_without_time_for_anothers_pause_is_refused_as_for_its_own() -> None:
    board = MemoryBoard()
    site = Site(LIMITED, 1, workers=2, board=board)
    waiting = [
        Wish(party="b", since_s=0.0, left_s=partial(float, left_s), model=None)
        for left_s in (9.0, 90.0)
    ]
    seat = await site.lanes[0].sit(
        Wish(party="b", since_s=0.0, left_s=lambda: 99.0, model=None),
    )
    site.lanes[0].close(seat, RateLimited(retry_after_s=60), jitter=0.5)
    await asyncio.sleep(0.1)
    with pytest.raises(NotAdmitted) as refused:
        await site.lanes[1].sit(waiting[0])
    assert isinstance(refused.value.by, RateLimited)
    seat = await site.lanes[1].sit(waiting[1])
    assert monotonic_s() == pytest.approx(60, abs=0.5)
    site.lanes[1].drop(seat)
    await site.finish()


# Deaths and goodbyes.


async def test_seats_of_a_dead_worker_are_free_within_seconds() -> None:
    site = Site(LIMITED, 1, workers=2, board=MemoryBoard())
    site.take_all()
    await asyncio.sleep(30)
    assert sum(busy(site)) == 10
    await site.kill(0)
    await asyncio.sleep(6)
    assert site.upstream.busy >= 9
    await end(site)


async def test_worker_without_work_leaves_the_board_and_no_task() -> None:
    board = MemoryBoard()
    site = Site(LIMITED, 1, workers=2, board=board)
    for slide in range(6):
        site.take(slide % 2, slide)
    await asyncio.gather(*(run for runs in site.runs for run in runs))
    await asyncio.sleep(0.1)
    swaps = board.swaps
    assert all(shared(site, worker)._task.done() for worker in (0, 1))  # type: ignore[union-attr]
    await asyncio.sleep(100)
    assert board.swaps == swaps
    await site.finish()


async def test_width_that_was_learned_is_there_for_who_comes_later() -> None:
    board = MemoryBoard()
    site = Site(LIMITED, 1, workers=2, board=board)
    for slide in range(60):
        site.take(0, slide)
    await asyncio.gather(*site.runs[0])
    rejected = site.rejected
    for slide in range(60, 80):
        site.take(1, slide)
    await asyncio.sleep(1)
    assert busy(site)[1] == 10, "at once, though a new lane begins with eight"
    assert site.rejected <= rejected + 1, "a probe, when it was due"
    await end(site)


async def test_seat_of_a_slide_that_is_cut_off_goes_to_another_worker() -> None:
    site = Site(LIMITED, 1, workers=2, board=MemoryBoard())
    for slide in range(30):
        site.take(0, slide)
    await asyncio.sleep(3)
    for run in site.runs[0]:
        run.cancel()
    for slide in range(30, 60):
        site.take(1, slide)
    await asyncio.sleep(0.5)
    assert busy(site) == [0, 10]
    await asyncio.gather(*site.runs[0], return_exceptions=True)
    await end(site)


# Without the board.


async def test_worker_that_loses_the_board_keeps_to_its_share_and_catches_up() -> None:
    board = MemoryBoard()
    site = Site(LIMITED, 1, workers=2, board=board)
    site.take_all()
    await asyncio.sleep(30)
    rejected = site.rejected
    board.is_away = True
    await asyncio.sleep(40)
    assert sorted(busy(site)) == [5, 5]
    assert site.rejected == rejected
    assert len(site.log.of("lane_alone")) == 2
    board.is_away = False
    await asyncio.sleep(5)
    assert len(site.log.of("lane_shared_again")) == 2
    await site.finish()
    assert sum(len(made) for made in site.made) == LIMITED.slide_count


async def test_board_that_forgot_everything_is_told_again() -> None:
    board = MemoryBoard()
    site = Site(LIMITED, 1, workers=2, board=board)
    site.take_all()
    await asyncio.sleep(30)
    rejected = site.rejected
    board.bodies.clear()
    await asyncio.sleep(1.5)
    assert sum(busy(site)) == 10
    await asyncio.sleep(1)
    assert site.rejected <= rejected + 1
    await end(site)


async def test_pause_heard_alone_is_told_to_the_others_afterwards() -> None:
    board = MemoryBoard()
    site = Site(LIMITED, 1, workers=2, board=board)
    board.is_away = True
    seat = await site.lanes[0].sit(
        Wish(party="b", since_s=0.0, left_s=lambda: 99.0, model=None),
    )
    site.lanes[0].close(seat, RateLimited(retry_after_s=60), jitter=0.5)
    site.take(0, 0)
    await asyncio.sleep(1)
    board.is_away = False
    await asyncio.sleep(3)
    site.take(1, 1)
    await asyncio.gather(*(run for runs in site.runs for run in runs))
    assert min(site.last_s, monotonic_s()) >= 60
    assert site.made == [[0], [1]]
    await site.finish()


async def test_worker_that_never_reached_the_board_works_all_the_same() -> None:
    board = MemoryBoard()
    board.is_away = True
    site = Site(LIMITED, 1, workers=1, board=board)
    for slide in range(20):
        site.take(0, slide)
    await asyncio.sleep(2)
    assert busy(site) == [4], "half of the start: others may call"
    await site.finish()
    assert len(site.made[0]) == 20


class LossyBoard(MemoryBoard):
    """Does what it is asked, and every third time does not say so."""

    async def swap(self, lane: str, *, expected: str, version: str, body: bytes) -> Posted:
        posted = await super().swap(lane, expected=expected, version=version, body=body)
        if self.swaps % 3 == 0:
            raise StoreError("no answer")
        return posted


async def test_lost_answers_of_the_board_cost_no_seat() -> None:
    board = LossyBoard()
    site = Site(LIMITED, 1, workers=2, board=board)
    for slide in range(60):
        site.take(slide % 2, slide)
    await site.finish()
    assert sum(len(made) for made in site.made) == 60
    await asyncio.sleep(5)


async def test_board_that_does_not_answer_holds_calls_up_for_a_second_only() -> None:
    board = MemoryBoard()
    site = Site(LIMITED, 1, workers=1, board=board)
    site.take(0, 0)
    await asyncio.sleep(1)
    board.trip_s = 1e6
    for slide in range(1, 4):
        site.take(0, slide)
    await asyncio.sleep(2.5)
    assert busy(site)[0] >= 3
    await end(site)


async def test_board_that_does_not_answer_holds_up_no_stop() -> None:
    board = MemoryBoard()
    site = Site(LIMITED, 1, workers=1, board=board)
    site.take(0, 0)
    await asyncio.sleep(1)
    board.trip_s = 1e6
    site.runs[0][0].cancel()
    await asyncio.sleep(0)
    started_s = monotonic_s()
    await site.lanes[0].close_providers()
    assert monotonic_s() - started_s <= 1.5
    assert shared(site, 0)._task.done()  # type: ignore[union-attr]
