"""Readers of one batch: from any number on, each at its own pace."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from slideloom.domain.feed import FeedItem
from slideloom.engine.timeline import Timeline
from tests.support.orders import order
from tests.support.parts import ScriptedProvider, Workshop


async def read_to_end(timeline: Timeline, *, after: int = 0) -> list[int]:
    """The numbers a reader sees until the batch has ended."""
    seen: list[int] = []
    async for items in timeline.watch(after=after):
        seen += [item.number for item in items]
        if any(item.name == "batch.finished" for item in items):
            break
    return seen


async def test_reader_from_the_start_and_one_that_comes_late_see_the_same() -> None:
    async with Workshop(ScriptedProvider(seconds=5)) as shop:
        timeline = await shop.engine.submit(order(6, max_workers=2))
        early = asyncio.create_task(read_to_end(timeline))
        await asyncio.sleep(7)
        late = asyncio.create_task(read_to_end(timeline))
        behind = asyncio.create_task(read_to_end(timeline, after=5))
        assert await early == await late == list(range(1, len(timeline.feed) + 1))
        assert (await behind)[0] == 6


async def test_slow_reader_holds_nobody_up_and_misses_nothing() -> None:
    async def crawl(timeline: Timeline) -> list[int]:
        seen: list[int] = []
        async for items in timeline.watch(after=0):
            seen += [item.number for item in items]
            await asyncio.sleep(100)
            if seen[-1] == len(timeline.feed):
                break
        return seen

    async with Workshop(ScriptedProvider(seconds=1)) as shop:
        timeline = await shop.engine.submit(order(9, max_workers=3))
        slow = asyncio.create_task(crawl(timeline))
        assert await timeline.wait_finished(timeout_s=10)
        assert await slow == list(range(1, len(timeline.feed) + 1))


async def test_numbers_are_the_same_after_the_record_was_read_again() -> None:
    async with Workshop() as shop:
        timeline = await shop.engine.submit(order(3))
        await timeline.wait_finished(timeout_s=10)
        batch_id = timeline.state.batch_id
        again = Timeline.replay(batch_id, shop.store.logs[batch_id])
        assert [(i.number, i.to_json("en")) for i in again.feed] == [
            (i.number, i.to_json("en")) for i in timeline.feed
        ]


async def test_reader_of_an_ended_batch_sees_it_made_again() -> None:
    async with Workshop() as shop:
        timeline = await shop.engine.submit(order(2))
        await timeline.wait_finished(timeout_s=10)
        told = len(timeline.feed)
        shop.runs.roster.forget_ended()
        reader = asyncio.create_task(read_to_end(timeline, after=told))
        await asyncio.sleep(1)
        await shop.engine.regenerate(timeline.state.batch_id, "slide-1")
        assert await reader == list(range(told + 1, len(timeline.feed) + 1))
        assert timeline.state.slides[0].versions[1:]


async def test_stop_lets_every_reader_go() -> None:
    async with Workshop(ScriptedProvider(seconds=100)) as shop:
        running = await shop.engine.submit(order(1))
        ended = await shop.engine.submit(order(1))
        await shop.engine.cancel(ended.state.batch_id)
        readers = [
            asyncio.create_task(watch_all(timeline)) for timeline in (running, ended, running)
        ]
        await asyncio.sleep(1)
        await shop.engine.stop(grace_s=0)
        await asyncio.wait_for(asyncio.gather(*readers), 1)


async def test_batch_that_is_taken_up_again_is_waited_for_again() -> None:
    async with Workshop(ScriptedProvider(seconds=100)) as shop:
        timeline = await shop.engine.submit(order(1))
        timeline.close()
        assert await timeline.wait_finished(timeout_s=1)
        timeline.open()
        assert not await timeline.wait_finished(timeout_s=1)


async def watch_all(timeline: Timeline) -> list[Sequence[FeedItem]]:
    return [items async for items in timeline.watch(after=0)]


async def test_reader_may_leave() -> None:
    async with Workshop(ScriptedProvider(seconds=100)) as shop:
        timeline = await shop.engine.submit(order(1))
        gone = asyncio.get_running_loop().create_future()
        async for items in timeline.watch(after=0, until=gone):
            if items[-1].name == "slide.started":
                gone.set_result(None)


async def test_listener_that_breaks_keeps_no_other_from_the_news() -> None:
    async with Workshop(ScriptedProvider(seconds=1)) as shop:
        timeline = await shop.engine.submit(order(1))
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: faults.append(told))
        told = Counter[int]()

        def listen(number: int) -> None:
            def tell() -> None:
                told[number] += 1
                if number % 2:
                    raise ValueError

            timeline.listen(tell)

        for number in range(6):
            listen(number)
        await timeline.wait_finished(timeout_s=60)
        await asyncio.sleep(1)
        assert len(set(told.values())) == 1
        assert len(faults) == 3 * told[0]
