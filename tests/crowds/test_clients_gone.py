"""Clients that go away at any moment: their batches go on, and nothing of theirs is left open."""

import asyncio
import random
import re
import socket
import struct
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
from msgspec import Struct

from tests.support.crowds import (
    PATIENCE_S,
    count_billed,
    crowd_deck,
    crowd_session,
    fetch_batches,
    find_tracebacks,
    list_descriptors,
    paid_settings,
    run_crowd,
    serving,
    stop,
    submit,
    wait_idle,
)
from tests.support.process import Served
from tests.support.upstream import Plan, Uniform, spawn_upstream

_SEED = 44
_AT_ONCE = 60
_LATENCY = Uniform(0.05, 0.6)
Moment = Literal["in the body", "after the body", "while waiting", "in the answer", "never"]
"""When a client goes; one that never does gets its whole answer."""


class Client(Struct, frozen=True, kw_only=True):
    """One client: what it sends, and when and how it goes."""

    number: int
    moment: Moment
    waits: bool
    pause_s: float
    """Between the moment and the going."""
    share: float
    """Of what is sent or read, where the moment is in its middle."""
    resets: bool
    """Cuts the connection, instead of closing it."""

    @property
    def slides(self) -> int:
        """How many its deck has."""
        return 1 + self.number % 4


def draw_clients(count: int) -> list[Client]:
    """The same ones for every run."""
    rng = random.Random(_SEED)
    moments: tuple[Moment, ...] = get_args(Moment)
    return [
        Client(
            number=number,
            moment=moments[number % len(moments)],
            waits=rng.random() < 0.6,
            pause_s=rng.choice((0.0, rng.uniform(0, 0.02), rng.uniform(0, 1.0))),
            share=rng.random(),
            resets=rng.random() < 0.5,
        )
        for number in range(1, count + 1)
    ]


async def visit(url: str, client: Client) -> str | None:
    """Send a deck and go; the id of the batch, if it was heard."""
    place = urlsplit(url)
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            return await _talk(reader, writer, client)
        finally:
            _leave(writer, resets=client.resets)


async def _talk(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: Client
) -> str | None:
    request = _to_request(client)
    if client.moment == "in the body":
        head_bytes = request.index(b"\r\n\r\n") + 4
        writer.write(request[: head_bytes + int((len(request) - head_bytes) * client.share)])
        await asyncio.sleep(client.pause_s)
        return None
    writer.write(request)
    if client.moment == "after the body":
        await asyncio.sleep(client.pause_s / 20)
        return None
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"x-batch-id: (\S+)", head, re.IGNORECASE)
    assert found is not None, head
    if client.moment == "while waiting":
        await asyncio.sleep(client.pause_s)
    elif client.moment == "in the answer":
        await reader.readexactly(int(40 * client.share) + 8)
    else:
        _check_whole(await reader.read(), client)
    return found[1].decode()


def _to_request(client: Client) -> bytes:
    body = msgspec.json.encode(crowd_deck(client.number, client.slides))
    prefer = "" if client.waits else "Prefer: respond-async\r\n"
    head = (
        "POST /api/slide/batch/generate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\n{prefer}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _check_whole(answer: bytes, client: Client) -> None:
    """The rest of an answer, chunked or not, holds one whole JSON object."""
    told = msgspec.json.decode(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
    assert told["total_slides"] == client.slides
    assert told["successful"] == client.slides or not client.waits


def _leave(writer: asyncio.StreamWriter, *, resets: bool) -> None:
    if resets:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def warm_up(session: aiohttp.ClientSession, service: Served) -> Counter[str]:
    """What the service has open when it has worked and rests."""
    await submit(session, service.url, crowd_deck(0, 10, max_workers=10))
    await wait_idle(session, service.url)
    await asyncio.sleep(0.2)
    return list_descriptors(service.process.pid)


async def wait_for_descriptors(pid: int, wanted: Counter[str]) -> None:
    """Wait until as much is open as before."""
    async with asyncio.timeout(PATIENCE_S):
        while list_descriptors(pid) != wanted:
            await asyncio.sleep(0.1)


def check_batches(batches: dict[str, Any], clients: list[Client], heard: list[str | None]) -> None:
    """Every batch is done; each client who sent a whole request has one, no other client has."""
    assert {one["status"] for one in batches.values()} == {"completed"}
    assert {one["failed"] for one in batches.values()} == {0}
    owners = Counter(int(one["results"][0]["title"][1:-2]) for one in batches.values())
    assert set(owners.values()) == {1}
    whole = {client.number for client in clients if client.moment != "in the body"}
    sure = {c.number for c, batch_id in zip(clients, heard, strict=True) if batch_id is not None}
    assert sure <= owners.keys() - {0} <= whole
    assert {batch_id for batch_id in heard if batch_id is not None} <= batches.keys()


@pytest.mark.parametrize(
    "count", [pytest.param(40, marks=pytest.mark.slow), pytest.param(500, marks=pytest.mark.long)]
)
async def test_clients_that_go_away_change_nothing(tmp_path: Path, count: int) -> None:
    clients = draw_clients(count)
    async with spawn_upstream(Plan(latency_s=_LATENCY)) as upstream, crowd_session() as session:
        async with serving(tmp_path, **paid_settings(upstream)) as service:
            at_rest = await warm_up(session, service)
            visits = (visit(service.url, client) for client in clients)
            heard = await run_crowd(visits, at_once=_AT_ONCE)
            await wait_idle(session, service.url)
            await wait_for_descriptors(service.process.pid, at_rest)
            batches = await fetch_batches(session, service.url)
            await stop(service)
        report = await upstream.fetch_report()
    check_batches(batches, clients, heard)
    billed = count_billed(report)
    assert set(billed.values()) == {1}
    assert billed.total() == sum(one["total_slides"] for one in batches.values())
    assert find_tracebacks(tmp_path) == []
