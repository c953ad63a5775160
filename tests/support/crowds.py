"""Crowds of clients before a served process: what they send, and what is looked at afterwards."""

import asyncio
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec

from slideloom.domain.batch import BatchState, fold
from slideloom.stores.sqlite import SqliteBatchStore
from tests.support.process import Served, served
from tests.support.upstream import RemoteUpstream, Report

PATIENCE_S = 90.0
"""How long anything is waited for: the machine may be busy."""
FINAL = ("completed", "failed")
_STOP_S = 60.0
_SLIDE_NAME = re.compile(r"\bd[0-9]+p[0-9]+\b")
_COMPLAINTS = ("Traceback", "never awaited", "was destroyed", "never retrieved")
"""What Python says on its way out when something was left over."""

_T = TypeVar("_T")


def paid_settings(upstream: RemoteUpstream, **more: object) -> dict[str, object]:
    """A service whose calls cost, all lanes open; a call that is hung up on is billed all the same.

    Source of the last: the emulator's chat shape.
    """
    return {
        "LLM_IMAGE_API_KEY": "sk-crowds",
        "LLM_IMAGE_API_BASE": upstream.base_url,
        "LLM_IMAGE_API": "chat",
        "LANE_START": 200,
        **more,
    }


def crowd_deck(number: int, slides: int, *, visual_desc: str = "", **changes: Any) -> Any:
    """A request whose slides have names that no other deck's have, to be found in the bill."""
    return {
        "slides": [
            {"id": f"s{n}", "title": f"d{number}p{n}", "visual_desc": visual_desc}
            for n in range(1, slides + 1)
        ],
        "style_prompt": "calm blue",
        "cache": False,
        **changes,
    }


def free_port() -> int:
    """A port that two services, one after the other, can have."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def crowd_session() -> aiohttp.ClientSession:
    """For any number of calls at once; it leaves no connection open."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
    )


@asynccontextmanager
async def serving(folder: Path, **settings: object) -> AsyncIterator[Served]:
    """`served`, while the clients go on."""
    context = served(folder, **settings)
    starting = asyncio.create_task(asyncio.to_thread(context.__enter__), name="start a service")
    try:
        yield await asyncio.shield(starting)
    finally:
        await starting  # one that is cut off while it starts is ended too
        await asyncio.to_thread(context.__exit__, None, None, None)


async def stop(service: Served, how: signal.Signals = signal.SIGTERM) -> None:
    """Send the signal, and see the end."""
    service.process.send_signal(how)
    await wait_ended(service)


async def wait_ended(service: Served) -> None:
    """Wait for the end of a service that was told so, in which Python must not complain."""
    said, _ = await asyncio.to_thread(service.process.communicate, timeout=_STOP_S)
    assert not [word for word in _COMPLAINTS if word in said], said


async def run_crowd(clients: Iterable[Coroutine[Any, Any, _T]], *, at_once: int) -> list[_T]:
    """What each client comes back with, so many of them at a time."""
    slots = asyncio.Semaphore(at_once)

    async def take_turn(client: Coroutine[Any, Any, _T]) -> _T:
        async with slots:
            return await client

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(take_turn(client)) for client in clients]
    return [task.result() for task in tasks]


async def fetch(session: aiohttp.ClientSession, url: str) -> Any:
    """The decoded answer of a GET that works."""
    async with session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def submit(session: aiohttp.ClientSession, url: str, body: Any) -> str:
    """The id of a batch that nobody waits for."""
    headers = {"Prefer": "respond-async"}
    async with session.post(
        f"{url}/api/slide/batch/generate", json=body, headers=headers
    ) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["batch_id"])


async def see_refused(session: aiohttp.ClientSession, url: str) -> None:
    """A service that stops takes no new work, and says when to come again."""
    async with session.post(f"{url}/api/slide/batch/generate", json=crowd_deck(0, 1)) as answer:
        assert (answer.status, (await answer.json())["code"]) == (503, "stopping")
        assert int(answer.headers["Retry-After"]) > 0
    async with session.get(f"{url}/readyz") as answer:
        assert answer.status == 503


async def wait_idle(session: aiohttp.ClientSession, url: str) -> None:
    """Wait until every batch has ended."""
    async with asyncio.timeout(PATIENCE_S):
        while (await fetch(session, f"{url}/api/slide/batch/active-count"))["active_batches"]:
            await asyncio.sleep(0.05)


async def fetch_batches(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """The status of every batch there is, by id."""
    ids: list[str] = []
    cursor = ""
    while True:
        page = await fetch(session, f"{url}/api/slide/batch?limit=200{cursor}")
        ids += [line["batch_id"] for line in page["batches"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    asked = (fetch(session, f"{url}/api/slide/batch/{batch_id}") for batch_id in ids)
    return dict(zip(ids, await run_crowd(asked, at_once=20), strict=True))


def count_billed(report: Report) -> Counter[str]:
    """How often each slide was paid."""
    return Counter(find_slide(call.prompt) for call in report.bill.billed)


def find_slide(prompt: str) -> str:
    """Which slide a call was for; see `crowd_deck`."""
    found = _SLIDE_NAME.search(prompt)
    assert found is not None, prompt
    return found[0]


async def read_states(folder: Path) -> list[BatchState]:
    """Every batch in the store of a service that has stopped."""
    path = folder / "data" / "slideloom.sqlite3"
    store = await SqliteBatchStore.open(path)
    try:
        page = await store.list_batches(limit=10_000)
        ids = [line.batch_id for line in page.batches]
        return [fold(batch_id, await store.read(batch_id)) for batch_id in ids]
    finally:
        await store.close()


def find_tracebacks(folder: Path) -> list[bytes]:
    """Lines of the pipeline log that tell of something unforeseen."""
    return [
        line
        for path in (folder / "logs").glob("pipeline_*.log")
        for line in path.read_bytes().split(b"\n")
        if line and "traceback" in msgspec.json.decode(line)
    ]


def stretch() -> float:
    """How many times longer things take now: 1 on a machine that does nothing else."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def read_resident_mb(pid: int) -> float:
    """The most memory the process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def list_descriptors(pid: int) -> Counter[str]:
    """What the process has open: files by name, sockets all alike."""
    names: Counter[str] = Counter()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:  # closed just now
            continue
        names["socket" if target.startswith("socket:") else target] += 1
    return names
