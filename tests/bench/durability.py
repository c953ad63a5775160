"""`python -m tests.bench.durability [rounds]`: what it costs that nothing is lost.

1,000 pictures as fast as they come: by the service as it is, by the same service that syncs
nothing (`unsynced/`), and by a bare loop that writes, syncs and renames files of that size. All
take turns in one run, on the disk of `TMPDIR`; each ratio is within one round.
"""

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct

from tests.bench.service import started_service
from tests.support.upstream import Plan, RemoteUpstream, read_stamp, spawn_upstream

_BATCHES = 50
_SLIDES = 20
_WORKERS = 10
"""Slides of one batch at once: the most that the service allows by default."""
_COUNT = _BATCHES * _SLIDES
_SIZES_KIB = (100, 1024)
_ROUNDS = 3
_UNSYNCED = Path(__file__).parent / "unsynced"
_CONTESTANTS = ("service", "service, no syncs", "bare, 1 thread", "bare, 16 threads")


class Run(Struct, frozen=True):
    """One turn of one contestant."""

    wall_s: float
    cpu_s: float = 0.0
    """Of the service."""
    wrong: int = 0
    """Pictures that are lost, not whole, or of no paid call."""

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return _COUNT / self.wall_s


async def run_service(upstream: RemoteUpstream, size_bytes: int, **settings: object) -> Run:
    """All batches at once by a service of its own, whose pictures are then looked at."""
    await upstream.reset(Plan(image_bytes=size_bytes, record_bodies=False))
    with _folder() as folder:
        async with started_service(
            folder,
            LLM_IMAGE_API_KEY="bench",
            LLM_IMAGE_API_BASE=upstream.base_url,
            LLM_IMAGE_API="images",
            LANE_START=200,
            **settings,
        ) as service:
            done = await service.run(batches=_BATCHES, slides=_SLIDES, workers=_WORKERS)
        billed = {call.number for call in (await upstream.fetch_report()).bill.billed}
        pictures = (folder / "static" / "assets").glob("slide_*")
        wrong = done.lost + count_wrong(pictures, billed, size_bytes=size_bytes)
    return Run(done.wall_s, done.cost.cpu_s, wrong)


def count_wrong(pictures: Iterable[Path], billed: set[int], *, size_bytes: int) -> int:
    """How many paid calls have no whole picture of their own, and how many pictures no call."""
    stamps = []
    for picture in pictures:
        data = picture.read_bytes()
        stamp = read_stamp(data)
        stamps.append(stamp.call if stamp is not None and len(data) >= size_bytes else 0)
    return len(billed.symmetric_difference(stamps)) + len(stamps) - len(set(stamps))


def run_bare(size_bytes: int, *, threads: int) -> Run:
    """The same files, written, synced and renamed, and nothing else."""
    data = os.urandom(size_bytes)
    with _folder() as folder, ThreadPoolExecutor(threads) as executor:
        began_s = time.perf_counter()
        list(executor.map(partial(_write, folder, data), range(_COUNT)))
        return Run(time.perf_counter() - began_s)


def _write(folder: Path, data: bytes, number: int) -> None:
    part = folder / f".part-{number}"
    with part.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / f"{number}.png")


@contextmanager
def _folder() -> Iterator[Path]:
    """An empty folder; what others left to be written is on the disk before."""
    os.sync()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


async def run_round(upstream: RemoteUpstream, size_bytes: int) -> list[Run]:
    """One turn of each of `_CONTESTANTS`."""
    path = os.pathsep.join([str(_UNSYNCED), os.environ.get("PYTHONPATH", "")])
    return [
        await run_service(upstream, size_bytes),
        await run_service(upstream, size_bytes, PYTHONPATH=path),
        await asyncio.to_thread(run_bare, size_bytes, threads=1),
        await asyncio.to_thread(run_bare, size_bytes, threads=16),
    ]


def print_table(size_kib: int, rounds: list[list[Run]]) -> None:
    """Medians; the service's ratio to each, and its CPU time."""
    print(f"\n{_COUNT} pictures of {size_kib} KiB, {_BATCHES} batches, medians of {len(rounds)}")
    print(f"{'':20} images/s  least   most  service/this  CPU ms/image  lost or faked")
    for place, name in enumerate(_CONTESTANTS):
        runs = [turns[place] for turns in rounds]
        rates = [run.rate for run in runs]
        ratio = statistics.median(turns[0].rate / turns[place].rate for turns in rounds)
        cpu_ms = statistics.median(run.cpu_s for run in runs) * 1000 / _COUNT
        print(
            f"{name:20} {statistics.median(rates):8.0f} {min(rates):6.0f} {max(rates):6.0f}"
            f" {ratio:13.2f} {cpu_ms:13.2f} {sum(run.wrong for run in runs):14}"
        )


async def main(round_count: int) -> None:
    """All sizes."""
    async with spawn_upstream() as upstream:
        for size_kib in _SIZES_KIB:
            rounds = [await run_round(upstream, size_kib * 1024) for _ in range(round_count)]
            print_table(size_kib, rounds)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS))
