"""Pictures are saved while a batch runs."""

import asyncio
from pathlib import Path

from slideloom.cli.saving import saving
from slideloom.client import AsyncClient
from tests.support.orders import deck
from tests.support.service import Running


async def test_what_was_done_before_is_saved_without_an_event(
    service: Running, tmp_path: Path
) -> None:
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(1))
        await batch.wait()
        async with saving(batch, tmp_path / "out"), asyncio.timeout(5):
            while not (tmp_path / "out/slide_001.png").exists():
                await asyncio.sleep(0.01)
