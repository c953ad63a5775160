"""Slides that are done are wanted once more: new versions, and earlier ones restored."""

import asyncio

import pytest

from slideloom.clock import monotonic_s
from slideloom.domain.batch import BatchState
from slideloom.errors import SlideUnderWay, UnknownSlide
from tests.support.orders import are_cached, images
from tests.support.parts import ScriptedProvider, Workshop
from tests.support.shops import asked, codes, end, failing, make


async def regenerate(shop: Workshop, batch_id: str, slide_id: str) -> BatchState:
    return await end(shop, await shop.engine.regenerate(batch_id, slide_id))


async def test_regenerated_slide_is_a_new_version_and_the_old_picture_stays() -> None:
    async with Workshop() as shop:
        first = (await make(shop)).state
        state = await regenerate(shop, first.batch_id, "slide-2")
    assert asked(shop)[4:] == ["slide-2"]
    old, new = (version.image for version in state.slides[1].versions)
    assert (old, new) == (images(first)[1], images(state)[1])
    assert old != new
    assert {old, new} <= shop.images.kept.keys()
    assert state.slides[1].attempts == 2
    assert state.slides[1].cost_usd == pytest.approx(0.08)
    assert [state.slides[0], *state.slides[2:]] == [first.slides[0], *first.slides[2:]]


async def test_regenerated_slide_is_never_from_the_cache_and_the_next_deck_gets_the_newest() -> (
    None
):
    async with Workshop() as shop:
        first = (await make(shop, cache=True)).state
        state = await regenerate(shop, first.batch_id, "slide-2")
        assert are_cached(state) == [False] * 4
        assert len(shop.provider.calls) == 5
        later = (await make(shop, cache=True)).state
    assert are_cached(later) == [True] * 4
    assert images(later) == images(state)
    assert len(shop.provider.calls) == 5


async def test_failed_slide_can_be_regenerated_too() -> None:
    async with Workshop(failing(2)) as shop:
        first = (await make(shop)).state
        state = await regenerate(shop, first.batch_id, "slide-2")
    assert (state.count("done"), len(state.slides[1].versions)) == (4, 1)


async def test_slide_that_is_being_made_is_the_version_asked_for() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        batch_id = (await make(shop)).state.batch_id
        timelines = await asyncio.gather(
            *(shop.engine.regenerate(batch_id, "slide-2") for _ in range(5))
        )
        await asyncio.sleep(5)
        await shop.engine.regenerate(batch_id, "slide-2")
        state = await end(shop, timelines[0])
    assert len(shop.provider.calls) == 5
    assert len(state.slides[1].versions) == 2


async def test_slides_regenerated_one_after_another_run_side_by_side() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        batch_id = (await make(shop, max_workers=3)).state.batch_id
        started_s = monotonic_s()
        for number in (1, 2, 3):
            await shop.engine.regenerate(batch_id, f"slide-{number}")
            await asyncio.sleep(1)
        state = await end(shop, await shop.engine.get(batch_id))
        assert monotonic_s() - started_s == pytest.approx(12, abs=0.5)
    assert [len(slide.versions) for slide in state.slides] == [2, 2, 2, 1]


async def test_new_version_that_fails_is_an_error_and_the_old_one_can_be_had_back() -> None:
    async with Workshop(failing(2)) as shop:
        first = (await make(shop, 1)).state
        state = await regenerate(shop, first.batch_id, "slide-1")
        assert (state.status, codes(state)) == ("failed", ["content_blocked"])
        assert images(state) == [None]
        back = await shop.engine.restore(first.batch_id, "slide-1", 1)
        assert (back.state.status, images(back.state)) == ("completed", images(first))
        assert codes(back.state) == [None]
        (line,) = (await shop.engine.list_batches(limit=9, cursor=None)).batches
        assert (line.status, line.successful) == ("completed", 1)


async def test_failed_new_version_that_is_retried_is_not_the_old_one_from_the_cache() -> None:
    async with Workshop(failing(2)) as shop:
        first = (await make(shop, 1, cache=True)).state
        await regenerate(shop, first.batch_id, "slide-1")
        state = await end(shop, await shop.engine.retry(first.batch_id))
    assert len(shop.provider.calls) == 3
    assert are_cached(state) == [False]
    assert images(state) != images(first)


async def test_regenerated_lead_changes_nobody_else() -> None:
    async with Workshop() as shop:
        first = (await make(shop, reference_place=0)).state
        state = await regenerate(shop, first.batch_id, "slide-1")
    assert asked(shop)[4:] == ["slide-1"]
    assert images(state)[1:] == images(first)[1:]


async def test_regenerated_follower_follows_the_picture_that_is_shown_now() -> None:
    async with Workshop() as shop:
        first = (await make(shop, reference_place=0)).state
        state = await regenerate(shop, first.batch_id, "slide-3")
    assert shop.provider.calls[-1].reference
    assert len(state.slides[2].versions) == 2


async def test_earlier_version_is_shown_again_without_a_call() -> None:
    async with Workshop() as shop:
        first = (await make(shop)).state
        made = await regenerate(shop, first.batch_id, "slide-2")
        back = (await shop.engine.restore(first.batch_id, "slide-2", 1)).state
        assert images(back) == images(first)
        assert back.seq == made.seq + 1
        again = (await shop.engine.restore(first.batch_id, "slide-2", 2)).state
        assert images(again) == images(made)
        assert len(again.slides[1].versions) == 2
        assert shop.engine.active_count() == 0
    assert len(shop.provider.calls) == 5
    assert again.total_time_s == made.total_time_s
    assert len(shop.log.of("batch_generate_complete")) == 2


async def test_restoring_the_version_that_is_shown_changes_nothing() -> None:
    async with Workshop() as shop:
        state = (await make(shop)).state
        assert (await shop.engine.restore(state.batch_id, "slide-2", 1)).state == state
        assert len(shop.store.logs[state.batch_id]) == state.seq


@pytest.mark.parametrize("version", [-1, 0, 2, 10**9])
async def test_version_that_never_was_is_said_so(version: int) -> None:
    async with Workshop() as shop:
        state = (await make(shop)).state
        with pytest.raises(UnknownSlide):
            await shop.engine.restore(state.batch_id, "slide-2", version)
        assert (await shop.engine.get(state.batch_id)).state == state


async def test_slide_that_is_being_made_cannot_be_restored_and_others_can() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        batch_id = (await make(shop)).state.batch_id
        await regenerate(shop, batch_id, "slide-1")
        for after_s in (0, 5):  # it waits, then it is under way
            timeline = await shop.engine.regenerate(batch_id, "slide-2")
            await asyncio.sleep(after_s)
            with pytest.raises(SlideUnderWay):
                await shop.engine.restore(batch_id, "slide-2", 1)
        assert await shop.engine.restore(batch_id, "slide-1", 1) is timeline
        state = await end(shop, timeline)
    assert [slide.shown for slide in state.slides] == [0, 1, 0, 0]


async def test_changes_survive_a_restart() -> None:
    async with Workshop() as shop:
        batch_id = (await make(shop)).state.batch_id
        await regenerate(shop, batch_id, "slide-2")
        state = (await shop.engine.restore(batch_id, "slide-2", 1)).state
    async with Workshop(store=shop.store, images=shop.images) as shop:
        assert (await shop.engine.get(batch_id)).state == state
        made = await regenerate(shop, batch_id, "slide-2")
    assert len(made.slides[1].versions) == 3
    assert made.slides[1].shown == 2
