"""What several processes cost beside one: images a second of a provider that takes no time.

`python -m tests.bench.cluster`; all in one run, on one machine: with more processes than processors
the figures tell what is lost, not what is won.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct

from tests.bench.meter import Meter
from tests.bench.service import started_service
from tests.support.redis_server import redis_server
from tests.support.upstream import Plan, RemoteUpstream, spawn_upstream

_BATCHES, _SLIDES, _AT_ONCE = 10, 20, 20
_IMAGE_BYTES = 100 * 1024


class Run(Struct, frozen=True):
    """What one load gave."""

    wall_s: float
    cpu_s: float
    """Of all our processes; the provider, Redis and the client apart."""
    lost: int


async def measure(upstream: RemoteUpstream, *, workers: int) -> Run:
    """Ten decks of twenty at once; no workers: everything in one process."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        settings: dict[str, object] = {
            "LLM_IMAGE_API_KEY": "bench",
            "LLM_IMAGE_API_BASE": upstream.base_url,
            "LLM_IMAGE_API": "images",
            "BATCH_MAX_WORKERS": 200,
            "LANE_START": 200,
        }
        pids: list[int] = []
        if workers:
            (folder / "redis").mkdir()
            redis = stack.enter_context(redis_server(folder / "redis"))
            settings |= {"STORE": redis.url, "QUEUE": redis.url}
            pids += [
                await stack.enter_async_context(_started_worker(folder, settings))
                for _ in range(workers)
            ]
        service = await stack.enter_async_context(started_service(folder, **settings))
        meters = [Meter(pid) for pid in (*pids, service.pid)]
        found = await service.run(batches=_BATCHES, slides=_SLIDES, workers=_AT_ONCE)
        return Run(found.wall_s, sum(meter.read().cpu_s for meter in meters), found.lost)


@asynccontextmanager
async def _started_worker(folder: Path, settings: dict[str, object]) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("slideloom")),
        "worker",
        cwd=folder,
        env={**os.environ, **{name: str(value) for name, value in settings.items()}},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def main(rounds: int = 3) -> None:
    """Print the table."""
    if shutil.which("redis-server") is None:
        print("cluster: redis-server is not installed")
        return
    runs: dict[int, list[Run]] = {0: [], 1: [], 2: [], 4: []}
    async with spawn_upstream() as upstream:
        await upstream.reset(Plan(image_bytes=_IMAGE_BYTES, latency_s=0.0, record_bodies=False))
        for _ in range(rounds):
            for workers, found in runs.items():
                found.append(await measure(upstream, workers=workers))
    slides = _BATCHES * _SLIDES
    alone_s = _median([run.wall_s for run in runs[0]])
    print(
        f"\n{'10 decks x 20, 100 KiB, no latency':36} images/s  / one  more ms/slide  CPU ms  lost"
    )
    for workers, found in runs.items():
        wall_s = _median([run.wall_s for run in found])
        cpu_ms = _median([run.cpu_s for run in found]) * 1000 / slides
        name = f"one API, {workers} workers" if workers else "one process, embedded"
        print(
            f"{name:36} {slides / wall_s:8.0f} {alone_s / wall_s:6.2f}"
            f" {(wall_s - alone_s) * 1000 / slides:14.1f} {cpu_ms:7.1f}"
            f" {sum(run.lost for run in found):5}"
        )


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    asyncio.run(main())
