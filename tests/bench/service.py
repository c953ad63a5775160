"""The whole service in its own process, between an emulated provider and a client."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from tests.bench.meter import Cost, Meter

_POLL_EVERY_S = 0.05


class Batches(Struct, frozen=True, kw_only=True):
    """What one measured load gave."""

    wall_s: float
    """Until the last batch had ended."""
    cost: Cost
    lost: int
    """Slides without a picture."""
    status_p99_ms: float
    """Of a status request, asked all the while."""


class Service:
    """A started service."""

    def __init__(self, url: str, pid: int, client: aiohttp.ClientSession) -> None:
        self.url = url
        self.pid = pid
        self._client = client

    async def run(self, *, batches: int, slides: int, workers: int) -> Batches:
        """That many batches at once, with their status polled."""
        meter = Meter(self.pid)
        started_s = time.perf_counter()
        done = asyncio.Event()
        polling = asyncio.create_task(self._poll(done), name="poll")
        answers = await asyncio.gather(
            *(self._generate(slides=slides, workers=workers) for _ in range(batches))
        )
        wall_s = time.perf_counter() - started_s
        done.set()
        times_ms = sorted(await polling)
        return Batches(
            wall_s=wall_s,
            cost=meter.read(),
            lost=sum(answer["failed"] for answer in answers),
            status_p99_ms=times_ms[int(len(times_ms) * 0.99)],
        )

    async def _generate(self, *, slides: int, workers: int) -> Any:
        body = {
            "slides": [{"title": f"page {number}"} for number in range(slides)],
            "style_prompt": "bench",
            "max_workers": workers,
            "cache": False,
        }
        async with self._client.post(f"{self.url}/api/slide/batch/generate", json=body) as answer:
            return await answer.json()

    async def _poll(self, done: asyncio.Event) -> list[float]:
        """Milliseconds of each status request of the newest batch, until `done`."""
        await asyncio.sleep(0.03)
        async with self._client.get(f"{self.url}/api/slide/batch?limit=1") as answer:
            batch_id = (await answer.json())["batches"][0]["batch_id"]
        times_ms = []
        while not done.is_set():
            started_s = time.perf_counter()
            async with self._client.get(f"{self.url}/api/slide/batch/{batch_id}") as answer:
                await answer.read()
            times_ms.append((time.perf_counter() - started_s) * 1000)
            await asyncio.sleep(_POLL_EVERY_S)
        return times_ms


@asynccontextmanager
async def started_service(folder: Path, **settings: object) -> AsyncIterator[Service]:
    """`slideloom serve` in `folder`; a first small batch has warmed it up."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("slideloom")),
        "serve",
        cwd=folder,
        env={**os.environ, "PORT": "0", **{name: str(value) for name, value in settings.items()}},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    greeting = (await process.stdout.readline()).decode()
    found = re.search(r"http://\S+", greeting)
    assert found is not None, greeting
    try:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=120),
            connector=aiohttp.TCPConnector(limit=0),
        ) as client:
            service = Service(found[0], process.pid, client)
            await service._generate(slides=20, workers=20)
            yield service
    finally:
        process.terminate()
        await process.wait()
