"""A picture made for a like request serves again; of two at once, one is paid."""

import asyncio
from typing import Any

import pytest

from slideloom.domain.batch import BatchState
from slideloom.domain.slide import Slide
from slideloom.errors import ContentBlocked, RateLimited, StoreError
from tests.support.orders import are_cached, images, order, slide
from tests.support.parts import ScriptedProvider, Workshop

TWINS = (slide(1, id="a"), slide(1, id="b"))


async def make(
    shop: Workshop, slides: int | tuple[Slide, ...] = 3, **changes: object
) -> BatchState:
    timeline = await shop.engine.submit(order(slides, **{"cache": True} | changes))
    await timeline.wait_finished(timeout_s=36000)
    return timeline.state


async def test_same_deck_again_costs_nothing_and_no_time() -> None:
    async with Workshop() as shop:
        first, second = await make(shop), await make(shop)
    assert len(shop.provider.calls) == 3
    assert images(second) == images(first)
    assert all(s.cost_usd == 0 and s.attempts == 0 for s in second.slides)
    assert are_cached(second) == [True] * len(second.slides)
    assert second.total_time_s is not None
    assert second.total_time_s < 0.1
    assert [s.final_prompt for s in second.slides] == [s.final_prompt for s in first.slides]


async def test_half_failed_deck_again_pays_only_for_what_is_missing() -> None:
    async with Workshop(ScriptedProvider(ContentBlocked(), ContentBlocked())) as shop:
        first = await make(shop, 5, max_workers=1)
        assert first.count("error") == 2
        second = await make(shop, 5)
    assert len(shop.provider.calls) == 7
    assert are_cached(second) == [False, False, True, True, True]


async def test_two_like_slides_at_once_cost_one_call() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        state = await make(shop, TWINS)
    assert len(shop.provider.calls) == 1
    assert sorted(are_cached(state)) == [False, True]
    assert len(set(images(state))) == 1


@pytest.mark.parametrize("trouble", ["put fails", "no time to live", "fallback"])
async def test_like_slides_share_the_picture_though_the_cache_does_not_have_it(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise StoreError(trouble)

    script = [RateLimited(is_capacity=True)] if trouble == "fallback" else []
    changes: dict[str, Any] = {
        "cache_ttl_s": 0.0 if trouble == "no time to live" else 86400.0,
        "fallback_model": "spare" if trouble == "fallback" else None,
    }
    async with Workshop(ScriptedProvider(*script, seconds=10), **changes) as shop:
        if trouble == "put fails":
            monkeypatch.setattr(shop.store, "put", fail)
        state = await make(shop, tuple(slide(1, id=str(n)) for n in range(8)), max_workers=8)
    assert state.count("done") == 8
    assert len(shop.provider.calls) == 1 + len(script)


async def test_deck_that_the_fallback_made_costs_nothing_again() -> None:
    script = [RateLimited(is_capacity=True)] * 9
    async with Workshop(ScriptedProvider(*script), fallback_model="spare") as shop:
        first = await make(shop, max_workers=1)
        calls = len(shop.provider.calls)
        second = await make(shop)
    assert first.count("done") == second.count("done") == 3
    assert all(are_cached(second))
    assert len(shop.provider.calls) == calls


async def test_failure_is_not_shared() -> None:
    async with Workshop(ScriptedProvider(ContentBlocked(), seconds=10)) as shop:
        state = await make(shop, TWINS)
    assert (len(shop.provider.calls), state.count("done"), state.count("error")) == (2, 1, 1)


async def test_cached_slide_takes_no_slot() -> None:
    async with Workshop(ScriptedProvider(seconds=50)) as shop:
        await make(shop, 1)
        full = await shop.engine.submit(order(9, max_workers=1))
        mixed = await make(shop, 1)
        assert are_cached(mixed)[0]
        assert not full.state.is_final


async def test_slide_that_waits_for_its_twin_holds_no_slot() -> None:
    slides = (slide(1, id="a"), slide(1, id="b"), slide(2))
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        state = await make(shop, slides, max_workers=2)
    assert state.total_time_s == pytest.approx(10, abs=0.5)


async def test_deadline_of_a_slide_that_waits_for_its_twin_counts() -> None:
    async with Workshop(ScriptedProvider(seconds=100), batch_timeout_s=50.0) as shop:
        slow = asyncio.create_task(shop.engine.make_single(order(1, cache=True, is_single=True)))
        await asyncio.sleep(0)
        state = await make(shop, 1)
        slow.cancel()
    assert state.slides[0].error_code == "batch_timeout"


async def test_results_grow_old_and_their_pictures_may_vanish() -> None:
    async with Workshop(cache_ttl_s=0.0) as shop:
        await make(shop)
        await asyncio.sleep(1)
        await make(shop)
    assert len(shop.provider.calls) == 6
    async with Workshop() as shop:
        await make(shop)
        shop.images.kept.clear()
        await make(shop)
    assert len(shop.provider.calls) == 6


async def test_request_without_cache_is_made_anew_and_serves_later_ones() -> None:
    async with Workshop() as shop:
        await make(shop, 1)
        anew = await make(shop, 1, cache=False)
        later = await make(shop, 1)
    assert len(shop.provider.calls) == 2
    assert images(later) == images(anew)


async def test_other_ratio_model_or_words_are_another_picture() -> None:
    async with Workshop() as shop:
        await make(shop, 1)
        for other in ({"aspect_ratio": "4:3"}, {"model": "other"}, {"style_prompt": "red"}):
            await make(shop, 1, **other)
        assert len(shop.provider.calls) == 4


async def test_single_slides_and_batches_share_the_cache() -> None:
    async with Workshop() as shop:
        await make(shop, 1)
        single = await shop.engine.make_single(order(1, cache=True, is_single=True))
    assert are_cached(single) == [True]
    assert len(shop.provider.calls) == 1


async def test_free_pictures_are_made_anew() -> None:
    async with Workshop(ScriptedProvider(bills=False)) as shop:
        await make(shop, 1)
        await make(shop, 1)
    assert len(shop.provider.calls) == 2


async def test_cache_that_fails_only_costs_money(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        message = "disk"
        raise StoreError(message)

    async with Workshop() as shop:
        monkeypatch.setattr(shop.store, "put", fail)
        monkeypatch.setattr(shop.store, "find_many", fail)
        state = await make(shop)
    assert state.count("done") == 3
    assert shop.log.of("result_cache_failed")
