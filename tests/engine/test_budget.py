"""A batch never begins an attempt that could take it over its budget."""

import asyncio

import pytest

from slideloom.domain.batch import BatchState
from slideloom.engine.budget import Budget, OverBudget
from slideloom.errors import AuthFailed, NoAnswerInTime, NoImage, RateLimited, UpstreamDown
from tests.support.orders import order
from tests.support.parts import ScriptedProvider, Workshop

PRICED = "google/gemini-3-pro-image-preview"
"""$0.134 to $0.24 a picture in the price list."""


async def make(provider: ScriptedProvider, slides: int, **changes: object) -> BatchState:
    async with Workshop(provider) as shop:
        timeline = await shop.engine.submit(order(slides, **{"max_workers": 10} | changes))
        await timeline.wait_finished(timeout_s=36000)
    return timeline.state


async def test_batch_stops_before_it_could_exceed_its_budget() -> None:
    provider = ScriptedProvider(cost_usd=0.134)
    state = await make(provider, 20, model=PRICED, max_cost_usd=1.0)
    spent = sum(slide.cost_usd or 0 for slide in state.slides)
    assert spent == pytest.approx(0.134 * len(provider.calls))
    assert 1.0 - 0.24 - 0.001 < spent <= 1.0
    assert {s.error_code for s in state.slides if s.status == "error"} == {"budget_exceeded"}
    assert "$1.000" in next(s.error_detail for s in state.slides if s.status == "error")


async def test_calls_under_way_are_counted_at_their_highest_price() -> None:
    provider = ScriptedProvider(cost_usd=0.134, seconds=10)
    async with Workshop(provider) as shop:
        await shop.engine.submit(order(20, model=PRICED, max_cost_usd=1.0, max_workers=20))
        await asyncio.sleep(5)
        assert provider.under_way == 4  # 4 x 0.24; a fifth could be too much


async def test_as_many_calls_are_made_as_people_reckon() -> None:
    for slides, limit_usd in ((10, 2.4), (14, 3.36)):  # as floats, the sums are a hair more
        provider = ScriptedProvider(cost_usd=0.24)
        state = await make(provider, slides + 1, model=PRICED, max_cost_usd=limit_usd)
        assert state.count("done") == slides


async def test_price_nobody_knows_is_found_out_with_one_call() -> None:
    provider = ScriptedProvider(cost_usd=0.04, seconds=10)
    async with Workshop(provider) as shop:
        timeline = await shop.engine.submit(order(20, max_cost_usd=0.2, max_workers=20))
        await asyncio.sleep(5)
        assert provider.under_way == 1
        await timeline.wait_finished(timeout_s=36000)
    assert (timeline.state.count("done"), len(provider.calls)) == (5, 5)


async def test_provider_that_never_says_a_price_gets_one_call_of_a_budgeted_batch() -> None:
    provider = ScriptedProvider(cost_usd=None)
    state = await make(provider, 5, max_cost_usd=1.0)
    assert (state.count("done"), len(provider.calls)) == (1, 1)
    assert "nobody says what" in state.slides[1].error_detail


async def test_attempt_that_was_certainly_not_billed_costs_no_budget() -> None:
    provider = ScriptedProvider(*[UpstreamDown() for _ in range(3)], cost_usd=0.24)
    state = await make(provider, 1, model=PRICED, max_cost_usd=0.24)
    assert (state.slides[0].status, len(provider.calls)) == ("done", 4)


async def test_attempt_that_may_be_billed_counts_as_spent() -> None:
    provider = ScriptedProvider(NoAnswerInTime())
    state = await make(provider, 2, model=PRICED, max_cost_usd=0.4, max_workers=1)
    assert [slide.error_code for slide in state.slides] == ["timeout", "budget_exceeded"]


async def test_budget_of_nothing_pays_nothing_and_free_providers_need_none() -> None:
    provider = ScriptedProvider()
    state = await make(provider, 3, model=PRICED, max_cost_usd=0.0)
    assert (state.count("error"), provider.calls) == (3, [])
    state = await make(ScriptedProvider(bills=False, cost_usd=0.0), 3, max_cost_usd=0.0)
    assert state.count("done") == 3


async def test_what_earlier_runs_spent_is_gone() -> None:
    budget = Budget(1.0, spent_usd=0.9)
    with pytest.raises(OverBudget, match=r"\$0\.100 of \$1\.000 left"):
        async with budget.hold(PRICED):
            pytest.fail("nothing may be held")


async def test_costs_of_failed_attempts_are_the_slides_costs_too() -> None:
    provider = ScriptedProvider(NoImage(cost_usd=0.01), cost_usd=0.04)
    state = await make(provider, 1)
    assert state.slides[0].cost_usd == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("slides", "workers", "limit_usd", "model", "rejections"),
    [
        (2, 1, 0.47, PRICED, [RateLimited()]),
        (6, 3, 10.0, None, [RateLimited(retry_after_s=1)] * 3),
        (10, 3, 0.80, PRICED, [RateLimited(retry_after_s=1)] * 3),
    ],
)
async def test_rejected_slide_and_one_that_waits_for_money_do_not_wait_for_each_other(
    slides: int, workers: int, limit_usd: float, model: str | None, rejections: list[RateLimited]
) -> None:
    provider = ScriptedProvider(*rejections)
    state = await make(provider, slides, model=model, max_cost_usd=limit_usd, max_workers=workers)
    assert state.count("done") >= 1
    assert "batch_timeout" not in {slide.error_code for slide in state.slides}


@pytest.mark.parametrize("limit_usd", [0.0, 0.04])
async def test_price_nobody_knows_is_not_found_out_with_money_that_is_not_there(
    limit_usd: float,
) -> None:
    provider = ScriptedProvider(cost_usd=0.04)
    await make(provider, 5, max_cost_usd=limit_usd)
    assert len(provider.calls) == (limit_usd > 0)


async def test_calls_that_are_free_are_not_made_one_by_one() -> None:
    provider = ScriptedProvider(cost_usd=0.0, seconds=10)
    state = await make(provider, 21, max_cost_usd=5.0)
    assert state.total_time_s == pytest.approx(30, abs=1)


async def test_guessed_price_counts_at_its_highest() -> None:
    provider = ScriptedProvider(cost_usd=None)
    await make(provider, 20, model=PRICED, max_cost_usd=1.0)
    assert len(provider.calls) == 4


async def test_cost_is_counted_once_when_the_slide_is_refused_afterwards() -> None:
    script = [NoImage(cost_usd=0.04), AuthFailed("revoked")]
    async with Workshop(ScriptedProvider(*script, seconds=1)) as shop:
        timeline = await shop.engine.submit(order(2, max_workers=2))
        await timeline.wait_finished(timeout_s=3600)
    first = timeline.state.slides[0]
    assert (first.attempts, first.cost_usd) == (1, 0.04)
