"""One picture is made first, and the others take its style."""

import pytest

from slideloom.domain.batch import BatchState
from slideloom.domain.messages import NO_REFERENCE, slide_error_message
from slideloom.errors import ContentBlocked
from slideloom.stores.pictures import shrink_reference
from tests.support.orders import are_cached, images, order
from tests.support.parts import ScriptedProvider, Workshop
from tests.support.pictures import picture


async def make(shop: Workshop, **changes: object) -> BatchState:
    timeline = await shop.engine.submit(order(4, **{"max_workers": 4} | changes))
    await timeline.wait_finished(timeout_s=36000)
    return timeline.state


async def test_reference_slide_is_made_first_and_sent_with_all_others() -> None:
    async with Workshop(ScriptedProvider(seconds=10)) as shop:
        state = await make(shop, reference_place=2)
    first, *others = shop.provider.calls
    assert (first.slide.id, first.reference) == ("slide-3", None)
    image = images(state)[2]
    assert image is not None
    assert [call.reference and call.reference.body for call in others] == [
        shrink_reference(shop.images.kept[image])[1]
    ] * 3
    assert state.total_time_s == pytest.approx(20, abs=1)


async def test_nothing_is_paid_for_slides_whose_reference_was_not_made() -> None:
    async with Workshop(ScriptedProvider(ContentBlocked("no"))) as shop:
        state = await make(shop, reference_place=0)
    assert len(shop.provider.calls) == 1
    assert [slide.error_code for slide in state.slides] == ["content_blocked"] * 4
    assert "not paid" in slide_error_message(
        "content_blocked", NO_REFERENCE, "en", possibly_billed=False
    )
    assert state.slides[3].error_detail == NO_REFERENCE
    assert state.slides[3].attempts == 0


async def test_picture_that_was_sent_along_goes_with_every_slide() -> None:
    async with Workshop() as shop:
        led = await shop.engine.keep_reference(order(4), picture())
        timeline = await shop.engine.submit(led)
        await timeline.wait_finished(timeout_s=36000)
    bodies = {call.reference.body for call in shop.provider.calls if call.reference}
    assert bodies == {shrink_reference(picture())[1]}
    assert len(shop.provider.calls) == 4


async def test_other_reference_is_another_picture_for_the_cache() -> None:
    async with Workshop() as shop:
        await make(shop, cache=True)
        again = await make(shop, cache=True, reference_place=0)
    assert are_cached(again) == [True, False, False, False]


async def test_reference_slide_whose_pixels_are_broken_fails_the_others_unpaid() -> None:
    broken = picture().replace(b"IDAT", b"IDAT\xff\xff", 1)
    async with Workshop(ScriptedProvider(broken)) as shop:
        state = await make(shop, reference_place=0)
    assert len(shop.provider.calls) == 1
    assert [slide.error_code for slide in state.slides[1:]] == ["invalid_image"] * 3


async def test_estimate_survives_a_reference_slide_whose_pixels_are_broken() -> None:
    broken = picture().replace(b"IDAT", b"IDAT\xff\xff", 1)
    async with Workshop(ScriptedProvider(broken)) as shop:
        led = order(4, cache=True, reference_place=0)
        await make(shop, cache=True, reference_place=0)
        assert (await shop.engine.estimate(led)).calls == 0


async def test_estimate_knows_what_the_reference_changes() -> None:
    async with Workshop() as shop:
        led = order(4, cache=True, reference_place=1)
        await make(shop, cache=True)
        assert (await shop.engine.estimate(led)).calls == 3
        await make(shop, cache=True, reference_place=1)
        assert (await shop.engine.estimate(led)).calls == 0
        sent = await shop.engine.keep_reference(order(4, cache=True), picture("WEBP"))
        assert (await shop.engine.estimate(sent)).calls == 1, "the others followed the same picture"
        timeline = await shop.engine.submit(sent)
        await timeline.wait_finished(timeout_s=3600)
        assert (await shop.engine.estimate(sent)).calls == 0
