"""One run: start the service, let the clients come, look at what is left when they have gone."""

import asyncio
import contextlib
import resource
import tempfile
from pathlib import Path

import aiohttp
from msgspec import Struct

from tests.load.clients import Crowd, Slot
from tests.load.gauges import Gauges, Probe
from tests.load.plan import LoadPlan, Tally
from tests.support.crowds import (
    count_billed,
    crowd_deck,
    find_tracebacks,
    paid_settings,
    serving,
    stop,
    submit,
    wait_idle,
)
from tests.support.upstream import Plan, RemoteUpstream, spawn_upstream

_FILES_EACH = 2
_SETTLE_S = 60.0
"""The pool's connections to the provider close when they have been idle for 15 s."""
_COUNTED_S = 1.5
"""By then the service has counted its tasks anew."""
_WARM_NUMBER = 1_000_000
"""Of the deck that warms up: in nobody's way."""


class Findings(Struct, frozen=True, kw_only=True):
    """What came of a run."""

    plan: LoadPlan
    tally: Tally
    before: Gauges
    busy: Gauges
    """When the last batch had ended, all clients still there."""
    after: Gauges
    memory_mb: list[tuple[float, float]]
    """Seconds and resident MB, under load."""
    wall_s: float
    slides_billed: int
    slides_billed_twice: int
    tracebacks: int

    @property
    def lost_events(self) -> int:
        """Events that readers of ended batches did not have."""
        ended = self.tally.ended
        return sum(
            ended[batch_id] - last
            for batch_id, lasts in self.tally.heard.items()
            for last in lasts
            if batch_id in ended
        )


async def run_load(plan: LoadPlan) -> Findings:
    """Put the load on a service of its own."""
    _allow_files(_FILES_EACH * (plan.pollers + plan.readers + plan.idle) + 1000)
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        folder = Path(name)
        async with spawn_upstream() as upstream, aiohttp.ClientSession() as session:
            settings = paid_settings(upstream, BATCH_MAX_CONCURRENT=plan.batches)
            async with serving(folder, **settings) as service:
                url = service.url.replace("localhost", "127.0.0.1")
                probe = Probe(url, service.process.pid, session)
                await _warm_up(url, session, upstream)
                await asyncio.sleep(_COUNTED_S)
                before = await probe.read()
                await upstream.reset(plan.to_upstream())
                run = await _attack(url, plan, probe)
                after = await probe.settle(before, within_s=_SETTLE_S)
                await stop(service)
            billed = count_billed(await upstream.fetch_report())
        return Findings(
            plan=plan,
            tally=run.tally,
            before=before,
            busy=run.busy,
            after=after,
            memory_mb=run.memory_mb,
            wall_s=run.wall_s,
            slides_billed=len(billed),
            slides_billed_twice=sum(count > 1 for count in billed.values()),
            tracebacks=len(find_tracebacks(folder)),
        )


class _Attack(Struct, frozen=True, kw_only=True):
    tally: Tally
    busy: Gauges
    memory_mb: list[tuple[float, float]]
    wall_s: float


async def _warm_up(url: str, session: aiohttp.ClientSession, upstream: RemoteUpstream) -> None:
    """Have every part opened that is opened when it is first needed."""
    await upstream.reset(Plan())
    await submit(session, url, crowd_deck(_WARM_NUMBER, 20, max_workers=10))
    await wait_idle(session, url)


async def _attack(url: str, plan: LoadPlan, probe: Probe) -> _Attack:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    tally, memory_mb = Tally(), list[tuple[float, float]]()
    crowd = Crowd(url, plan, tally)
    slots = [Slot(number) for number in range(plan.batches)]
    async with asyncio.TaskGroup() as clients:
        watching = clients.create_task(probe.watch_memory(memory_mb), name="memory")
        clients.create_task(crowd.watch_itself(), name="own lag")
        for number in range(plan.idle):
            clients.create_task(crowd.dawdle(number), name=f"idle {number}")
        for number in range(plan.pollers):
            clients.create_task(crowd.poll_on(slots[number % len(slots)]), name=f"poll {number}")
        async with asyncio.TaskGroup() as to_the_end:
            for number in range(plan.readers):
                slot = slots[number % len(slots)]
                to_the_end.create_task(crowd.read_on(slot), name=f"read {number}")
            for slot in slots:
                ordering = crowd.order_on(slot, began_s + plan.seconds)
                to_the_end.create_task(ordering, name=f"order {slot.number}")
        wall_s = loop.time() - began_s
        busy = await probe.read()
        watching.cancel()
        crowd.is_closing = True
    return _Attack(tally=tally, busy=busy, memory_mb=memory_mb, wall_s=wall_s)


def _allow_files(wanted: int) -> None:
    """As many open files as that, for this process and those it starts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, most), most))
