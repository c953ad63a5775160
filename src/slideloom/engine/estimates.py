"""What making a batch would take; nothing is paid."""

from msgspec.structs import replace

from slideloom.domain.estimate import Estimate, to_estimate
from slideloom.domain.events import BatchOrder
from slideloom.engine.reference import find_reference
from slideloom.engine.run import to_draw_orders
from slideloom.engine.slide import SlideMaker
from slideloom.errors import DailyCostReached
from slideloom.logs import Log


async def estimate_batch(
    order: BatchOrder, maker: SlideMaker, *, measured_slide_s: float | None, log: Log
) -> Estimate:
    """Money and time of an order; `measured_slide_s` is how long a slide took lately."""
    first = maker.lanes.first
    calls = await _count_calls(order, maker, log=log) if order.cache else len(order.slides)
    return to_estimate(
        order,
        calls=calls,
        provider=first.name,
        model=order.model or first.model,
        is_free=not first.bills,
        measured_slide_s=measured_slide_s,
    )


async def refuse_unaffordable(
    order: BatchOrder, maker: SlideMaker, *, anew: bool = False, log: Log
) -> None:
    """Make sure that what is left of the day's money pays for a call, unless none is needed.

    `anew`: no picture that is there will do.

    Raises:
        DailyCostReached: it does not.
        StoreError: nobody knows.
    """
    if maker.allowance is None:
        return
    try:
        await maker.allowance.refuse_if_spent(order.owner, maker.lanes.list_models(order.model))
    except DailyCostReached:
        if anew or not order.cache or await _count_calls(order, maker, log=log):
            raise


async def _count_calls(order: BatchOrder, maker: SlideMaker, *, log: Log) -> int:
    """How many slides would be called for; those that follow one not made yet all are."""
    draw_orders = to_draw_orders(order)
    if not maker.lanes.first.bills:
        return len(draw_orders)
    models = maker.lanes.list_models(order.model)
    place, made = order.reference_place, None
    lead = [] if place is None else [draw_orders.pop(place)]
    if lead:
        made = await maker.results.find_image(lead[0], models)
        if made is None:
            return 1 + len(draw_orders)
    reference = await find_reference(maker.images, order, made, log=log)
    if reference is not None:
        draw_orders = [replace(one, reference=reference) for one in draw_orders]
    elif lead or order.reference_file:
        return 0  # the run refuses what should follow a picture that is not to be had
    return await maker.results.count_missing([*lead, *draw_orders], models)
