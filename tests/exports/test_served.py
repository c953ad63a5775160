"""Decks taken home from a served process: its memory, its other answers, clients that go away."""

import asyncio
import io
import signal
import time
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import pypdfium2
import pytest
from msgspec import Struct
from pptx import Presentation

from tests.bench.meter import Meter
from tests.support.crowds import (
    PATIENCE_S,
    crowd_deck,
    crowd_session,
    fetch,
    find_tracebacks,
    list_descriptors,
    paid_settings,
    serving,
    stop,
    stretch,
    submit,
    wait_idle,
)
from tests.support.process import Served
from tests.support.upstream import Plan, spawn_upstream

pytestmark = pytest.mark.slow

_MB: Final = 1024 * 1024
_SLIDES = 30
_PICTURE_MB = 4
_READ_MB_PER_S = 40.0
"""Of a slow reader: it takes three seconds for the deck."""


class Kept(Struct, frozen=True):
    """A served process that has rested since its decks were made."""

    service: Served
    session: aiohttp.ClientSession
    large_id: str
    """Thirty pictures of 4 MiB."""
    small_id: str
    """One small picture."""

    def url(self, batch_id: str, kind: str) -> str:
        """Of a deck to take home."""
        return f"{self.service.url}/api/slide/batch/{batch_id}/export.{kind}"

    async def export(self, batch_id: str, kind: str) -> bytes:
        """The whole file, at once."""
        async with self.session.get(self.url(batch_id, kind)) as answer:
            assert answer.status == 200
            return await answer.read()


class Decks(Struct, frozen=True):
    """Two finished decks in a folder that nobody serves."""

    folder: Path
    large_id: str
    small_id: str


@pytest.fixture(scope="module")
def decks(tmp_path_factory: pytest.TempPathFactory) -> Decks:
    """Made once."""
    folder = tmp_path_factory.mktemp("decks")
    return Decks(folder, *asyncio.run(make_decks(folder)))


async def make_decks(folder: Path) -> list[str]:
    """The ids of a large deck and a small one."""
    ids = []
    async with (
        crowd_session() as session,
        spawn_upstream() as upstream,
        serving(folder, **paid_settings(upstream)) as service,
    ):
        for image_bytes, slides in ((_PICTURE_MB * _MB, _SLIDES), (0, 1)):
            # JPEGs: what pads them is taken over into every kind of file.
            plan = Plan(media_type="image/jpeg", image_bytes=image_bytes, record_bodies=False)
            await upstream.reset(plan)
            deck = crowd_deck(1, slides, max_workers=10)
            ids.append(await submit(session, service.url, deck))
            await wait_idle(session, service.url)
    return ids


@asynccontextmanager
async def open_kept(decks: Decks, **settings: object) -> AsyncIterator[Kept]:
    """Serve the decks with a process that has made one of each kind of file."""
    async with crowd_session() as session, serving(decks.folder, **settings) as service:
        kept = Kept(service, session, decks.large_id, decks.small_id)
        for kind in ("pptx", "pdf", "zip"):
            await kept.export(kept.small_id, kind)
        yield kept
    assert find_tracebacks(decks.folder) == []


async def read_slowly(kept: Kept, kind: str) -> bytes:
    """The large deck, at a slow reader's pace."""
    body = bytearray()
    began_s = time.perf_counter()
    async with kept.session.get(kept.url(kept.large_id, kind)) as answer:
        assert answer.status == 200
        length = int(answer.headers["Content-Length"])
        async for piece in answer.content.iter_chunked(256 * 1024):
            body += piece
            due_s = began_s + len(body) / _MB / _READ_MB_PER_S
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
    assert len(body) == length
    return bytes(body)


async def ask_meanwhile(kept: Kept, task: asyncio.Task[Any]) -> list[float]:
    """Milliseconds of each status answer until the task has ended, sorted."""
    times_ms = []
    url = f"{kept.service.url}/api/slide/batch/{kept.small_id}"
    while not task.done():
        began_s = time.perf_counter()
        await fetch(kept.session, url)
        times_ms.append((time.perf_counter() - began_s) * 1000)
        await asyncio.sleep(0.01)
    return sorted(times_ms)


async def test_large_zip_takes_little_memory_and_holds_up_nobody(decks: Decks) -> None:
    async with open_kept(decks) as kept:
        meter = Meter(kept.service.process.pid)
        reading = asyncio.create_task(read_slowly(kept, "zip"), name="a slow reader")
        times_ms = await ask_meanwhile(kept, reading)
        peak_mb = meter.read().peak_bytes / _MB
        packed = zipfile.ZipFile(io.BytesIO(await reading))
    assert packed.testzip() is None
    assert len(packed.infolist()) == _SLIDES
    assert peak_mb < 5
    assert times_ms[int(len(times_ms) * 0.99)] < 50 * stretch()


@pytest.mark.parametrize(
    ("kind", "most_mb"), [("pptx", 5 * _PICTURE_MB), ("pdf", 1.5 * _SLIDES * _PICTURE_MB)]
)
async def test_large_deck_is_made_beside_other_answers(
    decks: Decks, kind: str, most_mb: float
) -> None:
    async with open_kept(decks) as kept:
        meter = Meter(kept.service.process.pid)
        began_s = time.perf_counter()
        reading = asyncio.create_task(kept.export(kept.large_id, kind), name="a reader")
        times_ms = await ask_meanwhile(kept, reading)
        wall_s = time.perf_counter() - began_s
        peak_mb = meter.read().peak_bytes / _MB
        body = await reading
    if kind == "pptx":
        assert len(Presentation(io.BytesIO(body)).slides) == _SLIDES
    else:
        document = pypdfium2.PdfDocument(body)
        assert len(document) == _SLIDES
        document.close()
    assert peak_mb < most_mb
    assert wall_s < 3 * stretch()
    assert times_ms[-1] < 150 * stretch()


async def test_clients_that_go_away_leave_nothing_open(decks: Decks, tmp_path: Path) -> None:
    async with open_kept(decks, TMPDIR=tmp_path) as kept:
        await asyncio.sleep(0.2)
        at_rest = list_descriptors(kept.service.process.pid)
        for kind in ("zip", "pptx", "pdf"):
            for read_bytes in (0, 1, 3 * _MB):
                await leave_early(kept, kind, read_bytes)
        assert list(tmp_path.iterdir()) == []
        async with asyncio.timeout(PATIENCE_S):
            while list_descriptors(kept.service.process.pid) != at_rest:
                await asyncio.sleep(0.1)
        assert len(await kept.export(kept.small_id, "zip")) > 0


async def leave_early(kept: Kept, kind: str, read_bytes: int) -> None:
    """Ask for the large deck, read some of it, go."""
    place = urlsplit(kept.url(kept.large_id, kind))
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(f"GET {place.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    if read_bytes:
        await reader.readexactly(read_bytes)
    writer.transport.abort()
    await asyncio.sleep(0)


async def test_process_that_is_killed_leaves_no_temporary_file(
    decks: Decks, tmp_path: Path
) -> None:
    async with open_kept(decks, TMPDIR=tmp_path) as kept:
        await leave_early(kept, "pptx", 0)
        reading = asyncio.create_task(read_slowly(kept, "pdf"), name="a slow reader")
        await asyncio.sleep(0.5)
        await stop(kept.service, signal.SIGKILL)
        with pytest.raises(aiohttp.ClientError):
            await reading
        assert list(tmp_path.iterdir()) == []
