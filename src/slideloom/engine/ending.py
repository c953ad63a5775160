"""The end of a batch, written in place of whoever should have."""

from slideloom.clock import wall_s
from slideloom.domain.batch import fold
from slideloom.engine.journal import log_batch_end, log_cut_off
from slideloom.engine.recovery import end_unfinished, find_left_behind
from slideloom.errors import Fenced, LogMoved, SlideErrorCode, UnknownBatch
from slideloom.logs import Log
from slideloom.stores.base import BatchStore
from slideloom.stores.image_base import ImageStore


async def end_over_head(
    batch_id: str, code: SlideErrorCode, *, store: BatchStore, images: ImageStore, log: Log
) -> None:
    """End the batch's unfinished slides in `code`; whoever makes it can write only costs then.

    Nothing happens to one that has ended, or that somebody wants made after it was cancelled.

    Raises:
        UnknownBatch: there is none.
        StoreError: it could not be written.
    """
    epoch: int | None = None
    while True:
        events = await store.read(batch_id)
        if not events:
            raise UnknownBatch(batch_id)
        state = fold(batch_id, events)
        if state.is_final or (code == "cancelled" and not state.is_cancelled):
            return
        if epoch is None:  # only now: it would take the batch from whoever makes it
            epoch = await store.lease(batch_id)
            continue
        ends = end_unfinished(
            state,
            code=code,
            at_s=wall_s(),
            total_time_s=state.logged_s,
            found=await find_left_behind(state, images),
        )
        try:
            await store.append(batch_id, epoch, ends, at=state.seq)
        except LogMoved:
            continue
        except Fenced:
            epoch = None
            continue
        log_cut_off(log, state, ends, events)
        log_batch_end(log, fold(batch_id, [*events, *ends]))
        return
