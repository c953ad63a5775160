"""Another model is asked while the first one is down or has no room; never after a refusal."""

import asyncio

import pytest

from slideloom.domain.batch import BatchState
from slideloom.errors import ContentBlocked, NoImage, ProviderError, RateLimited, UpstreamDown
from slideloom.providers.base import Drawn, DrawOrder
from slideloom.stores.image_base import Draft
from tests.support.orders import order
from tests.support.parts import ScriptedProvider, Workshop

FALLBACK = "spare-1"


class DownModel(ScriptedProvider):
    """Whose first model always fails so."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__()
        self.error: ProviderError | None = error

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        if order.model != FALLBACK and self.error is not None:
            self.calls.append(order)
            raise self.error
        return await super().draw(order, draft)

    @property
    def asked(self) -> list[str | None]:
        return [call.model for call in self.calls]


async def make(provider: ScriptedProvider, slides: int = 1, **changes: object) -> BatchState:
    async with Workshop(provider, fallback_model=FALLBACK) as shop:
        timeline = await shop.engine.submit(order(slides, **changes))
        await timeline.wait_finished(timeout_s=36000)
    return timeline.state


async def test_slide_is_made_by_the_fallback_after_two_failures_and_says_so() -> None:
    provider = DownModel(UpstreamDown("502"))
    state = await make(provider)
    assert provider.asked == ["scripted-1", "scripted-1", FALLBACK]
    assert (state.slides[0].status, state.slides[0].model) == ("done", FALLBACK)


async def test_model_without_capacity_is_passed_by_at_once_and_pauses_nobody() -> None:
    provider = DownModel(RateLimited("capacity_exhausted", is_capacity=True, retry_after_s=300))
    state = await make(provider)
    assert provider.asked == ["scripted-1", FALLBACK]
    assert (state.total_time_s or 0) < 10


async def test_model_that_failed_three_times_in_a_row_is_spared_for_a_minute() -> None:
    provider = DownModel(UpstreamDown("502"))
    async with Workshop(provider, fallback_model=FALLBACK) as shop:
        for _ in range(2):
            timeline = await shop.engine.submit(order(1))
            await timeline.wait_finished(timeout_s=36000)
        assert provider.asked[-2:] == ["scripted-1", FALLBACK]
        later = await shop.engine.submit(order(5, max_workers=5))
        await later.wait_finished(timeout_s=36000)
        assert set(provider.asked[-5:]) == {FALLBACK}
        provider.error = None
        await asyncio.sleep(61)
        again = await shop.engine.submit(order(1))
        await again.wait_finished(timeout_s=36000)
    assert provider.asked[-1] == "scripted-1"


@pytest.mark.parametrize(
    "error", [ContentBlocked("IMAGE_SAFETY"), NoImage("only words"), RateLimited("your key's rate")]
)
async def test_refusals_and_the_keys_own_rate_are_no_reason_for_another_model(
    error: ProviderError,
) -> None:
    provider = DownModel(error)
    async with Workshop(provider, fallback_model=FALLBACK, batch_timeout_s=60.0) as shop:
        timeline = await shop.engine.submit(order(2))
        await timeline.wait_finished(timeout_s=36000)
    assert FALLBACK not in provider.asked
    assert timeline.state.count("error") == 2


async def test_model_of_the_users_own_choice_is_never_replaced() -> None:
    provider = DownModel(UpstreamDown("502"))
    state = await make(provider, model="chosen-1")
    assert provider.asked == ["chosen-1"] * 4
    assert state.slides[0].error_code == "upstream_unavailable"
