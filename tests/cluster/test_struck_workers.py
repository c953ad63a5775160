"""Workers that are killed or frozen in the middle: others go on, and pay for nothing twice."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Struct

from tests.support.cluster import IDLE_TIMEOUT_S, Cluster, running_cluster
from tests.support.crash.life import Policy
from tests.support.crash.tally import Tally
from tests.support.upstream import Plan
from tests.support.upstream.plan import Uniform

_SEED = 6
_QUICK = Plan(seed=_SEED, record_bodies=False)
_LATE_S = 60.0
"""The most that a kill may cost, beyond what the work itself takes."""


class Scale(Struct, frozen=True):
    """How much of it."""

    workers: int
    decks: int
    slides: int
    idle_timeout_s: float
    frozen_s: float
    latency_s: Uniform

    @property
    def plan(self) -> Plan:
        """What the provider does."""
        return Plan(seed=_SEED, latency_s=self.latency_s, record_bodies=False)


SMALL = Scale(
    workers=2, decks=8, slides=5, idle_timeout_s=4.0, frozen_s=6.0, latency_s=Uniform(0.5, 0.8)
)
FULL = Scale(
    workers=3,
    decks=100,
    slides=20,
    idle_timeout_s=IDLE_TIMEOUT_S,
    frozen_s=60.0,
    latency_s=Uniform(0.8, 1.2),
)
SCALES = [
    pytest.param(SMALL, id="small", marks=pytest.mark.slow),
    pytest.param(FULL, id="full", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
]


async def begin(cluster: Cluster, scale: Scale) -> tuple[float, int]:
    """Start everything, order all decks, wait until the middle; since when, and how many done."""
    await cluster.start_with_known(workers=scale.workers, idle_timeout_s=scale.idle_timeout_s)
    await cluster.upstream.send_plan(scale.plan)
    began_s = time.monotonic()
    for _ in range(scale.decks):
        await cluster.order(cluster.press.make(slides=scale.slides, workers=3, is_keyed=True))
    cluster.begin_watch()
    done = await cluster.wait_calls(scale.decks * scale.slides * 2 // 5)
    return began_s, len(done)


@pytest.mark.parametrize("policy", [pytest.param("retry", marks=pytest.mark.long), "fail"])
@pytest.mark.parametrize("scale", SCALES)
async def test_killed_workers_batches_go_on_elsewhere(
    tmp_path: Path, scale: Scale, policy: Policy, tell: Callable[[str], None]
) -> None:
    async with running_cluster(tmp_path, plan=_QUICK, policy=policy) as cluster:
        began_s, done = await begin(cluster, scale)
        killed_s = time.monotonic()
        await cluster.workers[0].kill()
        struck = await cluster.note_struck()
        cluster.codes |= {"interrupted"} if policy == "fail" else set()
        left = scale.decks * scale.slides - done
        work_s = left / (done / (killed_s - began_s)) * scale.workers / (scale.workers - 1)
        await cluster.settle(timeout_s=work_s + 2 * _LATE_S)
        took_s = time.monotonic() - killed_s
        tally = await cluster.finish(calls_once=policy == "fail")
    tell(
        f"worker killed, {policy}: {tally.batches} decks, {tally.slides} slides,"
        f" {tally.done} done, {tally.failed} interrupted; {struck} calls in flight there,"
        f" {tally.extra_calls} paid beyond one a slide; all final {took_s:.1f} s after the kill,"
        f" the work itself {work_s:.1f} s"
    )
    assert "\n".join(cluster.faults) == ""
    assert took_s - work_s <= _LATE_S
    check_struck(tally, scale, struck, policy)


def check_struck(tally: Tally, scale: Scale, struck: int, policy: Policy) -> None:
    """Nothing is lost, and no more is paid twice than was in flight."""
    assert tally.slides == 1 + scale.decks * scale.slides
    assert tally.done + tally.failed == tally.slides
    assert struck > 0
    assert tally.extra_calls <= struck
    if policy == "retry":
        assert tally.failed == 0
    else:
        # Told as possibly billed, unless its picture was there already.
        assert tally.extra_calls == 0
        assert tally.failed <= tally.possibly_billed <= struck


@pytest.mark.long
@pytest.mark.parametrize("scale", SCALES)
async def test_frozen_worker_that_thaws_pays_nothing_twice(
    tmp_path: Path, scale: Scale, tell: Callable[[str], None]
) -> None:
    async with running_cluster(tmp_path, plan=_QUICK, policy="retry") as cluster:
        await begin(cluster, scale)
        cluster.workers[0].send(signal.SIGSTOP)
        struck = await cluster.note_struck()
        await asyncio.sleep(scale.frozen_s)
        cluster.workers[0].send(signal.SIGCONT)
        await cluster.settle()
        assert cluster.list_down() == []
        assert await cluster.workers[0].stop() == 0
        cluster.customer.ends.clear()  # its late answers cost: what was told before is outdated
        tally = await cluster.finish()
    tell(
        f"worker frozen for {scale.frozen_s:.0f} s: {tally.slides} slides, {tally.done} done;"
        f" {struck} calls in flight there, {tally.extra_calls} paid beyond one a slide;"
        f" bill ${tally.bill_usd:.4f}, store ${tally.store_usd:.4f}"
    )
    assert "\n".join(cluster.faults) == ""
    check_struck(tally, scale, struck, "retry")
