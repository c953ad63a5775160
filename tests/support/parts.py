"""Stand-ins for the engine's parts, in memory, whose time can be moved by hand."""

import asyncio
import hashlib
import io
import itertools
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Sequence,
)
from typing import Any, Self

import msgspec

from slideloom.domain.batch import BatchState, fold
from slideloom.domain.events import BatchSubmitted, Event
from slideloom.domain.images import FitMode, PictureFacts, inspect_picture
from slideloom.domain.keys import OnceKey
from slideloom.domain.prices import ROUNDING_USD
from slideloom.domain.ratio import Ratio
from slideloom.domain.status import to_summary
from slideloom.engine.allowance import Allowance
from slideloom.engine.batches import BatchEngine
from slideloom.engine.handler import BatchHandler
from slideloom.engine.lane import Lane
from slideloom.engine.lanes import Lanes
from slideloom.engine.local_work import LocalWork
from slideloom.engine.retry import RetryPolicy
from slideloom.engine.reuse import Results
from slideloom.engine.runs import EngineLimits, Runs
from slideloom.engine.shared_lane import SharedLane
from slideloom.engine.slide import SlideMaker, SlideRules
from slideloom.engine.work import BatchWork
from slideloom.errors import Fenced, KeyReused, LogMoved, StorageFull, StoreError, UnknownBatch
from slideloom.logs import Log
from slideloom.metrics import Metrics
from slideloom.providers.base import Checked, Drawn, DrawOrder
from slideloom.queues.base import Queue
from slideloom.queues.local import LocalQueue
from slideloom.stores.base import CachedResult, Encoded, Page, encode_event
from slideloom.stores.image_base import Draft
from slideloom.stores.pictures import fit_picture, shrink_reference, shrink_to_width
from slideloom.stores.shared_base import Missed, Ring
from slideloom.tracing import Tracer
from tests.support.pictures import picture

_numbers = itertools.count()
"""Of pictures, in all stores of the process."""


class MemoryBatchStore:
    """A `BatchStore` and a `ResultCache` that live as long as the test."""

    def __init__(self, *, cache_max_bytes: int = 10**12) -> None:
        self.cache_max_bytes = cache_max_bytes
        self.results: dict[str, CachedResult] = {}
        self.logs: dict[str, list[Event]] = {}
        self.epochs: dict[str, int] = {}
        self.keys: dict[str, tuple[OnceKey, str]] = {}
        self.spending: dict[tuple[str, str], float] = {}
        self.fails: Exception | None = None
        self._ears: set[asyncio.Queue[Ring | Missed]] = set()

    async def listen(self) -> AsyncGenerator[Ring | Missed, None]:
        """See `Doorbell`."""
        ear: asyncio.Queue[Ring | Missed] = asyncio.Queue()
        self._ears.add(ear)
        try:
            yield Missed()
            while True:
                yield await ear.get()
        finally:
            self._ears.discard(ear)

    async def create(
        self, batch_id: str, submitted: BatchSubmitted, *, key: OnceKey | None = None
    ) -> str:
        encode_event(submitted)
        await self._touch()
        if key is not None:
            taken = self.keys.get(key.text)
            if taken is not None and taken[0].until_s > submitted.at_s:
                if taken[0].digest != key.digest:
                    raise KeyReused(key.text)
                return taken[1]
            self.keys[key.text] = key, batch_id
        self.epochs[batch_id], self.logs[batch_id] = 1, [submitted]
        return batch_id

    async def lease(self, batch_id: str) -> int:
        await self._touch()
        if batch_id not in self.epochs:
            raise UnknownBatch(batch_id)
        self.epochs[batch_id] += 1
        return self.epochs[batch_id]

    async def append(
        self,
        batch_id: str,
        epoch: int | None,
        events: Sequence[Event | Encoded],
        *,
        at: int | None = None,
    ) -> int:
        encoded = [encode_event(event) for event in events]
        await self._touch()
        if epoch not in {None, self.epochs.get(batch_id)} or batch_id not in self.epochs:
            raise Fenced(batch_id, epoch)
        log = self.logs[batch_id]
        if at not in {None, len(log)}:
            raise LogMoved(batch_id, at or 0)
        log.extend(one.event for one in encoded)
        for ear in self._ears:
            ear.put_nowait(Ring(batch_id, len(log)))
        return len(log)

    async def _touch(self) -> None:
        """Take a moment, and fail if that is wanted."""
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails

    async def read(self, batch_id: str, *, after: int = 0) -> list[Event]:
        return self.logs.get(batch_id, [])[after:]

    async def list_batches(
        self, *, limit: int, cursor: str | None = None, owner: str | None = None
    ) -> Page:
        if cursor is not None:
            raise ValueError(cursor)
        states = [state for state in self._states(owner) if not state.order.is_single]
        return Page(batches=tuple(map(to_summary, reversed(states)))[:limit], next_cursor=None)

    async def find_unfinished(self) -> list[str]:
        return [state.batch_id for state in self._states() if not state.is_final]

    async def count_active(self, *, owner: str | None = None) -> int:
        return sum(not (one.is_final or one.order.is_single) for one in self._states(owner))

    async def forget_finished(self, *, before_s: float, now_s: float) -> int:
        self.keys = {text: kept for text, kept in self.keys.items() if kept[0].until_s > now_s}
        named = {batch_id for _, batch_id in self.keys.values()}
        old = [
            state.batch_id
            for state in self._states()
            if state.is_final and state.latest_at_s < before_s and state.batch_id not in named
        ]
        for batch_id in old:
            del self.logs[batch_id], self.epochs[batch_id]
        return len(old)

    async def find_named(self, key: OnceKey, *, now_s: float) -> str | None:
        kept, batch_id = self.keys.get(key.text, (key, None))
        if batch_id is None or kept.until_s <= now_s:
            return None
        if kept.digest != key.digest:
            raise KeyReused(key.text)
        return batch_id

    async def add_cost(
        self, owner: str, day: str, cost_usd: float, *, limit_usd: float | None = None
    ) -> bool:
        await self._touch()
        spent_usd = self.spending.get((owner, day), 0.0)
        is_over = limit_usd is not None and (
            spent_usd >= limit_usd - ROUNDING_USD or spent_usd + cost_usd > limit_usd + ROUNDING_USD
        )
        if not is_over:
            self.spending[owner, day] = spent_usd + cost_usd
        return not is_over

    async def find_cost(self, owner: str, day: str) -> float:
        await self._touch()
        return self.spending.get((owner, day), 0.0)

    def _states(self, owner: str | None = None) -> list[BatchState]:
        states = [fold(batch_id, log) for batch_id, log in self.logs.items()]
        return [state for state in states if owner in {None, state.order.owner}]

    async def find_many(self, keys: Collection[str], *, after_s: float) -> dict[str, CachedResult]:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        found = {key: self.results[key] for key in keys if key in self.results}
        return {key: result for key, result in found.items() if result.made_at_s >= after_s}

    async def put(self, key: str, result: CachedResult) -> None:
        msgspec.json.encode(result)
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        there = self.results.get(key)
        if there is None or there.made_at_s <= result.made_at_s:
            self.results[key] = result
        while sum(one.size_bytes for one in self.results.values()) > self.cache_max_bytes:
            del self.results[min(self.results, key=lambda one: self.results[one].made_at_s)]

    async def forget_results(self, *, before_s: float) -> int:
        old = [key for key, result in self.results.items() if result.made_at_s < before_s]
        for key in old:
            del self.results[key]
        return len(old)

    async def check(self) -> None:
        await self._touch()

    async def close(self) -> None:
        """Nothing is open."""


class MemoryDraft:
    """A `Draft` in memory."""

    def __init__(self, store: "MemoryImageStore", stem: str = "") -> None:
        self.stem = stem or f"slide_{next(_numbers):032x}"
        self._store = store
        self._buffer = io.BytesIO()

    async def write(self, piece: bytes | bytearray | memoryview) -> None:
        self._buffer.write(piece)

    async def rewind(self) -> None:
        self._buffer = io.BytesIO()

    async def inspect(self) -> PictureFacts:
        return inspect_picture(self._buffer)

    async def fit(self, ratio: Ratio, mode: FitMode) -> PictureFacts:
        inspect_picture(self._buffer)
        await asyncio.sleep(0)
        data = fit_picture(self._buffer.getvalue(), ratio, mode)
        self._buffer = io.BytesIO(data)
        return inspect_picture(self._buffer)

    async def keep(self) -> str:
        if self._store.keep_fails is not None:
            raise self._store.keep_fails
        name = f"{self.stem}.png"
        self._store.kept[name] = self._buffer.getvalue()
        return name

    async def discard(self) -> None:
        self._store.discarded += 1


class MemoryImageStore:
    """An `ImageStore` in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.references: dict[str, bytes] = {}
        self.discarded = 0
        self.full = False
        self.keep_fails: Exception | None = None
        self.forgotten_s: list[float] = []
        """Before which times pictures were to be deleted; it knows of none when it was kept."""

    async def check_space(self) -> None:
        if self.full:
            message = "0 MB free"
            raise StorageFull(message)

    async def open_draft(self, *, page_num: int | None) -> MemoryDraft:
        await self.check_space()
        return MemoryDraft(self, f"slide_{page_num or 0:03d}_{next(_numbers):032x}")

    async def find_kept(self, stem: str) -> tuple[str, PictureFacts] | None:
        data = self.kept.get(f"{stem}.png")
        return None if data is None else (f"{stem}.png", inspect_picture(io.BytesIO(data)))

    async def read(self, name: str) -> bytes:
        if name not in self.kept:
            raise StoreError(name)
        return self.kept[name]

    async def measure(self, names: Collection[str]) -> dict[str, int]:
        return {name: len(self.kept[name]) for name in names if name in self.kept}

    def read_pieces(self, name: str) -> Iterator[bytes]:
        if name not in self.kept:
            raise StoreError(name)
        yield self.kept[name]

    async def read_small(self, name: str, *, width_px: int) -> bytes:
        return shrink_to_width(await self.read(name), width_px)

    async def forget_old(self, *, before_s: float) -> int:
        self.forgotten_s.append(before_s)
        return 0

    async def keep_reference(self, data: bytes) -> str:
        await self.check_space()
        _, small = shrink_reference(data)
        name = f"ref_{hashlib.sha256(small).hexdigest()}.jpg"
        self.references[name] = small
        return name

    async def read_as_reference(self, name: str) -> bytes:
        _, small = shrink_reference(await self.read(name))
        return small

    async def read_reference(self, name: str) -> bytes:
        if name not in self.references:
            raise StoreError(name)
        return self.references[name]


Behaviour = Callable[[DrawOrder, Draft], Awaitable[Drawn]]


class ScriptedProvider:
    """A `Provider` that does, call by call, what the test says; then it makes pictures."""

    name = "scripted"
    model = "scripted-1"

    def __init__(
        self,
        *script: Exception | bytes,
        seconds: float = 1.0,
        bills: bool = True,
        cost_usd: float | None = 0.04,
    ) -> None:
        self._script = iter(script)
        self._seconds = seconds
        self._cost_usd = cost_usd
        self.bills = bills
        self.calls: list[DrawOrder] = []
        self.under_way = 0
        self.most_under_way = 0

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        self.calls.append(order)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.under_way -= 1
        act = next(self._script, None)
        if isinstance(act, Exception):
            raise act
        await draft.write(picture() if act is None else act)
        model = order.model or self.model
        return Drawn(provider=self.name, model=model, cost_usd=self._cost_usd, request_id="r-1")

    async def check(self, *models: str) -> Checked:
        return Checked(f"{len(models)} models are well")

    async def close(self) -> None:
        """Nothing is open."""


class RecordingLog:
    """A `Log` that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})

    warning = error = info

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


class Place:
    """Where a workshop's batches are made: in its own process."""

    def build_queue(self, concurrency: int) -> Queue:
        """What carries batches to where they are made."""
        return LocalQueue(concurrency=concurrency)

    def build_work(self, shop: "Workshop", log: Log) -> BatchWork:
        """Whom the engine asks to make them."""
        return LocalWork(shop.runs, store=shop.store, log=log)

    async def begin(self, shop: "Workshop") -> None:
        """The workshop opens."""

    async def end(self, shop: "Workshop") -> None:
        """The workshop closes."""


class Workshop:
    """An engine over stand-ins; several providers stand for several keys."""

    place = Place()

    def __init__(self, *providers: ScriptedProvider, **changes: Any) -> None:
        self.providers = providers or (ScriptedProvider(),)
        self.provider = self.providers[0]
        self.store = changes.pop("store", None) or MemoryBatchStore()
        self.images = changes.pop("images", None) or MemoryImageStore()
        self.log = RecordingLog()
        self.metrics = Metrics()
        log: Log = self.log  # type: ignore[assignment]  # only what the engine calls
        concurrency = changes.pop("concurrency", 50)
        rules: dict[str, Any] = {"slide_timeout_s": 120.0, "aspect_fix": "off"}
        rules |= {name: changes.pop(name) for name in [*rules] if name in changes}
        start, board = changes.pop("lane_start", 200), changes.pop("board", None)
        self.lanes = Lanes(
            [
                Lane(provider, start=start)
                if board is None
                else SharedLane(provider, start=start, board=board, name=f"key {key}", log=log)
                for key, provider in enumerate(self.providers)
            ],
            log=log,
            fallback_model=changes.pop("fallback_model", None),
        )
        self.maker = SlideMaker(
            lanes=self.lanes,
            images=self.images,
            results=Results(
                self.store,
                self.images,
                source="",
                finish=rules["aspect_fix"],
                ttl_s=changes.pop("cache_ttl_s", 86400.0),
                log=log,
            ),
            rules=SlideRules(retry=RetryPolicy(**changes.pop("policy", {})), **rules),
            allowance=None
            if (limit_usd := changes.pop("limit_usd", None)) is None
            else Allowance(self.store, limit_usd=limit_usd, log=log),
        )
        limits: dict[str, Any] = {
            "slide_timeout_s": rules["slide_timeout_s"],
            "batch_timeout_s": 0.0,
            "single_workers": 10,
            "keep_finished_s": 86400.0,
        }
        shared: dict[str, Any] = {
            "store": self.store,
            "maker": self.maker,
            "limits": EngineLimits(**limits | changes),
            "log": log,
        }
        self.queue = self.place.build_queue(concurrency)
        self.runs = Runs(queue=self.queue, metrics=self.metrics, tracer=Tracer(), **shared)
        self.handler = BatchHandler(self.runs, store=self.store, images=self.images, log=log)
        self.engine = BatchEngine(work=self.place.build_work(self, log), **shared)

    async def __aenter__(self) -> Self:
        await self.place.begin(self)
        await self.engine.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.place.end(self)
        await self.engine.stop(grace_s=0.0)
