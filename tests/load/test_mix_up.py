"""Calls that are cut off in their middle, while others run: nobody is given another's answer.

Source: the ChatGPT outage of 20 March 2023, redis-py, CVE-2023-28858.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from slideloom.domain.events import BatchSubmitted
from slideloom.engine.batches import BatchEngine
from slideloom.stores.base import BatchStore
from slideloom.stores.redis import RedisBatchStore
from slideloom.stores.sqlite import SqliteBatchStore
from tests.crowds.test_restart import build_log, to_id
from tests.support.asking import Question, Wire, open_wire
from tests.support.redis_server import redis_server
from tests.support.service import running_service

_BATCHES = 40
_AT_ONCE = 50
_SEED = 68
SIZES = [
    pytest.param(500, marks=pytest.mark.slow),
    pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
]
STORES = ["sqlite", "redis"]


async def fill(store: BatchStore) -> list[str]:
    """Finished batches that no process has in memory; their ids."""
    for number in range(_BATCHES):
        log = build_log(number, done=20, in_flight=0, ends=True)
        assert isinstance(log[0], BatchSubmitted)
        await store.create(to_id(number), log[0])
        await store.append(to_id(number), 1, log[1:])
    await store.close()
    return [to_id(number) for number in range(_BATCHES)]


@asynccontextmanager
async def filled(kind: str, folder: Path) -> AsyncIterator[tuple[list[str], dict[str, str]]]:
    """Batches in a store of that kind, and the settings of a service over it."""
    if kind == "sqlite":
        (folder / "data").mkdir()
        ids = await fill(await SqliteBatchStore.open(folder / "data" / "slideloom.sqlite3"))
        yield ids, {}
        return
    (folder / "redis").mkdir()
    with redis_server(folder / "redis") as server:
        ids = await fill(await RedisBatchStore.open(server.url))
        yield ids, {"STORE": server.url, "QUEUE": server.url}


async def ask_engine(engine: BatchEngine, ids: Sequence[str], count: int) -> Counter[str]:
    """Every second call is cancelled within its first steps; how the calls went."""
    rng, went = random.Random(_SEED), Counter[str]()

    async def ask(asked_id: str) -> None:
        call = asyncio.create_task(engine.get(asked_id))
        if rng.random() < 0.5:
            for _ in range(rng.randrange(12)):
                await asyncio.sleep(0)
            call.cancel()
        try:
            went["right" if (await call).state.batch_id == asked_id else "wrong"] += 1
        except asyncio.CancelledError:
            went["cut off"] += 1

    async def ask_many() -> None:
        for _ in range(count // _AT_ONCE):
            await ask(rng.choice(ids))

    await asyncio.gather(*(ask_many() for _ in range(_AT_ONCE)))
    return went


async def ask_service(url: str, ids: Sequence[str], count: int) -> Counter[str]:
    """The same by clients, who hang up on every second call."""
    rng, went, host = random.Random(_SEED), Counter[str](), urlsplit(url).netloc

    async def ask(wire: Wire, asked_id: str) -> None:
        by_post = rng.random() < 0.5
        body = b'{"batch_id":"%s"}' % asked_id.encode() if by_post else b""
        path = "/api/slide/batch/" + ("status" if by_post else asked_id)
        answering = wire.ask(Question("POST" if by_post else "GET", path, body).to_bytes(host))
        if rng.random() < 0.5:
            await asyncio.sleep(rng.random() * 0.01)
            wire.close()
        try:
            reply = await answering
        except OSError:
            went["cut off"] += 1
            return
        is_right = reply.body.startswith(b'{"batch_id":"%s"' % asked_id.encode())
        went["right" if (reply.status, is_right) == (200, True) else "wrong"] += 1

    async def ask_many() -> None:
        wire = await open_wire(url)
        for _ in range(count // _AT_ONCE):
            if not wire.is_open:
                wire = await open_wire(url)
            await ask(wire, rng.choice(ids))
        wire.close()

    await asyncio.gather(*(ask_many() for _ in range(_AT_ONCE)))
    return went


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("kind", STORES)
async def test_nobody_gets_anothers_answer_when_calls_are_cut_off(
    kind: str, count: int, tmp_path: Path
) -> None:
    async with (
        filled(kind, tmp_path) as (ids, settings),
        running_service(tmp_path, **settings) as service,
    ):
        by_engine = await ask_engine(service.services.engine, ids, count)
        by_clients = await ask_service(service.url, ids, count)
    for went in (by_engine, by_clients):
        assert went.total() == count
        assert went["wrong"] == 0
        assert min(went["right"], went["cut off"]) > count // 10
