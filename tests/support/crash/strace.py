"""System calls at which the service is killed, or is told of an error: strace plays them."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from tests.support.crash.site import Site

_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_ATTACH_S = 20.0
_DYING_S = 0.2
"""From the last word of a process that is killed until it is gone."""
KILL = "signal=KILL"
HOLD = "delay_enter=60s"
"""The thread waits, all others go on: whatever is told too early is told now."""
_WRITTEN = re.compile(r" pwrite64\(.*, \d+, (\d+)(?:\)| <)")
_SYNCED = re.compile(r"fdatasync(?:\(| resumed).* = 0")
_STILL_S = 0.02
_STILL_TIMES = 3
"""A thread that is found stopped so often waits; each call stops it for a moment."""


class Point(Struct, frozen=True, kw_only=True):
    """The n-th call of one sort in any one thread: strace counts each thread's by itself."""

    call: str
    n: int
    path: str = ""
    """Only those on this file, relative to the site's folder."""
    what: str = KILL
    """What happens there, instead of the call or before it."""

    def __str__(self) -> str:
        """For people."""
        where = f" of {self.path}" if self.path else ""
        return f"{self.call}{where} number {self.n}: {self.what}"


def tracer(point: Point, site: Site) -> list[str]:
    """The command in front of, or beside, what is to be traced."""
    where = ["-P", str(site.folder / point.path)] if point.path else []
    calls = point.call if point.what != HOLD else f"{point.call},pwrite64,fdatasync"
    return [
        *("strace", "-f", "-o", str(_to_trace(site))),
        *where,
        *("-e", f"trace={calls}", "-e", "signal=none"),
        *("-e", f"inject={point.call}:{point.what}:when={point.n}"),
    ]


async def wait_held(site: Site) -> None:
    """Wait until a thread is held at its point."""
    held: set[str] = set()
    while not held:
        held = _list_stopped(site)
        for _ in range(_STILL_TIMES):
            await asyncio.sleep(_STILL_S)
            held &= _list_stopped(site)


def _list_stopped(site: Site) -> set[str]:
    """The threads of the service that a tracer keeps from going on."""
    stopped = set()
    for thread in Path(f"/proc/{site.pid}/task").glob("*"):
        with contextlib.suppress(OSError):  # it has just ended
            state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
            stopped |= {thread.name} if state == "t" else set()
    return stopped


def find_unsynced(site: Site) -> int | None:
    """Where the first byte lies that was written to the traced file since its last sync."""
    unsynced: list[int] = []
    for line in _to_trace(site).read_text(errors="replace").splitlines():
        if (written := _WRITTEN.search(line)) is not None:
            unsynced.append(int(written[1]))
        elif _SYNCED.search(line) is not None:
            unsynced.clear()
    return min(unsynced, default=None)


def was_played(site: Site) -> bool:
    """Whether the last traced process came to its point, and lived on."""
    return "(INJECTED)" in _to_trace(site).read_text(errors="replace")


def _to_trace(site: Site) -> Path:
    return site.folder / "strace.txt"


def find_hindrance() -> str:
    """Why nothing can be traced here; empty when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    if os.geteuid() != 0 and _YAMA.exists() and _YAMA.read_text().strip() != "0":
        return "strace may not attach to a running process here (ptrace_scope)"
    return ""


@asynccontextmanager
async def attached(point: Point, site: Site) -> AsyncIterator[asyncio.subprocess.Process]:
    """Have the point played in the running service, counted from here on; the tracer."""
    process = await asyncio.create_subprocess_exec(
        *tracer(point, site),
        "-p",
        str(site.pid),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(_ATTACH_S):
            said = await process.stderr.readline()
        assert b"attached" in said, said
        yield process
    finally:
        await _let_go(process, site)


async def _let_go(process: asyncio.subprocess.Process, site: Site) -> None:
    """A tracer ends with what it traces, or when it is told.

    Told while that dies, it waits for the first thread, which waits for the others, for ever.
    """
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(site.wait_ended(), _DYING_S)
    if site.is_up and process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.communicate(), _ATTACH_S)
    except TimeoutError:
        process.kill()
        await process.communicate()
