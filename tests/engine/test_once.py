"""An order with a key is carried out once."""

import asyncio
import contextlib

import pytest

from slideloom.clock import wall_s
from slideloom.domain.keys import OnceKey
from slideloom.errors import KeyReused, StoreError, UnknownBatch
from tests.support.orders import images, order
from tests.support.parts import ScriptedProvider, Workshop
from tests.support.shops import end, failing, next_process


def key(text: str = "k", *, asks: str = "a deck", hours: float = 24) -> OnceKey:
    return OnceKey(text=text, digest=asks, until_s=wall_s() + hours * 3600)


async def test_same_key_is_the_same_batch_while_it_runs_and_when_it_has_ended() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        timeline, is_replayed = await shop.engine.submit_once(order(3), key())
        assert not is_replayed
        await asyncio.sleep(5)
        assert await shop.engine.submit_once(order(3), key()) == (timeline, True)
        await end(shop, timeline)
        assert await shop.engine.submit_once(order(3), key()) == (timeline, True)
    assert len(shop.provider.calls) == 3


async def test_key_stands_for_its_batch_after_a_restart() -> None:
    async with Workshop() as shop:
        made, _ = await shop.engine.submit_once(order(3), key())
        state = await end(shop, made)
    async with Workshop(store=shop.store, images=shop.images) as shop:
        again, is_replayed = await shop.engine.submit_once(order(3), key())
        assert (again.state, is_replayed) == (state, True)
    assert shop.provider.calls == []


async def test_key_stands_for_the_batch_that_goes_on_after_a_crash() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        made, _ = await shop.engine.submit_once(order(4, max_workers=2), key())
        await asyncio.sleep(5)
        dead = next_process(shop)
    async with next_process(dead) as shop:
        again, is_replayed = await shop.engine.submit_once(order(4, max_workers=2), key())
        assert (again.state.batch_id, is_replayed) == (made.state.batch_id, True)
        state = await end(shop, again)
    assert (state.count("done"), len(shop.provider.calls)) == (2, 2)


async def test_hundred_at_once_are_one_batch() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        taken = await asyncio.gather(
            *(shop.engine.submit_once(order(3), key()) for _ in range(100))
        )
        assert len({timeline.state.batch_id for timeline, _ in taken}) == 1
        assert sorted(is_replayed for _, is_replayed in taken) == [False] + [True] * 99
        await asyncio.gather(*(end(shop, timeline) for timeline, _ in taken))
    assert len(shop.provider.calls) == 3
    assert len(shop.store.logs) == 1


async def test_key_of_another_order_is_refused_and_orders_nothing() -> None:
    async with Workshop() as shop:
        await shop.engine.submit_once(order(3), key())
        with pytest.raises(KeyReused):
            await shop.engine.submit_once(order(2), key(asks="another deck"))
        assert len(shop.store.logs) == 1
        _, is_replayed = await shop.engine.submit_once(order(2), key("other", asks="another deck"))
        assert not is_replayed


async def test_key_expires() -> None:
    async with Workshop() as shop:
        first, _ = await shop.engine.submit_once(order(1), key(hours=0))
        second, is_replayed = await shop.engine.submit_once(order(2), key(asks="another deck"))
        assert not is_replayed
        assert second.state.batch_id != first.state.batch_id


async def test_order_that_could_not_be_written_does_not_use_its_key_up() -> None:
    async with Workshop() as shop:
        shop.store.fails = StoreError("disk gone")
        with pytest.raises(StoreError):
            await shop.engine.submit_once(order(3), key())
        shop.store.fails = None
        timeline, is_replayed = await shop.engine.submit_once(order(3), key())
        assert not is_replayed
        await end(shop, timeline)
    assert len(shop.provider.calls) == 3


async def test_caller_that_goes_away_and_comes_again_gets_the_one_batch() -> None:
    async with Workshop() as shop:
        for steps in range(6):
            taking = asyncio.create_task(shop.engine.submit_once(order(1), key()))
            for _ in range(steps):
                await asyncio.sleep(0)
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
        timeline, is_replayed = await shop.engine.submit_once(order(1), key())
        assert is_replayed
        await end(shop, timeline)
    assert (len(shop.store.logs), len(shop.provider.calls)) == (1, 1)


async def test_single_slides_asked_for_again_are_paid_once() -> None:
    single = order(1, is_single=True)
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        states = await asyncio.gather(*(shop.engine.make_single(single, key()) for _ in range(5)))
        later = await shop.engine.make_single(single, key())
    assert [images(state) for state in states] == [images(later)] * 5
    assert len(shop.provider.calls) == 1


async def test_single_slide_that_failed_fails_the_same_way_under_its_key() -> None:
    single = order(1, is_single=True)
    async with Workshop(failing(1)) as shop:
        states = [await shop.engine.make_single(single, key()) for _ in range(2)]
    assert states[0] == states[1]
    assert states[0].slides[0].error_code == "content_blocked"
    assert len(shop.provider.calls) == 1


async def test_single_slide_that_cannot_be_resumed_yet_keeps_nobody_waiting_for_ever() -> None:
    single = order(1, is_single=True)
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        making = asyncio.create_task(shop.engine.make_single(single, key()))
        await asyncio.sleep(5)
        dead = next_process(shop)
        making.cancel()
    shop = next_process(dead)
    shop.store.fails = StoreError("locked")
    async with shop:
        await asyncio.sleep(1)
        shop.store.fails = None  # it is not taken up again yet
        with contextlib.suppress(StoreError):
            await asyncio.wait_for(shop.engine.make_single(single, key()), timeout=600)
        await asyncio.sleep(60)
        state = await asyncio.wait_for(shop.engine.make_single(single, key()), timeout=600)
    assert state.slides[0].error_code == "interrupted"


async def test_batch_of_a_living_key_outlives_the_clean_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Workshop(keep_finished_s=0.0) as shop:
        keyed, _ = await shop.engine.submit_once(order(1), key(hours=2))
        other = await shop.engine.submit(order(1))
        await end(shop, keyed)
        await end(shop, other)
        hour_later_s = wall_s() + 3600
        monkeypatch.setattr("slideloom.clock.time.time", lambda: hour_later_s)
        await asyncio.sleep(1200)
        with pytest.raises(UnknownBatch):
            await shop.engine.get(other.state.batch_id)
        again, is_replayed = await shop.engine.submit_once(order(1), key())
        assert (again.state.batch_id, is_replayed) == (keyed.state.batch_id, True)
        monkeypatch.setattr("slideloom.clock.time.time", lambda: hour_later_s + 3600)
        await asyncio.sleep(1200)
        with pytest.raises(UnknownBatch):
            await shop.engine.get(keyed.state.batch_id)
