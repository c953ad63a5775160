"""A process that runs "batches" off a Redis queue and keeps a diary of it.

An id says what its batch does: `pause@0.5` takes half a second, `broken@0` fails.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import structlog
from msgspec import Struct

from slideloom.logs import Log
from slideloom.queues.redis import RedisRunner

IDLE_TIMEOUT_S = 2.0
"""Of these workers: take-over takes up to 1.25 times that."""


def _drop(*_: object) -> NoReturn:
    raise structlog.DropEvent


def silent_log() -> Log:
    """A log that nobody reads."""
    logger: Log = structlog.wrap_logger(
        None, processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return logger


class Entry(Struct, frozen=True):
    """One line of the diary."""

    pid: int
    batch_id: str
    what: str
    """`began`, `ended`, `cancelled` or `abandoned`."""
    at_s: float
    """On the clock that all processes share."""


class Diary:
    """Which process began and ended what, and when; all write to one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, batch_id: str, what: str) -> None:
        line = f"{os.getpid()} {batch_id} {what} {time.monotonic()}\n"
        with self._path.open("a") as file:
            file.write(line)

    def read(self, what: str, batch_id: str = "") -> list[Entry]:
        """Its lines of that kind, of one batch or of all."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        entries = [
            Entry(int(pid), name, kind, float(at_s))
            for pid, name, kind, at_s in (line.split() for line in lines)
        ]
        return [one for one in entries if one.what == what and batch_id in {"", one.batch_id}]

    async def wait(
        self, what: str, batch_id: str = "", *, count: int = 1, timeout_s: float = 30.0
    ) -> list[Entry]:
        """Its lines of that kind, once there are so many."""
        async with asyncio.timeout(timeout_s):
            while len(found := self.read(what, batch_id)) < count:
                await asyncio.sleep(0.005)
        return found

    async def run(self, batch_id: str) -> None:
        """What the workers do with a batch."""
        self.write(batch_id, "began")
        name, _, pause_s = batch_id.partition("@")
        try:
            await asyncio.sleep(float(pause_s))
        except asyncio.CancelledError:
            self.write(batch_id, "cancelled")
            raise
        if name.startswith("broken"):
            raise RuntimeError(batch_id)
        self.write(batch_id, "ended")

    async def abandon(self, batch_id: str) -> None:
        """What they do with one that they give up."""
        self.write(batch_id, "abandoned")


@contextlib.contextmanager
def queue_worker(url: str, path: Path, *, concurrency: int = 10) -> Iterator[subprocess.Popen[str]]:
    """A worker process that takes batches; killed at the end, if it still is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.queue_worker", url, path, str(concurrency)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


async def _work(url: str, path: Path, concurrency: int) -> None:
    """Work until SIGTERM; then give 0.2 s to what runs."""
    queue = await RedisRunner.open_runner(
        url, concurrency=concurrency, log=silent_log(), idle_timeout_s=IDLE_TIMEOUT_S
    )
    queue.serve(Diary(path).run)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print("ready", flush=True)  # noqa: T201 - its parent waits for that
    await stopped.wait()
    await queue.drain(timeout_s=0.2)
    await queue.stop()
    await queue.close()


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
