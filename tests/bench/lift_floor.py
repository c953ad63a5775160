"""Our providers alone, beside the floor and a plain client: CPU, memory, and the loop's stalls.

    python -m tests.bench.lift_floor [rounds]

Every figure is from a process of its own, the emulator from another; rounds are interleaved and
each ratio is within one round. Pictures go to the store's own drafts and are not kept, so that
nothing is synced, as the floor syncs nothing.
"""

import asyncio
import os
import resource
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from slideloom.domain.ratio import Ratio
from slideloom.domain.slide import Slide
from slideloom.providers.base import DrawOrder
from slideloom.providers.call import NetworkProvider
from slideloom.providers.network import Api
from slideloom.stores.files import FileImageStore
from tests.bench import baseline, floor
from tests.support.providers import open_provider
from tests.support.upstream import Plan, RemoteUpstream, spawn_upstream

_MB = 1024 * 1024
_TICK_S = 0.005
_SLIDE = Slide(id="s", page_num=1, type="content", title="", content_text="", visual_desc="")


class Load(Struct, frozen=True):
    """A measured load."""

    name: str
    image_mb: int
    count: int
    concurrency: int
    latency_s: float = 0.0


class Figures(Struct, frozen=True):
    """What one client took for one load."""

    cpu_ms_per_mb: float
    memory_kib: float
    """Peak above the start, per picture in flight."""
    stall_ms: float


LOADS = (
    Load("20 x 1 MiB", 1, 200, 20),
    Load("20 x 1 MiB after 0.5 s", 1, 20, 20, 0.5),
    Load("100 x 1 MiB after 1 s", 1, 100, 100, 1.0),
    Load("100 x 4 MiB after 1 s", 4, 100, 100, 1.0),
    Load("100 x 8 MiB after 1 s", 8, 100, 100, 1.0),
)
CLIENTS = ("floor", "images", "chat", "plain")


async def draw_all(
    provider: NetworkProvider, images: FileImageStore, count: int, *, concurrency: int
) -> None:
    """Draw `count` pictures, `concurrency` at a time, and keep none."""
    slots = asyncio.Semaphore(concurrency)

    async def draw(number: int) -> None:
        async with slots:
            draft = await images.open_draft(page_num=1)
            order = DrawOrder(
                prompt=f"page {number}", ratio=Ratio(16, 9), slide=_SLIDE, style_prompt=""
            )
            try:
                await provider.draw(order, draft)
            finally:
                await draft.discard()

    await asyncio.gather(*(draw(number) for number in range(count)))


async def measure(client: str, base_url: str, load: Load) -> Figures:
    """Run one load in this process; a few pictures go first, to be warm."""
    stalls: list[float] = []
    async with _open(client, base_url) as run:
        await run(4, concurrency=2)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before_bytes, before_s = _resident_bytes(), _cpu_s()
        watch = asyncio.create_task(_watch(stalls), name="watch")
        await run(load.count, concurrency=load.concurrency)
        watch.cancel()
        return Figures(
            (_cpu_s() - before_s) * 1000 / (load.count * load.image_mb),
            (_peak_bytes() - before_bytes) / 1024 / load.concurrency,
            max(stalls, default=0.0) * 1000,
        )


@asynccontextmanager
async def _open(client: str, base_url: str) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """What fetches that many pictures."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        if client in {"floor", "plain"}:
            fetch_all = floor.fetch_all if client == "floor" else baseline.fetch_all
            yield lambda count, **options: fetch_all(base_url, count, folder, **options)
            return
        api: Api = "chat" if client == "chat" else "images"
        provider = open_provider(api, base_url=base_url, key="bench", model="m", path="/images")
        images = await FileImageStore.open(folder, min_free_mb=0)
        yield lambda count, **options: draw_all(provider, images, count, **options)
        await provider.close()
        await images.close()
    finally:
        shutil.rmtree(folder)


async def _watch(stalls: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        before_s = loop.time()
        await asyncio.sleep(_TICK_S)
        stalls.append(loop.time() - before_s - _TICK_S)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def measure_apart(client: str, upstream: RemoteUpstream, load: Load) -> Figures:
    command = (sys.executable, "-m", "tests.bench.lift_floor")
    process = await asyncio.create_subprocess_exec(
        *command,
        *(client, upstream.base_url, msgspec.json.encode(load).decode()),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return msgspec.json.decode(out, type=Figures)


async def compare(rounds: int) -> None:
    """Print the table."""
    async with spawn_upstream() as upstream:
        for load in LOADS:
            plan = Plan(
                image_bytes=load.image_mb * _MB, latency_s=load.latency_s, record_bodies=False
            )
            await upstream.reset(plan)
            found: dict[str, list[Figures]] = {client: [] for client in CLIENTS}
            for _ in range(rounds):
                for client in CLIENTS:
                    found[client].append(await measure_apart(client, upstream, load))
            print(f"\n{load.name:28} CPU ms/MB  / floor  KiB in flight  worst stall ms")
            for client in CLIENTS:
                print(_row(client, found[client], found["floor"]))


def _row(client: str, figures: list[Figures], floors: list[Figures]) -> str:
    cpu = statistics.median(f.cpu_ms_per_mb for f in figures)
    ratio = statistics.median(
        f.cpu_ms_per_mb / base.cpu_ms_per_mb for f, base in zip(figures, floors, strict=True)
    )
    memory = max(f.memory_kib for f in figures)
    stall = max(f.stall_ms for f in figures)
    return f"  {client:26} {cpu:9.2f} {ratio:8.2f} {memory:14.0f} {stall:15.1f}"


def main() -> None:
    """Compare, or measure one client when called by itself."""
    match sys.argv[1:]:
        case [client, base_url, load]:
            figures = asyncio.run(measure(client, base_url, msgspec.json.decode(load, type=Load)))
            print(msgspec.json.encode(figures).decode())
        case [rounds]:
            asyncio.run(compare(int(rounds)))
        case _:
            asyncio.run(compare(5))


if __name__ == "__main__":
    main()
