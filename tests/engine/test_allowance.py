"""No call is made that could take what an owner spends in a day over the limit."""

import asyncio
from typing import Any

import pytest

from slideloom.domain.batch import BatchState
from slideloom.domain.keys import OnceKey
from slideloom.engine.allowance import Allowance
from slideloom.engine.budget import Hold, OverBudget
from slideloom.errors import DailyCostReached, NoAnswerInTime, StoreError, UpstreamDown
from tests.support.orders import order
from tests.support.parts import MemoryBatchStore, RecordingLog, ScriptedProvider, Workshop

PRICED = "google/gemini-3-pro-image-preview"
"""$0.134 to $0.24 a picture in the price list."""


async def make(shop: Workshop, slides: int, **changes: object) -> BatchState:
    timeline = await shop.engine.submit(
        order(slides, **{"max_workers": 10, "model": PRICED, "cache": False} | changes)
    )
    await timeline.wait_finished(timeout_s=36000)
    return timeline.state


def spent(shop: Workshop, owner: str = "") -> float:
    return sum(usd for (whose, _), usd in shop.store.spending.items() if whose == owner)


async def test_two_batches_at_once_keep_one_limit() -> None:
    provider = ScriptedProvider(cost_usd=0.134, seconds=10)
    async with Workshop(provider, limit_usd=1.0) as shop:
        states = await asyncio.gather(make(shop, 10), make(shop, 10))
        assert len(provider.calls) == 4  # 4 x 0.24 at once; the others are refused
        assert spent(shop) == pytest.approx(4 * 0.134)
    ends = {slide.error_code for state in states for slide in state.slides}
    assert ends == {None, "budget_exceeded"}
    detail = next(s.error_detail for state in states for s in state.slides if s.error_code)
    assert detail == "the day's limit is spent: $1.00"


async def test_owners_spend_their_own() -> None:
    async with Workshop(ScriptedProvider(cost_usd=0.2), limit_usd=0.3) as shop:
        assert (await make(shop, 1, owner="alice")).count("done") == 1
        with pytest.raises(DailyCostReached):  # 0.1 is left, and a call may cost 0.24
            await make(shop, 1, owner="alice")
        assert (await make(shop, 1, owner="bob")).count("done") == 1


async def test_deck_that_is_wholly_in_the_cache_needs_no_money() -> None:
    provider = ScriptedProvider(cost_usd=0.24)
    async with Workshop(provider, limit_usd=0.48) as shop:
        assert (await make(shop, 2, cache=True)).count("done") == 2
        again = await make(shop, 2, cache=True)
        assert (again.count("done"), len(provider.calls)) == (2, 2)
        with pytest.raises(DailyCostReached):
            await make(shop, 3, cache=True)


async def test_order_is_refused_before_anything_once_the_day_is_spent() -> None:
    provider = ScriptedProvider(cost_usd=0.24)
    async with Workshop(provider, limit_usd=0.24) as shop:
        key = OnceKey(text="k", digest="d", until_s=1e12)
        first = await make(shop, 1)
        named, _ = await shop.engine.submit_once(order(1, owner="bob"), key)
        with pytest.raises(DailyCostReached) as refused:
            await make(shop, 1)
        assert 0 < refused.value.retry_after_s <= 86_400
        for wish in (
            shop.engine.retry(first.batch_id),
            shop.engine.regenerate(first.batch_id, first.order.slides[0].id),
        ):
            with pytest.raises(DailyCostReached):
                await wish
        await named.wait_finished(timeout_s=36000)
        again, is_replayed = await shop.engine.submit_once(order(1, owner="bob"), key)
        assert is_replayed
        assert again.state.batch_id == named.state.batch_id
        assert len(shop.store.logs) == 2


async def test_what_was_certainly_not_billed_is_given_back() -> None:
    provider = ScriptedProvider(*[UpstreamDown() for _ in range(3)], cost_usd=0.24)
    async with Workshop(provider, limit_usd=0.24) as shop:
        assert (await make(shop, 1)).count("done") == 1
        assert len(provider.calls) == 4
        assert spent(shop) == pytest.approx(0.24)


async def test_what_may_be_billed_counts_as_spent() -> None:
    async with Workshop(ScriptedProvider(NoAnswerInTime()), limit_usd=1.0) as shop:
        await make(shop, 1)
        assert spent(shop) == pytest.approx(0.24)


async def test_cancelled_call_counts_as_spent() -> None:
    async with Workshop(ScriptedProvider(seconds=100), limit_usd=1.0) as shop:
        timeline = await shop.engine.submit(order(2, model=PRICED))
        await asyncio.sleep(5)
        await shop.engine.cancel(timeline.state.batch_id)
        await asyncio.sleep(5)
        assert spent(shop) == pytest.approx(0.48)


@pytest.mark.parametrize("model", ["unpriced", PRICED])
async def test_bill_tells_what_the_price_list_does_not(model: str) -> None:
    provider = ScriptedProvider(cost_usd=0.4, seconds=10)
    async with Workshop(provider, limit_usd=1.0) as shop:
        assert (await make(shop, 1, model=model)).count("done") == 1
        states = await asyncio.gather(make(shop, 5, model=model), make(shop, 5, model=model))
        assert sum(state.count("done") for state in states) == 1  # a third could not be paid
        assert spent(shop) == pytest.approx(0.8)


async def test_model_without_a_price_is_called_once_where_no_bill_tells() -> None:
    async with Workshop(ScriptedProvider(cost_usd=None), limit_usd=1.0) as shop:
        states = [await make(shop, 1, model="unpriced") for _ in range(2)]
        assert [state.slides[0].error_code for state in states] == [None, "budget_exceeded"]


async def test_next_day_has_its_own_money(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, book = 86_399.0, MemoryBatchStore()
    monkeypatch.setattr("slideloom.engine.allowance.wall_s", lambda: now_s)
    log = RecordingLog()
    allowance = Allowance(book, limit_usd=0.24, log=log)  # type: ignore[arg-type]
    async with allowance.hold("", [PRICED], hold := Hold(0.0)):
        hold.cost_usd = 0.2
        now_s += 2  # it is settled where it was written down
    assert book.spending == {("", "1970-01-01"): pytest.approx(0.2)}
    now_s -= 2
    with pytest.raises(OverBudget):
        async with allowance.hold("", [PRICED], Hold(0.0)):
            pass
    now_s += 2
    async with allowance.hold("", [PRICED], Hold(0.0)):
        pass
    assert log.lines == []


async def test_bill_that_cannot_be_written_leaves_the_most_as_spent() -> None:
    book, log = MemoryBatchStore(), RecordingLog()
    allowance = Allowance(book, limit_usd=1.0, log=log)  # type: ignore[arg-type]

    async def fail(*_: object, **__: object) -> bool:
        raise StoreError

    async with allowance.hold("", [PRICED], hold := Hold(0.0)):
        hold.cost_usd = 0.1
        book.add_cost = fail  # type: ignore[method-assign]
    assert list(book.spending.values()) == [pytest.approx(0.24)]
    assert len(log.of("spending_not_settled")) == 1


async def test_store_that_fails_for_a_moment_ends_no_slide() -> None:
    provider = ScriptedProvider(cost_usd=0.134, seconds=10)
    async with Workshop(provider, limit_usd=100.0) as shop:
        real, asked = shop.store.add_cost, 0

        async def fail_once(*args: Any, **named: Any) -> bool:
            nonlocal asked
            asked += 1
            if asked == 3:
                raise StoreError
            return await real(*args, **named)

        shop.store.add_cost = fail_once  # type: ignore[method-assign]
        assert (await make(shop, 6, max_workers=3)).count("done") == 6
        assert spent(shop) == pytest.approx(6 * 0.134)


async def test_money_is_written_down_once_however_long_the_store_fails() -> None:
    async with Workshop(ScriptedProvider(cost_usd=None), limit_usd=100.0) as shop:
        real, written = shop.store.add_cost, 0

        async def lose_answer(*args: Any, **named: Any) -> bool:
            nonlocal written
            written += 1
            is_free = await real(*args, **named)
            if written == 1:
                shop.store.fails = StoreError()
                raise StoreError
            return is_free

        shop.store.add_cost = lose_answer  # type: ignore[method-assign]
        timeline = await shop.engine.submit(order(1, model=PRICED))
        await asyncio.sleep(60)
        assert written == 1
        shop.store.fails = None
        await timeline.wait_finished(timeout_s=36000)
        assert timeline.state.count("done") == 1
        assert written == 2


async def test_cancelled_while_money_is_set_aside_gives_it_back() -> None:
    book = MemoryBatchStore()
    allowance = Allowance(book, limit_usd=1.0, log=RecordingLog())  # type: ignore[arg-type]
    _slow_down(book)

    async def call() -> None:
        async with allowance.hold("", [PRICED], Hold(0.0)):
            raise AssertionError

    calling = asyncio.create_task(call())
    await asyncio.sleep(0.1)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert calling.cancelled()
    assert list(book.spending.values()) == [0.0]


async def test_picture_is_kept_though_cancelled_while_its_bill_is_written() -> None:
    async with Workshop(ScriptedProvider(cost_usd=0.1, seconds=10), limit_usd=1.0) as shop:
        _slow_down(shop.store)
        timeline = await shop.engine.submit(order(1, model=PRICED))
        await asyncio.sleep(10.8)  # of 0.5 + 10 + 0.5
        await shop.engine.cancel(timeline.state.batch_id)
        await timeline.wait_finished(timeout_s=36000)
        assert timeline.state.count("done") == 1
        assert spent(shop) == pytest.approx(0.1)


async def test_bill_beyond_what_was_expected_is_written_once_the_store_is_back() -> None:
    async with Workshop(ScriptedProvider(cost_usd=0.4, seconds=10), limit_usd=1.0) as shop:
        timeline = await shop.engine.submit(order(1, model="unpriced"))
        await asyncio.sleep(5)
        shop.store.fails = StoreError()
        await asyncio.sleep(30)
        shop.store.fails = None
        await timeline.wait_finished(timeout_s=36000)
        assert timeline.state.count("done") == 1
        assert spent(shop) == pytest.approx(0.4)


async def test_call_without_a_price_stops_its_own_day_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 86_399.0
    monkeypatch.setattr("slideloom.engine.allowance.wall_s", lambda: now_s)
    allowance = Allowance(MemoryBatchStore(), limit_usd=1.0, log=RecordingLog())  # type: ignore[arg-type]
    async with allowance.hold("", ["unpriced"], hold := Hold(0.0)):
        hold.is_billed = True
    with pytest.raises(OverBudget):
        async with allowance.hold("", ["unpriced"], Hold(0.0)):
            pass
    now_s += 1
    async with allowance.hold("", ["unpriced"], Hold(0.0)):
        pass


def _slow_down(book: MemoryBatchStore) -> None:
    """Each writing takes half a second, and is done at once."""
    real = book.add_cost

    async def add_slowly(*args: Any, **named: Any) -> bool:
        is_free = await real(*args, **named)
        await asyncio.sleep(0.5)
        return is_free

    book.add_cost = add_slowly  # type: ignore[method-assign]
