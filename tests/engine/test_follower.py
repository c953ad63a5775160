"""Batches that are made elsewhere, as this process tells of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from slideloom.domain.events import (
    BatchFinished,
    BatchStarted,
    BatchSubmitted,
    Event,
    SlideCharged,
    SlideDone,
    SlideStarted,
)
from slideloom.engine.follower import Follower
from slideloom.engine.timeline import Timeline
from slideloom.errors import StoreError, UnknownBatch
from slideloom.stores.shared_base import Missed, Ring
from tests.support.orders import order
from tests.support.parts import MemoryBatchStore, RecordingLog


class Post:
    """A store that others write to, and who follows it here."""

    def __init__(self) -> None:
        self.store = MemoryBatchStore()
        self.log = RecordingLog()
        self.follower = Follower(self.store, self.store, log=self.log)  # type: ignore[arg-type]  # only what it calls

    async def begin(self) -> Timeline:
        """A batch of one slide, and its timeline."""
        await self.store.create("b", BatchSubmitted(at_s=0, order=order(1)))
        return await self.follower.get("b")

    async def write(self, *events: Event) -> None:
        """Another process writes."""
        await self.store.append("b", None, events)


@asynccontextmanager
async def following(post: Post | None = None) -> AsyncIterator[Post]:
    post = post or Post()
    task = asyncio.create_task(post.follower.run())
    await asyncio.sleep(0.01)
    yield post
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def names(timeline: Timeline) -> Sequence[str]:
    return [item.name for item in timeline.feed]


ONE_SLIDE = (
    BatchStarted(at_s=1),
    SlideStarted(at_s=1, place=0, attempt=1, provider="p", model="m", bills=True, final_prompt="f"),
    SlideDone(
        at_s=3,
        place=0,
        image="i.png",
        width=16,
        height=9,
        aspect_ratio_ok=True,
        generation_time_s=2.0,
        provider="p",
        model="m",
    ),
    BatchFinished(at_s=3, total_time_s=2.0),
)


async def test_what_others_write_is_told_as_it_comes() -> None:
    async with following() as post:
        timeline = await post.begin()
        waiting = asyncio.create_task(timeline.wait_finished(timeout_s=60))
        for event in ONE_SLIDE:
            await post.write(event)
        assert await waiting
        assert names(timeline)[-1] == "batch.finished"
        assert [item.number for item in timeline.feed] == list(range(1, len(timeline.feed) + 1))
        assert post.follower.mean_slide_s() == 2.0


async def test_who_asks_is_told_what_was_written_though_no_bell_rang() -> None:
    post = Post()
    timeline = await post.begin()
    await post.write(*ONE_SLIDE)
    assert await post.follower.get("b") is timeline
    assert timeline.state.is_final


async def test_many_who_ask_at_once_are_told_each_event_once() -> None:
    async with following() as post:
        timeline = await post.begin()
        for event in ONE_SLIDE:
            await post.write(event)
            await asyncio.gather(*(post.follower.get("b") for _ in range(20)))
        assert timeline.state.seq == 1 + len(ONE_SLIDE)
        assert [item.number for item in timeline.feed] == list(range(1, len(timeline.feed) + 1))


async def test_news_that_the_store_did_not_give_are_told_a_moment_later() -> None:
    async with following() as post:
        timeline = await post.begin()
        waiting = asyncio.create_task(timeline.wait_finished(timeout_s=60))
        await asyncio.sleep(0)
        read = post.store.read

        async def fail(batch_id: str, *, after: int = 0) -> list[Event]:
            raise StoreError(f"{batch_id} after {after}")

        post.store.read = fail  # type: ignore[method-assign]
        await post.write(*ONE_SLIDE)
        await asyncio.sleep(0.5)
        assert not waiting.done()
        post.store.read = read  # type: ignore[method-assign]
        assert await waiting


async def test_log_that_lost_its_end_is_told_anew_and_readers_are_let_go() -> None:
    async with following() as post:
        timeline = await post.begin()
        await post.write(*ONE_SLIDE[:-1])
        await post.follower.get("b")
        del post.store.logs["b"][2:]
        anew = await post.follower.get("b")
        assert anew is not timeline
        assert (anew.state.seq, timeline.is_closed) == (2, True)
        assert post.log.of("log_lost_its_end")


async def test_batch_that_is_gone_is_unknown_though_it_is_remembered_here() -> None:
    async with following() as post:
        timeline = await post.begin()
        post.store.logs.clear()
        with pytest.raises(UnknownBatch):
            await post.follower.get("b")
        assert timeline.is_closed
        with pytest.raises(UnknownBatch):
            await post.follower.get("b")


async def test_time_of_a_batch_goes_on_while_nothing_is_written() -> None:
    async with following() as post:
        timeline = await post.begin()
        before_s = timeline.elapsed_s
        await asyncio.sleep(30)
        assert timeline.elapsed_s == pytest.approx(before_s + 30, abs=0.02)


async def test_log_that_was_lost_and_written_anew_is_told_anew() -> None:
    """A server that comes back without its last second: what is known here is not what is there."""
    async with following() as post:
        timeline = await post.begin()
        await post.write(*ONE_SLIDE)
        await post.follower.get("b")
        del post.store.logs["b"][2:]
        await post.write(*(replace(event, at_s=event.at_s + 9) for event in ONE_SLIDE[1:]))
        anew = await post.follower.get("b")
        assert anew is not timeline
        assert timeline.is_closed
        assert anew.state.latest_at_s == 12


async def test_record_that_was_cleaned_up_is_no_fault() -> None:
    async with following() as post:
        await post.begin()
        await post.write(*ONE_SLIDE)
        await post.follower.get("b")
        await post.store.forget_finished(before_s=10, now_s=10)
        with pytest.raises(UnknownBatch):
            await post.follower.get("b")
        assert not post.log.lines


async def test_many_news_at_once_are_read_at_once() -> None:
    async with following() as post:
        timeline = await post.begin()
        reads, read = 0, post.store.read

        async def count(batch_id: str, *, after: int = 0) -> list[Event]:
            nonlocal reads
            reads += 1
            await asyncio.sleep(0.01)
            return await read(batch_id, after=after)

        post.store.read = count  # type: ignore[method-assign]
        for event in ONE_SLIDE:
            await post.write(event)
        for _ in range(20):
            await post.write(SlideCharged(at_s=4, place=0, cost_usd=0.01))
        await asyncio.sleep(1)
        assert timeline.state.seq == 25
        assert reads <= 5


async def test_doorbell_that_breaks_down_is_listened_to_again() -> None:
    post = Post()
    listen, breaks = post.store.listen, [True]

    async def break_down() -> AsyncGenerator[Ring | Missed, None]:
        if breaks:
            breaks.pop()
            raise ZeroDivisionError
        async for news in listen():
            yield news

    post.store.listen = break_down  # type: ignore[method-assign]
    async with following(post):
        timeline = await post.begin()
        await asyncio.sleep(2)
        await post.write(*ONE_SLIDE)
        assert await timeline.wait_finished(timeout_s=1)
        assert post.log.of("doorbell_failed")


async def test_many_who_ask_for_a_log_that_lost_its_end_are_told_on_all() -> None:
    async with following() as post:
        await post.begin()
        await post.write(*ONE_SLIDE[:-1])
        await post.follower.get("b")
        del post.store.logs["b"][2:]
        read, waits_s = post.store.read, [0.3, 0.2, 0.1]

        async def read_late(batch_id: str, *, after: int = 0) -> list[Event]:
            log = await read(batch_id, after=after)
            await asyncio.sleep(waits_s.pop() if waits_s else 0)
            return log

        post.store.read = read_late  # type: ignore[method-assign]
        asked = await asyncio.gather(*(post.follower.get("b") for _ in range(3)))
        await post.write(*ONE_SLIDE[1:])
        await asyncio.sleep(1)
        assert all(timeline.state.is_final for timeline in asked)
