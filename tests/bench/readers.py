"""A thousand readers of one batch's events: how soon all have each, and what one costs.

Beside two plain services that send as many bytes as often: a queue for each reader (the
usual way), and a loop that hands the bytes to each connection (the floor).
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from msgspec import Struct

from tests.bench.meter import Meter
from tests.bench.service import started_service
from tests.support.readers import Heard, hear_out, open_readers
from tests.support.upstream import Plan, spawn_upstream

READERS = 1000
_SLIDES = 20
_KIB = 1024


class Audience(Struct, frozen=True):
    """What one run gave."""

    events: list[Heard]
    kib_each: float
    """Resident memory of the service for each reader."""
    cpu_us: float
    """Of the service, for each reader and event."""

    def spreads_ms(self) -> list[float]:
        """Of each event, but for those that were there already, in rising order."""
        return sorted(one.spread_ms for one in self.events if one.number > 1)


async def measure_ours(folder: Path, *, readers: int = READERS) -> tuple[Audience, list[float]]:
    """A batch of twenty, and that many who watch it.

    Returns:
        What they had; and of each picture, the milliseconds from its last byte on the disk
        until the last reader was told.
    """
    async with (
        spawn_upstream() as upstream,
        started_service(
            folder,
            LLM_IMAGE_API_KEY="bench",
            LLM_IMAGE_API_BASE=upstream.base_url,
            LLM_IMAGE_API="images",
        ) as service,
        aiohttp.ClientSession() as client,
    ):
        await upstream.reset(Plan(image_bytes=1024 * _KIB, latency_s=2.5, record_bodies=False))
        body = {
            "slides": [{"title": f"page {number}"} for number in range(_SLIDES)],
            "style_prompt": "bench",
            "max_workers": 1,
            "cache": False,
        }
        headers = {"Prefer": "respond-async"}
        generate = f"{service.url}/api/slide/batch/generate"
        async with client.post(generate, json=body, headers=headers) as answer:
            batch_id = (await answer.json())["batch_id"]
        meter = Meter(service.pid)
        path = f"/api/slide/batch/{batch_id}/events"
        sockets = await asyncio.to_thread(open_readers, service.url, path, readers)
        await upstream.reset(Plan(image_bytes=1024 * _KIB, latency_s=0.15, record_bodies=False))
        kib_each = meter.read().peak_bytes / _KIB / readers
        meter = Meter(service.pid)
        events = await asyncio.to_thread(hear_out, sockets)
        cpu_us = meter.read().cpu_s * 1e6 / readers / len(events)
        for reader in sockets:
            reader.close()
        assets = folder / "static" / "assets"
        saved_ms = [
            (one.last_s - (assets / one.image).stat().st_mtime) * 1000
            for one in events
            if one.image is not None
        ]
        return Audience(events, kib_each, cpu_us), sorted(saved_ms)


@asynccontextmanager
async def _plain_service(kind: str) -> AsyncIterator[tuple[str, int]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.readers_plain", kind), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), process.pid
    finally:
        process.terminate()
        await process.wait()


async def measure_plain(kind: str, *, readers: int = READERS) -> Audience:
    """The same by a plain service: `queue` or `direct`."""
    async with _plain_service(kind) as (url, pid), aiohttp.ClientSession() as client:
        (await client.get(f"{url}/events", timeout=aiohttp.ClientTimeout(1))).close()
        await asyncio.sleep(0.2)
        meter = Meter(pid)
        sockets = await asyncio.to_thread(open_readers, url, "/events", readers)
        await asyncio.sleep(0.3)
        kib_each = meter.read().peak_bytes / _KIB / readers
        async with client.post(f"{url}/begin") as answer:
            await answer.read()
        meter = Meter(pid)
        events = await asyncio.to_thread(hear_out, sockets)
        cpu_us = meter.read().cpu_s * 1e6 / readers / len(events)
        for reader in sockets:
            reader.close()
        return Audience(events, kib_each, cpu_us)


async def main(rounds: int = 3) -> None:
    """Print the table."""
    rows: dict[str, list[Audience]] = {"ours": [], "queue": [], "direct": []}
    saved_ms: dict[int, list[float]] = {1: [], READERS: []}
    for _ in range(rounds):
        for readers, found_ms in saved_ms.items():
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                ours, saved = await measure_ours(Path(folder), readers=readers)
            found_ms.extend(saved)
        rows["ours"].append(ours)
        for kind in ("queue", "direct"):
            rows[kind].append(await measure_plain(kind))
    columns = "missed  median ms   worst ms  / direct   CPU us  KiB each"
    print(f"\n{'events to 1,000 readers':34} {columns}")
    floor_ms = _median([ms for run in rows["direct"] for ms in run.spreads_ms()])
    for name, runs in rows.items():
        print(_row(name, runs, floor_ms))
    for readers, found_ms in saved_ms.items():
        said = f"from the picture's last byte to the last of {readers} readers"
        print(f"{said}: median {_median(found_ms):.0f} ms, worst {max(found_ms):.0f} ms")


def _row(name: str, runs: list[Audience], floor_ms: float) -> str:
    spreads_ms = [ms for run in runs for ms in run.spreads_ms()]
    missed = sum(READERS - one.readers for run in runs for one in run.events)
    return (
        f"{name:34} {missed:6} {_median(spreads_ms):10.1f} {max(spreads_ms):10.1f}"
        f" {_median(spreads_ms) / floor_ms:9.2f} {_median([run.cpu_us for run in runs]):8.1f}"
        f" {_median([run.kib_each for run in runs]):9.1f}"
    )


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    asyncio.run(main())
