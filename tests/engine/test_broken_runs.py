"""Runs that break down, and stores that fail at the worst moment: no batch is left hanging."""

import asyncio
import contextlib

import pytest

from slideloom.clock import monotonic_s
from slideloom.domain.batch import BatchState
from slideloom.domain.events import SlideCharged, SlideDone
from slideloom.errors import NotTakenUp, NotWrittenYet, StoreError
from tests.support.orders import order
from tests.support.parts import ScriptedProvider, Workshop
from tests.support.shops import end


async def break_down(*_: object, **__: object) -> None:
    await asyncio.sleep(1)
    raise ZeroDivisionError


async def test_batch_whose_run_broke_down_ends_as_internal_and_can_be_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Workshop() as shop:
        with monkeypatch.context() as patch:
            patch.setattr("slideloom.engine.runs.run_batch", break_down)
            state = await end(shop, await shop.engine.submit(order(2)))
        assert [slide.error_code for slide in state.slides] == ["internal"] * 2
        again = await end(shop, await shop.engine.retry(state.batch_id))
    assert again.count("done") == 2


async def test_batch_that_could_not_even_be_ended_is_taken_up_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Workshop() as shop:
        with monkeypatch.context() as patch:
            patch.setattr("slideloom.engine.runs.run_batch", break_down)
            patch.setattr(shop.store, "read", break_down)
            timeline = await shop.engine.submit(order(2))
            await timeline.wait_finished(timeout_s=10)
        assert timeline.is_closed
        assert shop.log.of("batch_not_ended")
        with pytest.raises(NotTakenUp):
            await shop.engine.retry(timeline.state.batch_id)
        await asyncio.sleep(10)
        state = await end(shop, await shop.engine.get(timeline.state.batch_id))
    assert state.count("done") == 2


async def test_batch_whose_log_moved_as_its_broken_run_was_ended_is_taken_up_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Workshop() as shop:

        async def charge_late(state: BatchState, _: object) -> dict[int, SlideDone]:
            late = SlideCharged(at_s=state.latest_at_s, place=0, cost_usd=0.04)
            await shop.store.append(state.batch_id, None, [late])
            return {}

        with monkeypatch.context() as patch:
            patch.setattr("slideloom.engine.runs.run_batch", break_down)
            patch.setattr("slideloom.engine.runs.find_left_behind", charge_late)
            timeline = await shop.engine.submit(order(2))
            await asyncio.sleep(1.5)
        await asyncio.sleep(8)
        assert (await shop.engine.get(timeline.state.batch_id)).state.is_final
        assert await shop.engine.count_active() == 0


async def test_wish_is_answered_in_a_while_though_the_store_fails() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline = await shop.engine.submit(order(2))
        await asyncio.sleep(1)
        shop.store.fails = StoreError("disk gone")
        with pytest.raises(NotWrittenYet):
            await shop.engine.cancel(timeline.state.batch_id)
        shop.store.fails = None
        state = await end(shop, timeline)
    assert state.is_cancelled


async def test_second_stop_waits_for_no_single_slide_that_cannot_be_written() -> None:
    async with Workshop(ScriptedProvider(seconds=5)) as shop:
        single = asyncio.create_task(shop.engine.make_single(order(1, is_single=True)))
        await asyncio.sleep(1)
        shop.store.fails = StoreError("disk gone")
        first = asyncio.create_task(shop.engine.stop(grace_s=30))
        await asyncio.sleep(10)
        started_s = monotonic_s()
        await shop.engine.stop(grace_s=0)
        assert monotonic_s() - started_s < 10
        await first
        single.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await single
    assert shop.engine.active_count() == 0
