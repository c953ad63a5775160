"""SIGTERM while batches run, and while people poll and read: what they see, and what is left."""

import asyncio
import signal
import time
from pathlib import Path

import aiohttp
import pytest

from tests.load.clients import Crowd, Slot
from tests.load.plan import LoadPlan, Tally
from tests.support.crowds import (
    PATIENCE_S,
    count_billed,
    crowd_deck,
    crowd_session,
    fetch_batches,
    find_tracebacks,
    free_port,
    paid_settings,
    see_refused,
    serving,
    stop,
    submit,
    wait_ended,
    wait_idle,
)
from tests.support.process import Served
from tests.support.upstream import Plan, RemoteUpstream, spawn_upstream

_PLAN = LoadPlan(pollers=100, batches=50, slides=8, readers=100)
_GRACE_S = 20.0
_LOST_CONNECTIONS = ("Connect", "IncompleteRead", "Reset", "closed")
"""In the words of the errors that a service which has ended may cause."""


async def _order_all(session: aiohttp.ClientSession, url: str, crowd: Crowd) -> list[Slot]:
    """A batch in each slot."""
    slots = [Slot(number) for number in range(_PLAN.batches)]
    for slot in slots:
        deck = crowd_deck(slot.number, _PLAN.slides, max_workers=_PLAN.workers)
        slot.is_over = True  # one batch, no other
        await crowd.put(slot, await submit(session, url, deck))
    return slots


async def _stop_in_the_middle(
    service: Served, upstream: RemoteUpstream, session: aiohttp.ClientSession
) -> None:
    """SIGTERM once every batch has its first calls under way."""
    while (await upstream.fetch_report()).call_count < _PLAN.batches * _PLAN.workers:
        await asyncio.sleep(0.05)
    began_s = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.1)
    await see_refused(session, service.url)
    await wait_ended(service)
    assert service.process.returncode == 0
    assert time.monotonic() - began_s < _GRACE_S


def _is_of_the_stop(error: str) -> bool:
    return any(word in error for word in _LOST_CONNECTIONS)


@pytest.mark.slow
async def test_stop_under_load_loses_no_slide_no_event_and_pays_nothing_twice(
    tmp_path: Path,
) -> None:
    tally, port = Tally(), free_port()
    async with spawn_upstream(Plan(latency_s=1.5)) as upstream, crowd_session() as session:
        settings = paid_settings(upstream, STOP_GRACE_SECONDS=_GRACE_S, PORT=port)
        crowd = Crowd(f"http://127.0.0.1:{port}", _PLAN, tally)
        async with asyncio.TaskGroup() as clients:
            async with serving(tmp_path, **settings) as service:
                slots = await _order_all(session, service.url, crowd)
                for number in range(_PLAN.pollers):
                    clients.create_task(crowd.poll_on(slots[number % len(slots)]))
                reading = [
                    clients.create_task(crowd.read_on(slots[number % len(slots)]))
                    for number in range(_PLAN.readers)
                ]
                await _stop_in_the_middle(service, upstream, session)
            await upstream.send_plan(Plan())
            async with serving(tmp_path, **settings) as service:
                await wait_idle(session, service.url)
                batches = await fetch_batches(session, service.url)
                await asyncio.wait(reading, timeout=PATIENCE_S)  # they come back by themselves
                crowd.is_closing = True
                await stop(service)
        report = await upstream.fetch_report()
    assert [error for error in tally.errors if not _is_of_the_stop(error)] == []
    assert len(batches) == _PLAN.batches
    assert {one["successful"] for one in batches.values()} == {_PLAN.slides}
    assert tally.heard == {
        batch_id: [one["last_event_id"]] * 2 for batch_id, one in batches.items()
    }
    assert set(count_billed(report).values()) == {1}
    assert report.billed_count == _PLAN.batches * _PLAN.slides
    assert find_tracebacks(tmp_path) == []
