"""Whose call is next, over which key."""

import asyncio

import pytest

from slideloom.clock import monotonic_s
from slideloom.engine.batches import BatchEngine
from slideloom.engine.lanes import NotAdmitted, Wish
from slideloom.engine.throttle import Throttle
from slideloom.engine.timeline import Timeline
from slideloom.errors import AuthFailed, QuotaExhausted, RateLimited, UpstreamDown
from tests.support.orders import order
from tests.support.parts import ScriptedProvider, Workshop


async def run_all(engine: BatchEngine, *sizes: int) -> list[Timeline]:
    """Batches of those sizes, all at once, made to their end."""
    timelines = [await engine.submit(order(size, max_workers=200)) for size in sizes]
    for timeline in timelines:
        await timeline.wait_finished(timeout_s=36000)
    return timelines


async def test_small_batch_is_not_kept_waiting_by_a_large_one() -> None:
    provider = ScriptedProvider(*[RateLimited() for _ in range(4)], seconds=10)
    async with Workshop(provider, lane_start=4) as shop:
        large = await shop.engine.submit(order(100, max_workers=100))
        await asyncio.sleep(1)
        small = await shop.engine.submit(order(4, max_workers=4))
        await small.wait_finished(timeout_s=36000)
        assert large.state.count("done") < 50
        await large.wait_finished(timeout_s=36000)
    assert large.state.count("done") == 100


async def test_single_slide_finds_a_seat_while_a_batch_fills_the_lane() -> None:
    async with Workshop(ScriptedProvider(seconds=100), lane_start=1) as shop:
        shop.lanes._lanes[0].throttle = Throttle(start=1, ceiling=1)
        await shop.engine.submit(order(3, max_workers=3))
        await asyncio.sleep(5)
        assert shop.provider.under_way == 1
        single = asyncio.create_task(shop.engine.make_single(order(1, is_single=True)))
        second = asyncio.create_task(shop.engine.make_single(order(1, is_single=True)))
        await asyncio.sleep(5)
        assert shop.provider.under_way == 2, "its share is one; a second one waits its turn"
        assert (await single).count("done") == 1
        assert (await second).count("done") == 1


async def test_rejection_is_forgotten_once_the_lane_takes_calls_again() -> None:
    provider = ScriptedProvider(RateLimited(retry_after_s=2))
    async with Workshop(provider, lane_start=1) as shop:
        (timeline,) = await run_all(shop.engine, 2)
        assert timeline.state.count("done") == 2
        assert shop.lanes._lanes[0].paused_by is None, "its traceback holds the whole deck"


async def test_work_of_a_refused_key_moves_on_to_the_next_key() -> None:
    for refusal in (AuthFailed("revoked"), QuotaExhausted("empty")):
        refused, good = ScriptedProvider(*[refusal] * 50), ScriptedProvider()
        async with Workshop(refused, good, lane_start=2) as shop:
            (timeline,) = await run_all(shop.engine, 20)
            calls = len(refused.calls)
            assert timeline.state.count("done") == 20
            assert timeline.state.slides[0].attempts <= 2
        assert calls <= 10, "those in flight when the first refusal came"


async def test_batch_fails_at_once_when_every_key_is_refused() -> None:
    providers = [ScriptedProvider(*[AuthFailed("revoked")] * 50) for _ in range(2)]
    async with Workshop(*providers, lane_start=2) as shop:
        started_s = monotonic_s()
        (timeline,) = await run_all(shop.engine, 100)
        assert monotonic_s() - started_s < 5
    assert timeline.state.count("error") == 100
    assert {slide.error_code for slide in timeline.state.slides} == {"auth_failed"}


async def test_calls_are_spread_over_the_keys() -> None:
    providers = [ScriptedProvider(seconds=10) for _ in range(3)]
    async with Workshop(*providers, lane_start=8) as shop:
        await run_all(shop.engine, 24)
    assert [len(provider.calls) for provider in providers] == [8, 8, 8]


async def test_paused_key_leaves_its_work_to_the_others() -> None:
    limited = ScriptedProvider(*[RateLimited(retry_after_s=300)] * 3)
    good = ScriptedProvider()
    async with Workshop(limited, good) as shop:
        started_s = monotonic_s()
        (timeline,) = await run_all(shop.engine, 10)
        assert monotonic_s() - started_s < 60
    assert timeline.state.count("done") == 10


async def test_seat_granted_to_a_slide_that_is_cut_off_is_given_back() -> None:
    async with Workshop(ScriptedProvider(seconds=50), batch_timeout_s=120.0) as shop:
        await run_all(shop.engine, 5)
        timeline = await shop.engine.submit(order(5, max_workers=5))
        await asyncio.sleep(10)
        shop.runs.roster.runs[timeline.state.batch_id].deadline.cut("cancelled")
        await timeline.wait_finished(timeout_s=60)
        assert shop.lanes._lanes[0].throttle.in_flight == 0
    assert timeline.state.count("error") == 5


async def test_slide_that_is_cut_off_as_it_is_refused_hears_of_the_cut() -> None:
    async with Workshop(ScriptedProvider(seconds=50), lane_start=1) as shop:
        shop.lanes._lanes[0].throttle = Throttle(start=1, ceiling=1)
        await shop.engine.submit(order(1))
        await asyncio.sleep(1)
        wish = Wish(party="b", since_s=0.0, left_s=lambda: 99.0, model=None)
        sitting = asyncio.create_task(shop.lanes.sit(wish))
        await asyncio.sleep(1)
        wish.granted.set_exception(NotAdmitted(AuthFailed("revoked")))
        sitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sitting


async def test_refused_keys_use_up_none_of_the_calls_a_slide_has() -> None:
    dead = [ScriptedProvider(*[AuthFailed("revoked")] * 5, seconds=0.1) for _ in range(3)]
    good = ScriptedProvider(*[UpstreamDown("502")] * 3, seconds=0.1)
    async with Workshop(*dead, good) as shop:
        (timeline,) = await run_all(shop.engine, 1)
    assert (timeline.state.slides[0].status, len(good.calls)) == ("done", 4)


async def test_refused_key_is_told_once_and_until_it_works_again() -> None:
    refused = ScriptedProvider(*[AuthFailed("revoked")] * 2, seconds=1)
    async with Workshop(refused, ScriptedProvider(seconds=100)) as shop:
        await run_all(shop.engine, 4)
        assert shop.engine.list_stops() == ["key 1 of 2 was refused: auth_failed"]
        assert len(shop.log.of("key_refused")) == 1
        await run_all(shop.engine, 4)
        assert shop.engine.list_stops() == []


async def test_stopped_lane_does_not_make_the_queue_spin() -> None:
    refused = ScriptedProvider(QuotaExhausted("empty"))
    limited = ScriptedProvider(RateLimited(retry_after_s=60))
    async with Workshop(refused, limited, lane_start=1) as shop:
        turns, real = [], shop.lanes._hand_out

        def count() -> None:
            turns.append(1)
            real()

        shop.lanes._hand_out = count  # type: ignore[method-assign]
        await run_all(shop.engine, 3)
    assert len(turns) < 100


async def test_model_of_the_users_choice_shuts_the_lane_for_others_only_shortly() -> None:
    async with Workshop(ScriptedProvider(RateLimited(retry_after_s=1e9))) as shop:
        odd = await shop.engine.submit(order(1, model="x/y:free"))
        await asyncio.sleep(2)
        (timeline,) = await run_all(shop.engine, 3)
        assert timeline.state.count("done") == 3
        assert (timeline.state.total_time_s or 0) < 60
        await odd.wait_finished(timeout_s=3600)
    assert odd.state.slides[0].error_code == "rate_limited"
