"""What a deck would take, told before anything is paid."""

import math

from msgspec import Struct

from slideloom.domain.advice import expect_slide_s
from slideloom.domain.events import BatchOrder
from slideloom.domain.prices import find_price


class Estimate(Struct, frozen=True, kw_only=True):
    """The answer of `batch/estimate`."""

    total_slides: int
    cache_hits: int
    """Slides that cost nothing: a like picture is there, or is made for another slide."""
    calls: int
    """Paid calls, if each succeeds at once."""
    provider: str
    model: str
    cost_usd_low: float | None
    """Of all calls; `null` when nobody says what the model costs."""
    cost_usd_high: float | None
    seconds: float
    """Until the last slide is done."""
    max_workers: int
    """Slides under way at once, after the server's limit."""
    within_budget: bool | None
    """Whether `max_cost_usd` suffices for the high price; `null` without a limit or a price."""
    notes: tuple[str, ...]
    """Where the figures come from."""


def to_estimate(
    order: BatchOrder,
    *,
    calls: int,
    provider: str,
    model: str,
    is_free: bool,
    measured_slide_s: float | None,
) -> Estimate:
    """The estimate for an order of which `calls` slides have to be called for."""
    price = None if is_free else find_price(model)
    low_usd = 0.0 if is_free or not calls else None if price is None else calls * price.low_usd
    high_usd = 0.0 if is_free or not calls else None if price is None else calls * price.high_usd
    limit_usd = order.max_cost_usd
    slide_s, source = expect_slide_s(measured_slide_s, is_free=is_free)
    fits = None if limit_usd is None or high_usd is None else high_usd <= limit_usd
    return Estimate(
        total_slides=len(order.slides),
        cache_hits=len(order.slides) - calls,
        calls=calls,
        provider=provider,
        model=model,
        cost_usd_low=_rounded(low_usd),
        cost_usd_high=_rounded(high_usd),
        seconds=round(_count_rounds(order, calls) * slide_s, 1),
        max_workers=order.max_workers,
        within_budget=fits,
        notes=(_explain_price(model, is_priced=low_usd is not None), source),
    )


def _count_rounds(order: BatchOrder, calls: int) -> int:
    """Slides that have to wait for each other; a reference slide goes before all others."""
    is_led = order.reference_place is not None and calls > 1
    return is_led + math.ceil((calls - is_led) / order.max_workers)


def _explain_price(model: str, *, is_priced: bool) -> str:
    if is_priced:
        return (
            "Prices are from Slideloom's price list; a call that fails after it was sent may cost"
            " too."
        )
    return f"The price of {model} is not in Slideloom's price list."


def _rounded(cost_usd: float | None) -> float | None:
    return None if cost_usd is None else round(cost_usd, 4)
