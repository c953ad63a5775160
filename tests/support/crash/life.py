"""One life of a folder: the service in it, its customers, its provider, and its ends."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from tests.support.crash.audit import Evidence, Place, audit_crash, audit_end, count_up, sort_calls
from tests.support.crash.customer import Customer, open_customer
from tests.support.crash.decks import Deck, DeckPress
from tests.support.crash.ledger import list_cut_off, read_ledger
from tests.support.crash.site import Site
from tests.support.crash.tally import Tally
from tests.support.upstream import Plan, RemoteUpstream, spawn_upstream
from tests.support.upstream.bill import Report
from tests.support.upstream.plan import Uniform

Policy = Literal["fail", "retry"]
"""Of slides whose paid call was under way: `RESUME_IN_FLIGHT`."""
Shape = Literal["images", "chat"]
"""At `chat` a call whose client has gone is made and charged all the same."""
PLAN = Plan(latency_s=Uniform(0.03, 0.15), record_bodies=False)
"""Slow enough that calls are under way at every kill."""
_PATIENCE_S = 120.0
"""For whatever must come to an end by itself, on a busy machine."""
_POLL_S = 0.01


class Life:
    """Starts, orders and deaths, with an audit at each death and at the end."""

    def __init__(
        self, site: Site, upstream: RemoteUpstream, customer: Customer, *, policy: Policy
    ) -> None:
        self.site = site
        self.customer = customer
        self.press = DeckPress()
        self.tally = Tally()
        self.faults: dict[str, None] = {}
        """What was found wrong, each once."""
        self.codes = {"interrupted"}
        """What a slide may end in."""
        self._upstream = upstream
        self._policy = policy
        self._cut_offs: Counter[Place] = Counter()
        self._errands: set[asyncio.Task[Any]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._left: set[Path] = set()

    async def spawn(self, tracer: Sequence[str] = ()) -> None:
        """Start the process, and do not wait for it."""
        self._left = self.site.list_parts()
        await self.site.spawn(tracer)

    async def wait_ready(self) -> None:
        """Wait until it serves; then customers come back, and send again what has a key."""
        await self.site.wait_ready()
        again = self._left & self.site.list_parts()
        self._blame(f"{path.name} was not swept" for path in again)
        self._watcher = asyncio.create_task(self.customer.watch(self.site.url))
        self._begin(self.customer.resend(self.site.url))

    async def start(self) -> None:
        """Spawn, and wait until it serves."""
        await self.spawn()
        await self.wait_ready()

    def order(self, deck: Deck) -> "asyncio.Task[int | None]":
        """Send a deck."""
        return self._begin(self.customer.send(self.site.url, deck))

    async def kill(self) -> None:
        """`kill -9`, then look."""
        await self.site.kill()
        await self.look_after_death()

    async def look_after_death(self) -> None:
        """What must be true already between two processes."""
        await self._end_errands()
        known = await self._gather(await self._upstream.fetch_report())
        cut_off = [Place(*place) for place in list_cut_off(known.ledger)]
        self._cut_offs.update(cut_off)
        self.tally.kills += 1
        self.tally.in_flight += len(cut_off)
        self._blame(audit_crash(known))

    async def settle(self) -> None:
        """Wait until every batch has its end."""
        async with asyncio.timeout(_PATIENCE_S):
            if self._errands:
                await asyncio.wait(self._errands)
            await self.customer.wait_idle(self.site.url)

    async def finish(self) -> Tally:
        """The last audit: everything has its end, and the service stops in order."""
        if not self.site.is_up:
            await self.start()
        await self.settle()
        await self.customer.resend(self.site.url)
        await self.settle()
        await self.customer.ask_all(self.site.url)
        listed = await self.customer.list_batches(self.site.url)
        if (code := await self.site.stop()) != 0:
            self._blame([f"an orderly stop ended with {code}"])
        await self._end_errands()
        known = await self._gather(await self._fetch_quiet_report())
        if listed != known.ledger.keys():
            self._blame([f"the list has {listed}, the store {known.ledger.keys()}"])
        self._blame(audit_end(known))
        return self._sum_up(known)

    async def close(self) -> None:
        """End what is still there, however the life went."""
        await self.site.kill()
        await self._end_errands()

    def _begin(self, errand: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    async def _end_errands(self) -> None:
        """Let everyone hear what was said to them before the end; then they go home."""
        async with asyncio.timeout(_PATIENCE_S):
            ended = await asyncio.gather(*self._errands, return_exceptions=True)
        if self._watcher is not None:
            self._watcher.cancel()
            ended += await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        self._blame(repr(one) for one in ended if isinstance(one, Exception))

    def _blame(self, faults: Iterable[str]) -> None:
        self.faults |= dict.fromkeys(faults)

    async def _fetch_quiet_report(self) -> Report:
        """The bill, once the provider has ended what nobody listens to any more."""
        async with asyncio.timeout(_PATIENCE_S):
            while (report := await self._upstream.fetch_report()).bill.in_flight:
                await asyncio.sleep(_POLL_S)
        return report

    async def _gather(self, report: Report) -> Evidence:
        return Evidence(
            ledger=await read_ledger(self.site.database),
            calls=sort_calls(report),
            bill_usd=report.bill.bill_usd,
            customer=self.customer,
            site=self.site,
            cut_offs=self._cut_offs,
            codes=frozenset(self.codes),
            calls_once=self._policy == "fail",
        )

    def _sum_up(self, known: Evidence) -> Tally:
        self.tally.add(count_up(known))
        if self.tally.extra_calls > self.tally.in_flight:
            self._blame(["more extra calls than attempts in flight at the kills"])
        self.tally.violations = len(self.faults)
        return self.tally


@asynccontextmanager
async def living(
    folder: Path,
    *,
    policy: Policy = "fail",
    shape: Shape = "chat",
    plan: Plan = PLAN,
) -> AsyncIterator[Life]:
    """A life in `folder`, which is made; not yet begun, and with a provider of its own."""
    async with (
        spawn_upstream(plan) as upstream,
        living_on(upstream, folder, policy=policy, shape=shape) as life,
    ):
        yield life


@asynccontextmanager
async def living_on(
    upstream: RemoteUpstream, folder: Path, *, policy: Policy = "fail", shape: Shape = "chat"
) -> AsyncIterator[Life]:
    """The same with a provider that is there already, and whose bill is empty."""
    folder.mkdir()
    async with open_customer() as customer:
        site = Site(
            folder,
            LLM_IMAGE_API=shape,
            LLM_IMAGE_PATH="/images",  # where the provider says what a picture cost
            LLM_IMAGE_API_KEY="sk-crash-test",
            LLM_IMAGE_API_BASE=upstream.base_url,
            RESUME_IN_FLIGHT=policy,
        )
        life = Life(site, upstream, customer, policy=policy)
        try:
            yield life
        except BaseException as error:
            error.add_note(f"found until then: {[*life.faults]}")
            raise
        finally:
            await life.close()
