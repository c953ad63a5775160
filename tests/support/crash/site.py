"""One folder in which a real process is started, killed and started again."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path

from slideloom.stores.drafts import PART_PREFIX
from tests.support.process import SLIDELOOM, serve_environ

_READY_S = 60.0
"""For a start on a busy machine."""
_STOP_S = 60.0


class NotServing(Exception):
    """The service ended before it was ready; the text is what it said."""


class Site:
    """The folder, and the process that works out of it, if there is one."""

    def __init__(
        self, folder: Path, *, program: Sequence[str] = (SLIDELOOM, "serve"), **settings: object
    ) -> None:
        """`settings` are environment names; `PORT` is a free one each time."""
        self.folder = folder
        self.url = ""
        """Where it serves, if it does."""
        self._program = program
        self._environ = serve_environ(**{"PORT": 0} | settings)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def assets(self) -> Path:
        """Where the pictures are."""
        return self.folder / "static" / "assets"

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.folder / "data" / "slideloom.sqlite3"

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._running.pid

    @property
    def is_up(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.returncode is None

    async def spawn(self, tracer: Sequence[str] = ()) -> None:
        """Start the process, under `tracer` if there is one, in a group of its own."""
        self._process = await asyncio.create_subprocess_exec(
            *tracer,
            *self._program,
            cwd=self.folder,
            env=self._environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    async def wait_ready(self) -> None:
        """Wait for the line that says what it does, and where.

        Raises:
            NotServing: it ended instead.
        """
        assert self._running.stdout is not None
        async with asyncio.timeout(_READY_S):
            greeting = (await self._running.stdout.readline()).decode()
            if not greeting.startswith("Slideloom "):
                said = greeting + (await self._running.stdout.read()).decode()
                await self._running.wait()
                raise NotServing(said)
        found = re.search(r"http://\S+", greeting)
        self.url = found[0] if found else ""

    async def start(self) -> None:
        """Spawn, and wait until it is ready."""
        await self.spawn()
        await self.wait_ready()

    async def wait_ended(self) -> int:
        """Wait until the process is no more, whoever ends it; its exit code."""
        return await self._running.wait()

    def strike(self) -> None:
        """`kill -9`; also a tracer that started the process."""
        if self.is_up:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def kill(self) -> None:
        """`kill -9`, and wait until it is dead."""
        if self.is_up:
            self.strike()
            await self._running.wait()

    def send(self, signal_number: int) -> None:
        """Have it frozen, or go on, say."""
        self._running.send_signal(signal_number)

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        self.send(signal.SIGTERM)

    async def stop(self) -> int:
        """Stop it in order; the exit code."""
        self.ask_to_stop()
        async with asyncio.timeout(_STOP_S):
            return await self._running.wait()

    def list_parts(self) -> set[Path]:
        """What lies half-written among pictures and logs."""
        return {path for path in self.folder.rglob(f"{PART_PREFIX}*") if path.is_file()}

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "it was never started"
        return self._process
