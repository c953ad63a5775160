"""A run whose process is frozen just as an attempt was written down, before its call."""

import asyncio
from collections.abc import Sequence

from slideloom.clock import wall_s
from slideloom.domain.batch import fold
from slideloom.domain.events import Event, SlideStarted
from slideloom.engine.recovery import plan_resume
from slideloom.stores.base import Encoded, encode_event
from tests.support.orders import order
from tests.support.parts import MemoryBatchStore, Workshop

_FROZEN_S = 60.0


class FreezingStore(MemoryBatchStore):
    """It writes at once; that it did is known here a minute later, once."""

    def __init__(self) -> None:
        super().__init__()
        self._freezes = True

    async def append(
        self,
        batch_id: str,
        epoch: int | None,
        events: Sequence[Event | Encoded],
        *,
        at: int | None = None,
    ) -> int:
        seq = await super().append(batch_id, epoch, events, at=at)
        starts = [isinstance(encode_event(one).event, SlideStarted) for one in events]
        if self._freezes and any(starts):
            self._freezes = False
            await asyncio.sleep(_FROZEN_S)
        return seq


async def test_attempt_that_another_run_has_ended_meanwhile_is_not_made() -> None:
    store = FreezingStore()
    async with Workshop(store=store) as shop:
        timeline = await shop.engine.submit(order(1))
        batch_id = timeline.state.batch_id
        await asyncio.sleep(_FROZEN_S / 2)
        epoch = await store.lease(batch_id)
        state = fold(batch_id, store.logs[batch_id])
        resuming = plan_resume(state, found={}, policy="retry", at_s=wall_s())
        await store.append(batch_id, epoch, resuming)
        await asyncio.sleep(2 * _FROZEN_S)
        assert shop.provider.calls == []
        assert shop.engine.active_count() == 0
        assert fold(batch_id, store.logs[batch_id]).slides[0].possibly_billed == 1
    assert not shop.log.of("slide_crashed")


async def test_attempt_is_made_after_a_freeze_that_nobody_has_used() -> None:
    async with Workshop(store=FreezingStore()) as shop:
        timeline = await shop.engine.submit(order(1))
        assert await timeline.wait_finished(timeout_s=3 * _FROZEN_S)
        assert timeline.state.count("done") == 1
        assert len(shop.provider.calls) == 1
