"""A whole cluster on this machine: Redis, APIs, workers and a provider, each a process.

It takes the crash harness' word for what must hold: customers remember what they were told, and
in the end bill, store, disk and answers are compared.
"""

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from msgspec import Struct
from redis.asyncio import Redis

from slideloom.stores.files import FileImageStore
from slideloom.stores.redis import RedisBatchStore
from tests.support.crash.audit import Evidence, Place, audit_end, count_up, sort_calls
from tests.support.crash.customer import Customer
from tests.support.crash.decks import Deck, DeckPress
from tests.support.crash.ledger import Ledger, list_cut_off, read_all
from tests.support.crash.life import Policy
from tests.support.crash.site import Site
from tests.support.crash.tally import Tally
from tests.support.process import SLIDELOOM
from tests.support.redis_server import RedisServer, redis_server
from tests.support.upstream import Call, Plan, RemoteUpstream, Report, spawn_upstream

IDLE_TIMEOUT_S: Final = 20.0
"""After which a worker counts as dead, and up to a quarter later; what operators have."""
_STREAM: Final = "streaq:slideloom:queues:normal"
_GROUP: Final = "workers"
_ROOT: Final = Path(__file__).parents[2]
_PATIENCE_S: Final = 120.0
"""For whatever must come to an end by itself, on a busy machine."""
_POLL_S: Final = 0.05
_WATCH_S: Final = 0.3
"""Between a customer's rounds of questions."""


class Answer(Struct, frozen=True):
    """What a request was answered."""

    status: int
    body: Any
    headers: Mapping[str, str]
    took_s: float


class Cluster:
    """Its processes and its customers; made by `running_cluster`."""

    def __init__(
        self,
        folder: Path,
        redis: RedisServer,
        upstream: RemoteUpstream,
        client: aiohttp.ClientSession,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.redis = redis
        self.upstream = upstream
        self.customer = Customer(client)
        self.press = DeckPress()
        self.apis: list[Site] = []
        self.workers: list[Site] = []
        self.faults: dict[str, None] = {}
        """What was found wrong, each once."""
        self.codes: set[str] = set()
        """What a slide may end in, if it is not done."""
        self.cut_offs: Counter[Place] = Counter()
        """How often an attempt was under way on a worker that was struck, by slide."""
        self.zero_s = 0.0
        """When the provider's bill began, on the monotonic clock."""
        self.commands = Redis(host="127.0.0.1", port=redis.port)
        self._client = client
        self._settings = settings
        self._first_consumer = ""
        self._errands: set[asyncio.Task[Any]] = set()

    # Processes.

    async def start(self, *, apis: int = 1, workers: int) -> None:
        """Start so many."""
        await self._reset_bill()
        self.apis = [self._build((SLIDELOOM, "serve")) for _ in range(apis)]
        self.workers = [self._build(_to_worker(IDLE_TIMEOUT_S)) for _ in range(workers)]
        await asyncio.gather(*(site.start() for site in (*self.apis, *self.workers)))

    async def start_with_known(self, *, workers: int, idle_timeout_s: float) -> None:
        """Start an API and workers, the first one alone at first.

        It makes a deck of one slide: then the queue knows it by name, and its batches can be told
        from the others'.
        """
        await self.start(workers=0)
        self.workers = [self._build(_to_worker(idle_timeout_s)) for _ in range(workers)]
        await self.workers[0].start()
        await self.wait_final(await self.order(self.press.make(slides=1, workers=1)))
        (consumer,) = await self.commands.xinfo_consumers(_STREAM, _GROUP)
        self._first_consumer = consumer["name"].decode()
        await asyncio.gather(*(site.start() for site in self.workers[1:]))

    def begin_watch(self) -> None:
        """Have a customer ask all APIs in turn about what is open."""
        for api in self.apis:
            self._send_out(self.customer.watch(api.url, pause_s=_WATCH_S))

    def count_connections(self, site: Site) -> int:
        """How many connections a process has to Redis."""
        held = set()
        for link in Path(f"/proc/{site.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed just now
                held.add(str(link.readlink()))
        # Remote address and port in hexadecimal, and the socket's inode. Source: proc(5).
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        fields = [line.split() for line in lines]
        port = f":{self.redis.port:04X}"
        return sum(one[2].endswith(port) and f"socket:[{one[9]}]" in held for one in fields)

    def list_down(self) -> list[Site]:
        """The processes that have ended."""
        return [site for site in (*self.apis, *self.workers) if not site.is_up]

    def count_lines(self, text: str) -> int:
        """How many lines of all processes' logs hold it."""
        logs = (self.folder / "logs").glob("*.log")
        return sum(text in line for path in logs for line in path.read_text().splitlines())

    async def note_struck(self) -> int:
        """Look what the first worker, stopped just now, has under way; how many calls that is."""
        held = await self._list_held(self._first_consumer)
        struck = [
            Place(*place) for place in list_cut_off(await self.read_store()) if place[0] in held
        ]
        self.cut_offs.update(struck)
        return len(struck)

    async def close(self) -> None:
        """End what is still there."""
        for errand in self._errands:
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
        await asyncio.gather(*(site.kill() for site in (*self.apis, *self.workers)))
        await self.commands.aclose()

    # Orders.

    async def ask(
        self, method: str, path: str, *, api: int = 0, body: Any = None, **headers: str
    ) -> Answer:
        """Ask one of the APIs; `path` without `/api` in front, headers with `_` for `-`."""
        began_s = time.monotonic()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.apis[api].url}{path}"
        async with self._client.request(method, url, json=body, headers=named) as answer:
            found = await answer.json(content_type=None)
            took_s = time.monotonic() - began_s
            return Answer(answer.status, found, answer.headers, took_s)

    async def fetch(self, path: str, *, api: int = 0) -> bytes:
        """What is served there."""
        async with self._client.get(f"{self.apis[api].url}{path}") as answer:
            assert answer.status == 200, answer
            return await answer.read()

    async def get_batch(self, batch_id: str, *, api: int = 0) -> Any:
        """A batch's status."""
        answer = await self.ask("GET", f"/api/slide/batch/{batch_id}", api=api)
        assert answer.status == 200, answer
        return answer.body

    async def change(self, batch_id: str, what: str, *, api: int = 0) -> Any:
        """`cancel`, `retry`, `slides/s0/regenerate`, ...: the batch as it is then."""
        answer = await self.ask("POST", f"/api/slide/batch/{batch_id}/{what}", api=api)
        assert answer.status in {200, 202}, answer
        return answer.body

    async def order(self, deck: Deck, *, api: int = 0) -> str:
        """Order a deck without waiting for its end; the batch's id."""
        assert await self.customer.send(self.apis[api].url, deck, waits=False) == 202
        return next(one for one, known in self.customer.accepted.items() if known is deck)

    async def count_active(self, *, api: int = 0) -> int:
        """Batches not final, as that API says."""
        answer = await self.ask("GET", "/api/slide/batch/active-count", api=api)
        return int(answer.body["active_batches"])

    # Waiting.

    async def wait_until(
        self, is_so: Callable[[], Coroutine[Any, Any, bool]], *, timeout_s: float = _PATIENCE_S
    ) -> None:
        """Ask until it is so."""
        async with asyncio.timeout(timeout_s):
            while not await is_so():
                await asyncio.sleep(_POLL_S)

    async def wait_final(self, batch_id: str, *, api: int = 0) -> Any:
        """The batch's status once it has ended."""
        async with asyncio.timeout(_PATIENCE_S):
            while (body := await self.get_batch(batch_id, api=api))["status"] not in _FINAL:
                await asyncio.sleep(_POLL_S)
        return body

    async def wait_calls(self, count: int, *, tag: str = "", every_s: float = 0.1) -> list[Call]:
        """The calls that the provider has answered, once there are so many."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                calls = (await self.upstream.fetch_report()).bill.find(tag)
                if len(ended := [call for call in calls if call.ended_s is not None]) >= count:
                    return ended
                await asyncio.sleep(every_s)

    async def settle(self, *, api: int = 0, timeout_s: float = _PATIENCE_S) -> float:
        """Wait until every batch has its end; how long that took."""
        began_s = time.monotonic()
        async with asyncio.timeout(timeout_s):
            while await self.count_active(api=api):
                await asyncio.sleep(4 * _POLL_S)
        return time.monotonic() - began_s

    # Books.

    async def read_store(self) -> Ledger:
        """Every batch as Redis has it."""
        store = await RedisBatchStore.open(self.redis.url)
        try:
            return await read_all(store)
        finally:
            await store.close()

    async def finish(self, *, calls_once: bool = False) -> Tally:
        """The audit: every batch has its end, every process stops in order, the books agree."""
        await self.settle()
        for api in self.apis:
            await self.customer.ask_all(api.url)
        listed = [await self.customer.list_batches(api.url) for api in self.apis]
        await self._stop()
        ledger = await self.read_store()
        if any(ids != ledger.keys() for ids in listed):
            self._blame([f"the lists have {listed}, the store {ledger.keys()}"])
        await self._sweep()
        report = await self._fetch_quiet_report()
        known = Evidence(
            ledger=ledger,
            calls=sort_calls(report),
            bill_usd=report.bill.bill_usd,
            customer=self.customer,
            site=self.apis[0],
            cut_offs=self.cut_offs,
            codes=frozenset(self.codes),
            calls_once=calls_once,
        )
        self._blame(audit_end(known))
        return count_up(known)

    async def _stop(self) -> None:
        for errand in self._errands:
            errand.cancel()
        ended = await asyncio.gather(*self._errands, return_exceptions=True)
        self._blame([repr(one) for one in ended if isinstance(one, Exception)])
        sites = [site for site in (*self.workers, *self.apis) if site.is_up]
        codes = await asyncio.gather(*(site.stop() for site in sites))
        self._blame([f"orderly stops ended with {codes}"] if any(codes) else [])

    async def _sweep(self) -> None:
        """What a killed worker left half-written goes when the folder is opened by the first."""
        assets = self.folder / "static" / "assets"
        await (await FileImageStore.open(assets, min_free_mb=0, shared=True)).close()

    async def _fetch_quiet_report(self) -> Report:
        """The bill, once the provider has ended what nobody listens to any more."""
        async with asyncio.timeout(_PATIENCE_S):
            while (report := await self.upstream.fetch_report()).bill.in_flight:
                await asyncio.sleep(_POLL_S)
        return report

    def _blame(self, faults: Sequence[str]) -> None:
        self.faults |= dict.fromkeys(faults)

    def _send_out(self, errand: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)

    def _build(self, program: Sequence[str]) -> Site:
        return Site(self.folder, program=program, **self._settings)

    async def _reset_bill(self) -> None:
        began_s = time.monotonic()
        await self.upstream.reset()
        self.zero_s = (began_s + time.monotonic()) / 2

    async def _list_held(self, consumer: str) -> set[str]:
        """The batches that a worker has taken and not ended."""
        pending = await self.commands.xpending_range(
            _STREAM, _GROUP, min="-", max="+", count=1000, consumername=consumer
        )
        numbers = {entry["message_id"] for entry in pending}
        entries: Any = await self.commands.xrange(_STREAM)
        return {fields[b"task_id"].decode() for number, fields in entries if number in numbers}


_FINAL: Final = ("completed", "failed")


def _to_worker(idle_timeout_s: float) -> Sequence[str]:
    if idle_timeout_s == IDLE_TIMEOUT_S:
        return (SLIDELOOM, "worker")
    return (sys.executable, "-m", "tests.support.quick_worker", str(idle_timeout_s))


@asynccontextmanager
async def running_cluster(
    folder: Path, *, plan: Plan, policy: Policy = "fail", **settings: object
) -> AsyncIterator[Cluster]:
    """Redis and a provider, and whatever is started of the rest; all of it is ended."""
    site = folder / "site"
    for place in (site, folder / "redis"):
        place.mkdir(parents=True)
    timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
    connector = aiohttp.TCPConnector(limit=0)
    with redis_server(folder / "redis") as redis:
        async with (
            spawn_upstream(plan) as upstream,
            aiohttp.ClientSession(connector=connector, timeout=timeout) as client,
        ):
            environ = {
                "PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}",
                "STORE": redis.url,
                "QUEUE": redis.url,
                "LLM_IMAGE_API": "chat",
                "LLM_IMAGE_API_KEY": "sk-cluster-test",
                "LLM_IMAGE_API_BASE": upstream.base_url,
                "RESUME_IN_FLIGHT": policy,
            }
            cluster = Cluster(site, redis, upstream, client, **environ | settings)
            try:
                yield cluster
            except BaseException as error:
                error.add_note(f"found until then: {[*cluster.faults]}")
                raise
            finally:
                await cluster.close()
