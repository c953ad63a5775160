"""`make bench`: providers, service, status, durability, readers, exports, cluster.

Absolute times move with the machine: read the ratios, all of one run.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path

from msgspec import Struct

from tests.bench import cluster, durability, exports, readers, status
from tests.bench.lift_floor import Load, compare, measure_apart
from tests.bench.service import Batches, started_service
from tests.support.upstream import Plan, RemoteUpstream, spawn_upstream

_MB = 1024 * 1024
_KIB = 1024
_ROUNDS = 3


class Case(Struct, frozen=True, kw_only=True):
    """One load on the whole service, and what it must keep to."""

    name: str
    shape: str
    batches: int = 1
    slides: int = 20
    workers: int
    image_mb: int = 1
    latency_s: float = 0.5
    must_s: float
    """Wall time, `performance.md` section 4."""

    @property
    def ideal_s(self) -> float:
        """If only the provider took time."""
        return self.latency_s * -(-self.slides // self.workers)

    @property
    def in_flight(self) -> int:
        """Pictures on their way at once."""
        return self.batches * min(self.workers, self.slides)


CASES = [
    *(
        Case(
            name=f"20 x 1 MiB, {workers} workers",
            shape=shape,
            workers=workers,
            must_s=0.5 * 20 / workers + 0.08,
        )
        for shape in ("images", "chat")
        for workers in (5, 10, 20)
    ),
    Case(name="10 batches x 20", shape="images", batches=10, workers=20, must_s=0.5 * 2.2),
    Case(
        name="100 x 4 MiB at once, 1 s",
        shape="images",
        slides=100,
        workers=100,
        image_mb=4,
        latency_s=1.0,
        must_s=1.8,
    ),
]


async def measure_service(case: Case, upstream: RemoteUpstream) -> Batches:
    """Start a service, load it, stop it."""
    await upstream.reset(
        Plan(image_bytes=case.image_mb * _MB, latency_s=case.latency_s, record_bodies=False)
    )
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        async with started_service(
            folder,
            LLM_IMAGE_API_KEY="bench",
            LLM_IMAGE_API_BASE=upstream.base_url,
            LLM_IMAGE_API=case.shape,
            BATCH_MAX_WORKERS=200,
            LANE_START=200,
        ) as service:
            return await service.run(batches=case.batches, slides=case.slides, workers=case.workers)
    finally:
        shutil.rmtree(folder)


async def service_table() -> None:
    """Print how the whole service does."""
    print(
        f"\n{'whole service':34} lost   wall s   ideal    must  status p99 ms  KiB/image  CPU/floor"
    )
    async with spawn_upstream() as upstream:
        for case in CASES:
            runs, ratios = [], []
            for _ in range(_ROUNDS):
                run = await measure_service(case, upstream)
                load = Load(
                    case.name, case.image_mb, case.batches * case.slides, case.in_flight, 0.0
                )
                await upstream.reset(
                    Plan(image_bytes=case.image_mb * _MB, latency_s=case.latency_s)
                )
                floor = await measure_apart("floor", upstream, load)
                images_mb = case.batches * case.slides * case.image_mb
                ratios.append(run.cost.cpu_s * 1000 / images_mb / floor.cpu_ms_per_mb)
                runs.append(run)
            print(_row(case, runs, ratios))


def _row(case: Case, runs: list[Batches], ratios: list[float]) -> str:
    def middle(values: list[float]) -> float:
        return sorted(values)[len(values) // 2]

    wall_s = middle([run.wall_s for run in runs])
    p99_ms = middle([run.status_p99_ms for run in runs])
    memory_kib = middle([run.cost.peak_bytes / _KIB / case.in_flight for run in runs])
    lost = sum(run.lost for run in runs)
    return (
        f"{case.shape + ': ' + case.name:34} {lost:4} {wall_s:8.3f} {case.ideal_s:7.2f}"
        f" {case.must_s:7.2f} {p99_ms:14.1f} {memory_kib:10.0f} {middle(ratios):10.2f}"
    )


async def main() -> None:
    """All tables."""
    await compare(_ROUNDS)
    await service_table()
    await status.main(_ROUNDS)
    await durability.main(_ROUNDS)
    await readers.main(_ROUNDS)
    await exports.main(_ROUNDS)
    await cluster.main(_ROUNDS)


if __name__ == "__main__":
    asyncio.run(main())
