"""What is recorded is written in order, then announced, whatever the store does meanwhile."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from slideloom.clock import monotonic_s
from slideloom.domain.batch import BatchState, fold
from slideloom.domain.events import (
    BatchStarted,
    BatchSubmitted,
    Event,
    SlideCharged,
    SlideDone,
    SlideFailed,
    SlideStarted,
)
from slideloom.engine.recorder import Recorder
from slideloom.engine.timeline import Timeline
from slideloom.errors import Fenced, StorageFull, StoreError
from slideloom.stores.base import Encoded
from tests.support.orders import order
from tests.support.parts import MemoryBatchStore, RecordingLog


class SlowStore(MemoryBatchStore):
    """A store that takes a second to write, and tells how often it wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def append(
        self,
        batch_id: str,
        epoch: int | None,
        events: Sequence[Event | Encoded],
        *,
        at: int | None = None,
    ) -> int:
        await asyncio.sleep(1)
        seq = await super().append(batch_id, epoch, events, at=at)
        self.sizes.append(len(events))
        return seq


class Desk:
    """A recorder of one new batch."""

    def __init__(self) -> None:
        self.store = SlowStore()
        self.log = RecordingLog()
        first = BatchSubmitted(at_s=0, order=order(4))
        self.store.logs["b"], self.store.epochs["b"] = [first], 1
        self.timeline = Timeline(fold("b", [first]))
        self.recorder = Recorder(
            store=self.store,
            timeline=self.timeline,
            epoch=1,
            log=self.log,  # type: ignore[arg-type]  # only what the recorder calls
        )

    @property
    def written(self) -> list[Event]:
        return self.store.logs["b"][1:]

    @property
    def state(self) -> BatchState:
        return self.timeline.state


def started(place: int = 0) -> SlideStarted:
    return SlideStarted(
        at_s=1, place=place, attempt=1, provider="p", model="m", bills=True, final_prompt="f"
    )


def done(place: int = 0, **changes: Any) -> SlideDone:
    facts: dict[str, Any] = {"image": "a.png", "provider": "p", "cost_usd": 0.04} | changes
    return SlideDone(
        at_s=2,
        place=place,
        width=16,
        height=9,
        aspect_ratio_ok=True,
        generation_time_s=1,
        model="m",
        **facts,
    )


async def test_events_are_announced_when_they_are_written_and_not_before() -> None:
    desk = Desk()
    recording = asyncio.create_task(desk.recorder.record(started()))
    await asyncio.sleep(0.5)
    assert desk.state.count("pending") == 4
    await recording
    assert desk.written == [started()]
    assert desk.state.count("pending") == 3


async def test_events_that_come_while_a_write_is_under_way_go_together_in_their_order() -> None:
    desk = Desk()
    events = [started(place) for place in range(4)]
    await asyncio.gather(*(desk.recorder.record(event) for event in events))
    await desk.recorder.record(done())
    assert desk.written == [*events, done()]
    assert desk.store.sizes == [4, 1]
    one_by_one = [asyncio.create_task(desk.recorder.record(done(place))) for place in (1, 2)]
    await asyncio.sleep(0.5)
    await asyncio.gather(*one_by_one, desk.recorder.record(done(3)))
    assert desk.store.sizes == [4, 1, 2, 1]
    assert fold("b", desk.store.logs["b"]) == desk.state


async def test_caller_that_is_cancelled_takes_no_event_with_it() -> None:
    desk = Desk()
    first = asyncio.create_task(desk.recorder.record(BatchStarted(at_s=1)))
    await asyncio.sleep(0.5)
    second = asyncio.create_task(desk.recorder.record(done()))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await desk.recorder.settle()
    assert desk.written == [BatchStarted(at_s=1), done()]
    assert desk.state.slides[0].status == "done"


@pytest.mark.parametrize("fault", [StoreError("locked"), StorageFull("disk full")])
async def test_store_that_fails_is_asked_again_until_it_is_back(fault: StoreError) -> None:
    desk = Desk()
    desk.store.fails = fault
    recording = asyncio.create_task(desk.recorder.record(started()))
    later = asyncio.create_task(desk.recorder.record(done()))
    await asyncio.sleep(100)
    assert (desk.written, desk.state.slides[0].status) == ([], "pending")
    desk.store.fails = None
    started_s = monotonic_s()
    await asyncio.gather(recording, later)
    assert monotonic_s() - started_s < 10
    assert desk.written == [started(), done()]
    assert len(desk.log.of("store_failed")) > 10


async def test_word_that_is_no_text_is_refused_and_nothing_of_its_record_is_written() -> None:
    desk = Desk()
    with pytest.raises(UnicodeEncodeError):
        await desk.recorder.record(started(), done(provider="caf\udce9"))
    await desk.recorder.record(started(1))
    assert desk.written == [started(1)]


async def test_recorder_whose_batch_was_taken_writes_only_what_was_spent() -> None:
    desk = Desk()
    await desk.store.lease("b")
    late: list[tuple[Event, float | None]] = [
        (started(), None),
        (done(), 0.04),
        (done(cost_usd=None), None),
        (SlideFailed(at_s=3, place=2, error_code="no_image", cost_usd=0.01), 0.01),
        (SlideFailed(at_s=3, place=2, error_code="timeout", possibly_billed=True), None),
    ]
    for event, _ in late:
        with pytest.raises(Fenced):
            await desk.recorder.record(event)
    charges = [event for event in desk.written if isinstance(event, SlideCharged)]
    assert charges == desk.written
    assert [one.cost_usd for one in charges] == [cost_usd for _, cost_usd in late if cost_usd]
    assert [one.place for one in charges] == [0, 2]
    assert desk.state.seq == 1, "nothing is announced"


async def test_late_charge_of_a_batch_that_is_gone_is_told_in_the_log_alone() -> None:
    desk = Desk()
    del desk.store.logs["b"], desk.store.epochs["b"]
    with pytest.raises(Fenced):
        await desk.recorder.record(done())
    assert len(desk.log.of("late_answer")) == 1
    assert desk.store.logs == {}


async def test_fault_of_ours_in_the_store_reaches_whoever_waits() -> None:
    desk = Desk()
    desk.store.fails = ZeroDivisionError("bug")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await desk.recorder.record(started())
    desk.store.fails = None
    await desk.recorder.record(started())
    assert desk.written == [started()]


async def test_recorder_settles_when_nothing_is_left_to_be_written() -> None:
    desk = Desk()
    await desk.recorder.settle()
    recording = [asyncio.create_task(desk.recorder.record(started(n))) for n in range(2)]
    await asyncio.sleep(0.5)
    recording.append(asyncio.create_task(desk.recorder.record(done())))
    await asyncio.sleep(0)
    await desk.recorder.settle()
    assert len(desk.written) == 3
    await asyncio.gather(*recording)


async def test_recorder_that_is_closed_gives_up_what_could_not_be_written() -> None:
    desk = Desk()
    desk.store.fails = StoreError("gone")
    recording = asyncio.create_task(desk.recorder.record(started()))
    await asyncio.sleep(30)
    await desk.recorder.close()
    desk.store.fails = None
    await asyncio.sleep(30)
    assert desk.written == []
    recording.cancel()
    await asyncio.gather(recording, return_exceptions=True)


async def test_what_an_earlier_run_writes_in_between_is_taken_in_where_it_stands() -> None:
    desk = Desk()
    await desk.recorder.record(BatchStarted(at_s=1))
    late = SlideCharged(at_s=1, place=2, cost_usd=0.04)
    await desk.store.append("b", None, [late])
    await desk.recorder.record(started(), done())
    assert desk.written[1] == late
    assert desk.state == fold("b", desk.store.logs["b"])
    assert desk.state.seq == 5
