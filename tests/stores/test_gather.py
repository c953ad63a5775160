"""An executor whose thread makes many small writes in one turn."""

import asyncio
import threading
import time

import pytest

from slideloom.stores.gather import GatheringExecutor


async def test_what_is_handed_in_while_the_thread_is_busy_is_done_in_one_more_turn() -> None:
    executor, loop = GatheringExecutor(), asyncio.get_running_loop()
    done: list[int] = []
    await asyncio.gather(
        loop.run_in_executor(executor, time.sleep, 0.05),
        *(loop.run_in_executor(executor, done.append, number) for number in range(50)),
    )
    assert done == list(range(50))
    executor.shutdown()


async def test_each_caller_gets_its_own_result_or_error() -> None:
    executor, loop = GatheringExecutor(), asyncio.get_running_loop()
    ends = await asyncio.gather(
        loop.run_in_executor(executor, divmod, 7, 2),
        loop.run_in_executor(executor, divmod, 7, 0),
        loop.run_in_executor(executor, threading.get_ident),
        return_exceptions=True,
    )
    assert ends[0] == (3, 1)
    assert isinstance(ends[1], ZeroDivisionError)
    assert ends[2] != threading.get_ident()
    executor.shutdown()


async def test_work_whose_caller_has_gone_before_it_began_is_left_out() -> None:
    executor, loop = GatheringExecutor(), asyncio.get_running_loop()
    done: list[str] = []
    busy = loop.run_in_executor(executor, time.sleep, 0.05)
    gone = loop.run_in_executor(executor, done.append, "gone")
    stays = loop.run_in_executor(executor, done.append, "stays")
    gone.cancel()
    await asyncio.gather(busy, stays)
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert done == ["stays"]
    executor.shutdown()
