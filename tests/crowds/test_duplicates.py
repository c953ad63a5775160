"""One Idempotency-Key a thousand times, across restarts: one batch, each slide paid once."""

import asyncio
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import Struct

from tests.support.crowds import (
    FINAL,
    PATIENCE_S,
    count_billed,
    crowd_deck,
    crowd_session,
    fetch_batches,
    find_tracebacks,
    free_port,
    paid_settings,
    run_crowd,
    serving,
    stop,
)
from tests.support.upstream import Plan, spawn_upstream

_SEED = 4
_SLIDES = 12
_WORKERS = 4
_AGAIN_S = 0.2
"""Between two tries while the service is away."""


class Heard(Struct, frozen=True):
    """The head of one answer."""

    batch_id: str
    is_replayed: bool


class Duplicates:
    """Clients that all send the same, until they have been answered."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self._url = f"{url}/api/slide/batch/generate"
        self._body = crowd_deck(1, _SLIDES, max_workers=_WORKERS)
        self.heard: list[Heard] = []
        self.ends: list[Any] = []
        """What waiting clients were answered at last."""
        self.answered = 0
        self.done = 0
        """Slides that any answer told of."""

    async def send(self, *, waits: bool) -> None:
        """One client: sends again when it was cut off, refused, or told `running`."""
        while True:
            try:
                body = await self._send_once(waits=waits)
            except aiohttp.ClientError:
                body = None
            if body is not None and (not waits or body["status"] in FINAL):
                break
            await asyncio.sleep(_AGAIN_S)
        self.answered += 1
        if waits:
            self.ends.append(body)

    async def _send_once(self, *, waits: bool) -> Any:
        headers = {"Idempotency-Key": "once"} | ({} if waits else {"Prefer": "respond-async"})
        async with self.session.post(self._url, json=self._body, headers=headers) as answer:
            if answer.status == 503:
                assert answer.headers["Retry-After"]
                return None
            assert answer.status == (200 if waits else 202), await answer.text()
            replayed = answer.headers.get("Idempotent-Replayed") == "true"
            self.heard.append(Heard(answer.headers["X-Batch-Id"], replayed))
            body = await answer.json()
            self.done = max(self.done, body["successful"])
            return body

    async def wait_for_answers(self, count: int) -> None:
        """Wait until the batch is in its middle at least, and so many have been answered."""
        while self.done < _WORKERS or self.answered < count:
            await asyncio.sleep(0.02)
            await self._send_once(waits=False)


class Crowd(Struct, frozen=True):
    """How many send the same, and when the service ends meanwhile."""

    count: int
    at_once: int
    stops_at: tuple[int, ...] = (0,)
    """After so many answers; the first time in the middle of the batch."""


async def send_across_restarts(
    folder: Path, duplicates: Duplicates, crowd: Crowd, how: signal.Signals, **settings: object
) -> Any:
    """The only batch's status, once all have been answered."""
    kinds = random.Random(_SEED).choices((True, False), k=crowd.count)
    clients = [duplicates.send(waits=waits) for waits in kinds]
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        sending = group.create_task(run_crowd(clients, at_once=crowd.at_once))
        for count in crowd.stops_at:
            async with serving(folder, **settings) as service:
                await duplicates.wait_for_answers(count)
                await stop(service, how)
        async with serving(folder, **settings) as service:
            await sending
            batches = await fetch_batches(duplicates.session, service.url)
            await stop(service)
    assert len(batches) == 1
    return batches.popitem()[1]


def check_answers(duplicates: Duplicates, status: Any) -> None:
    """All heard of the same batch, one of a new one, and whoever waited was told the same."""
    assert {one.batch_id for one in duplicates.heard} == {status["batch_id"]}
    assert sum(not one.is_replayed for one in duplicates.heard) == 1
    assert all(end == duplicates.ends[0] for end in duplicates.ends)
    told = duplicates.ends[0]
    assert {name: status[name] for name in told} == told


def check_money(status: Any, billed: Counter[str]) -> None:
    """No slide was paid twice, and those without a picture say why, and what it may have cost."""
    assert set(billed.values()) <= {1}
    done = {one["title"] for one in status["results"] if one["status"] == "done"}
    lost = [one for one in status["results"] if one["status"] != "done"]
    assert done <= billed.keys()
    assert {one["error_code"] for one in lost} <= {"interrupted"}
    assert len(lost) <= _WORKERS
    assert status["possibly_billed"] >= len(lost)
    assert len(done) + status["possibly_billed"] >= billed.total()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
@pytest.mark.parametrize(
    "crowd",
    [
        pytest.param(Crowd(120, 40), marks=pytest.mark.slow),
        pytest.param(Crowd(1000, 100, stops_at=(0, 750)), marks=pytest.mark.long),
    ],
    ids=lambda crowd: str(crowd.count),
)
async def test_duplicates_of_one_key_across_restarts_are_one_batch(
    tmp_path: Path, how: signal.Signals, crowd: Crowd
) -> None:
    port = free_port()
    async with spawn_upstream(Plan(latency_s=0.4)) as upstream, crowd_session() as session:
        duplicates = Duplicates(session, f"http://127.0.0.1:{port}")
        settings = paid_settings(upstream, PORT=port)
        status = await send_across_restarts(tmp_path, duplicates, crowd, how, **settings)
        report = await upstream.fetch_report()
    assert duplicates.answered == crowd.count
    check_answers(duplicates, status)
    check_money(status, count_billed(report))
    if how == signal.SIGTERM:
        assert (status["successful"], report.billed_count) == (_SLIDES, _SLIDES)
    assert find_tracebacks(tmp_path) == []
