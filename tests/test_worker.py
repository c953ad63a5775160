"""A worker's orderly end, and what `slideloom worker` refuses."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from slideloom.worker import Signals, run_worker
from tests.support.process import SLIDELOOM, serve_environ


class Engine:
    """Stops when it is told to, with the grace that it got."""

    def __init__(self) -> None:
        self.graces_s: list[float] = []
        self.may_end = asyncio.Event()

    async def stop(self, *, grace_s: float) -> None:
        self.graces_s.append(grace_s)
        if not grace_s:
            self.may_end.set()
        await self.may_end.wait()


@pytest.fixture(autouse=True)
def kept_handlers() -> object:
    """Give the test runner its signals back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


async def start(engine: Engine) -> tuple["asyncio.Task[None]", list[str]]:
    said: list[str] = []
    signals = Signals()
    work = asyncio.create_task(
        run_worker(engine, signals, grace_s=30.0, announce_stop=lambda: said.append("stopping"))
    )
    await asyncio.sleep(0)
    return work, said


async def test_the_first_signal_stops_in_order() -> None:
    engine = Engine()
    work, said = await start(engine)
    assert not said
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.02)
    assert (engine.graces_s, said, work.done()) == ([30.0], ["stopping"], False)
    engine.may_end.set()
    await work


async def test_a_second_signal_stops_now_and_a_third_is_no_crash() -> None:
    engine = Engine()
    work, said = await start(engine)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)
    await work
    assert (engine.graces_s, said) == ([30.0, 0.0], ["stopping"])
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.02)


@pytest.mark.slow
def test_a_worker_without_a_queue_is_refused_in_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        [SLIDELOOM, "worker"],
        cwd=tmp_path,
        env=serve_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("slideloom: a worker needs STORE and QUEUE: ")
    assert ended.stderr.count("\n") == 1
