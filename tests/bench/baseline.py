"""The plain way: httpx, the whole body in memory, `json`, `base64.b64decode`, one write."""

import asyncio
import base64
import json
import uuid
from pathlib import Path

import httpx


async def fetch_all(base_url: str, count: int, folder: Path, *, concurrency: int) -> None:
    """Fetch `count` pictures into `folder`, `concurrency` at a time."""
    slots = asyncio.Semaphore(concurrency)
    limits = httpx.Limits(max_connections=concurrency)
    headers = {"Authorization": "Bearer bench"}
    async with httpx.AsyncClient(timeout=120, limits=limits, headers=headers) as client:

        async def fetch(number: int) -> None:
            async with slots:
                answer = await client.post(
                    f"{base_url}/images", json={"model": "m", "prompt": f"page {number}"}
                )
                item = json.loads(answer.content)["data"][0]
                picture = base64.b64decode(item["b64_json"])
                (folder / f"{uuid.uuid4().hex}.png").write_bytes(picture)

        await asyncio.gather(*(fetch(number) for number in range(count)))
