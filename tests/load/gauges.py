"""What is read of the service from outside: `/metrics`, and what the kernel counts."""

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from msgspec import Struct

from tests.support.crowds import list_descriptors

_SAMPLE = re.compile(r"^(\w+)(?:\{le=\"([^\"]+)\"\})? (\S+)$", re.MULTILINE)
_LAG = "event_loop_lag_seconds"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_MB = 1024 * 1024
_SETTLE_EVERY_S = 1.0
_MEMORY_EVERY_S = 1.0


class Gauges(Struct, frozen=True, kw_only=True):
    """The service at one moment."""

    lags: dict[float, float]
    """Upper bound in seconds → how often the loop's lag was below."""
    tasks: int
    files: int
    """Open descriptors."""
    memory_mb: float
    """Resident."""
    cpu_s: float
    waited_s: float
    """For a processor, by its main thread: the machine's doing, not the service's."""

    def find_lag_ms(self, since: "Gauges", share: float) -> float:
        """The bound below which that share of the loop's lags since then was, in ms."""
        counts = {bound: count - since.lags[bound] for bound, count in self.lags.items()}
        wanted = share * counts[float("inf")]
        return min(bound for bound, count in counts.items() if count >= wanted) * 1000


class Probe:
    """Looks at one process."""

    def __init__(self, url: str, pid: int, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._pid = pid
        self._session = session

    async def read(self) -> Gauges:
        """Look once."""
        async with self._session.get(f"{self._url}/metrics") as answer:
            text = await answer.text()
        lags, tasks = {}, 0.0
        for name, bound, value in _SAMPLE.findall(text):
            if name == f"{_LAG}_bucket":
                lags[float(bound)] = float(value)
            elif name == "asyncio_tasks":
                tasks = float(value)
        return Gauges(
            lags=lags,
            tasks=int(tasks),
            files=list_descriptors(self._pid).total(),
            memory_mb=self._read_memory_mb(),
            cpu_s=self._read_cpu_s(),
            waited_s=self._read_waited_s(),
        )

    async def settle(self, before: Gauges, *, within_s: float) -> Gauges:
        """The gauges once tasks and descriptors are where they were, or after that time."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        while True:
            now = await self.read()
            is_back = now.tasks <= before.tasks and now.files <= before.files
            if is_back or loop.time() > until_s:
                return now
            await asyncio.sleep(_SETTLE_EVERY_S)

    async def watch_memory(self, into: list[tuple[float, float]]) -> None:
        """Put seconds and resident MB there, without end."""
        loop = asyncio.get_running_loop()
        while True:
            into.append((loop.time(), self._read_memory_mb()))
            await asyncio.sleep(_MEMORY_EVERY_S)

    def _read_memory_mb(self) -> float:
        return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * _PAGE_BYTES / _MB

    def _read_cpu_s(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def _read_waited_s(self) -> float:
        return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[1]) / 1e9


def find_slope(points: Sequence[tuple[float, float]]) -> float:
    """How much the second rises for each of the first, by least squares."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
