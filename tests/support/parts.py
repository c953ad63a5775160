"""Stand-ins for the engine's parts, in memory, whose time can be moved by hand."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

from slideloom.domain.batch import fold
from slideloom.domain.events import BatchFinished, Event
from slideloom.domain.images import PictureFacts, inspect_picture
from slideloom.domain.status import to_summary
from slideloom.engine.batches import BatchEngine, EngineLimits
from slideloom.engine.lanes import Lane
from slideloom.engine.retry import RetryPolicy
from slideloom.engine.slide import SlideMaker
from slideloom.errors import Fenced, StorageFull
from slideloom.logs import Log
from slideloom.providers.base import Drawn, DrawOrder
from slideloom.queues.local import LocalQueue
from slideloom.stores.base import Draft, Page
from tests.support.pictures import picture


class MemoryBatchStore:
    """A `BatchStore` that lives as long as the test."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Event]] = {}
        self.epochs: dict[str, int] = {}
        self.fails: Exception | None = None

    async def lease(self, batch_id: str) -> int:
        self.epochs[batch_id] = self.epochs.get(batch_id, 0) + 1
        return self.epochs[batch_id]

    async def append(self, batch_id: str, epoch: int, events: Sequence[Event]) -> int:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        if self.epochs.get(batch_id) != epoch:
            raise Fenced(batch_id, epoch)
        log = self.logs.setdefault(batch_id, [])
        log.extend(events)
        return len(log)

    async def read(self, batch_id: str, *, after: int = 0) -> list[Event]:
        return self.logs.get(batch_id, [])[after:]

    async def list_batches(self, *, limit: int, cursor: str | None = None) -> Page:
        if cursor is not None:
            raise ValueError(cursor)
        states = [fold(batch_id, log) for batch_id, log in self.logs.items()]
        return Page(batches=tuple(map(to_summary, reversed(states)))[:limit], next_cursor=None)

    async def find_unfinished(self) -> list[str]:
        return [key for key, log in self.logs.items() if not isinstance(log[-1], BatchFinished)]

    async def forget_finished(self, *, before_s: float) -> int:
        old = [
            key
            for key, log in self.logs.items()
            if isinstance(log[-1], BatchFinished) and log[-1].at_s < before_s
        ]
        for key in old:
            del self.logs[key]
        return len(old)

    async def close(self) -> None:
        """Nothing is open."""


class MemoryDraft:
    """A `Draft` in memory."""

    def __init__(self, store: "MemoryImageStore") -> None:
        self._store = store
        self._buffer = io.BytesIO()

    async def write(self, piece: bytes | bytearray | memoryview) -> None:
        self._buffer.write(piece)

    async def rewind(self) -> None:
        self._buffer = io.BytesIO()

    async def inspect(self) -> PictureFacts:
        return inspect_picture(self._buffer)

    async def keep(self, *, page_num: int | None) -> str:
        if self._store.keep_fails is not None:
            raise self._store.keep_fails
        name = f"slide_{page_num or 0:03d}_{len(self._store.kept):032x}.png"
        self._store.kept[name] = self._buffer.getvalue()
        return name

    async def discard(self) -> None:
        self._store.discarded += 1


class MemoryImageStore:
    """An `ImageStore` in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.discarded = 0
        self.full = False
        self.keep_fails: Exception | None = None

    async def check_space(self) -> None:
        if self.full:
            message = "0 MB free"
            raise StorageFull(message)

    async def open_draft(self) -> MemoryDraft:
        await self.check_space()
        return MemoryDraft(self)


Behaviour = Callable[[DrawOrder, Draft], Awaitable[Drawn]]


class ScriptedProvider:
    """A `Provider` that does, call by call, what the test says; then it makes pictures."""

    name = "scripted"
    model = "scripted-1"

    def __init__(
        self, *script: Exception | bytes, seconds: float = 1.0, bills: bool = True
    ) -> None:
        self._script = iter(script)
        self._seconds = seconds
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
        return Drawn(provider=self.name, model=self.model, cost_usd=0.04, request_id="r-1")

    async def check(self) -> str:
        return "all is well"

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


class Workshop:
    """An engine over stand-ins."""

    def __init__(self, provider: ScriptedProvider | None = None, **changes: Any) -> None:
        self.provider = provider or ScriptedProvider()
        self.store = changes.pop("store", None) or MemoryBatchStore()
        self.images = MemoryImageStore()
        self.log = RecordingLog()
        concurrency = changes.pop("concurrency", 50)
        policy = RetryPolicy(**changes.pop("policy", {}))
        limits: dict[str, Any] = {
            "slide_timeout_s": 120.0,
            "batch_timeout_s": 0.0,
            "single_workers": 10,
            "keep_finished_s": 86400.0,
        }
        log: Log = self.log  # type: ignore[assignment]  # only what the engine calls
        limits |= changes
        self.maker = SlideMaker(
            provider=self.provider,
            lane=Lane(backoff_base_s=policy.backoff_base_s),
            images=self.images,
            policy=policy,
            slide_timeout_s=limits["slide_timeout_s"],
        )
        self.engine = BatchEngine(
            store=self.store,
            queue=LocalQueue(concurrency=concurrency),
            maker=self.maker,
            limits=EngineLimits(**limits),
            log=log,
        )

    async def __aenter__(self) -> Self:
        await self.engine.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.stop(grace_s=0.0)
