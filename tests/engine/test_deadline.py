"""A time budget that can be closed and cut."""

import asyncio

import pytest

from slideloom.clock import monotonic_s
from slideloom.engine.deadline import Deadline, TimeUp


async def test_time_that_is_up_ends_waiting_and_calling() -> None:
    deadline = Deadline()
    deadline.start(5)
    with pytest.raises(TimeUp) as end:
        async with deadline.calling():
            await asyncio.sleep(100)
    assert end.value.code == "batch_timeout"
    assert monotonic_s() == pytest.approx(5)
    with pytest.raises(TimeUp):
        async with deadline.waiting():
            pass


async def test_closing_ends_waiting_and_lets_calls_go_on() -> None:
    deadline = Deadline()
    deadline.start(100)

    async def wait() -> None:
        async with deadline.waiting():
            await asyncio.sleep(50)

    async def call() -> float:
        async with deadline.calling():
            await asyncio.sleep(50)
        return monotonic_s()

    waiting, calling = asyncio.create_task(wait()), asyncio.create_task(call())
    await asyncio.sleep(1)
    deadline.close("interrupted")
    with pytest.raises(TimeUp) as end:
        await waiting
    assert end.value.code == "interrupted"
    assert await calling == pytest.approx(50)


async def test_cut_ends_calls_too_and_may_come_again_at_any_moment() -> None:
    deadline = Deadline()
    deadline.start(10)

    async def call() -> None:
        async with deadline.calling():
            await asyncio.sleep(50)

    calls = [asyncio.create_task(call()) for _ in range(3)]
    await asyncio.sleep(10)  # the very moment at which the time is up
    for _ in range(3):
        deadline.cut("interrupted")
        await asyncio.sleep(0)
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, TimeUp) for end in ends)


async def test_other_timeouts_inside_stay_what_they_are() -> None:
    deadline = Deadline()
    with pytest.raises(TimeoutError):
        async with deadline.calling(), asyncio.timeout(1):
            await asyncio.sleep(50)
