"""One life's way to store and disk: each step may be its last, and what is written is witnessed."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from slideloom.domain.batch import BatchState, fold
from slideloom.domain.events import BatchSubmitted, Event
from slideloom.domain.images import FitMode, PictureFacts
from slideloom.domain.keys import OnceKey
from slideloom.domain.ratio import Ratio
from slideloom.stores.base import CachedResult, Encoded, Page, encode_event
from slideloom.stores.image_base import Draft
from slideloom.stores.schema import _migrate
from slideloom.stores.sqlite import SqliteBatchStore
from slideloom.stores.thread import _run_group
from tests.support.parts import MemoryBatchStore

_T = TypeVar("_T")

Book = Callable[[str, Sequence[Event]], None]


class Pace:
    """How long a life's steps at store and disk take, and how many it has left."""

    def __init__(self, *, before: int, after: int, seconds: float) -> None:
        """Take the loop steps before and after each effect, and the seconds before."""
        self._before = before
        self._after = after
        self._seconds = seconds

    async def lag(self) -> None:
        """Before the effect."""
        for _ in range(self._before):
            await asyncio.sleep(0)
        if self._seconds:
            await asyncio.sleep(self._seconds)

    async def lag_behind(self) -> None:
        """Between the effect and its being known."""
        for _ in range(self._after):
            await asyncio.sleep(0)


class Passage:
    """What one life does outside passes here; nothing of a life that is over does."""

    def __init__(self, pace: Pace, *, end_life: Callable[[], None]) -> None:
        self.is_open = True
        self.steps_left: int | None = None
        """Until the power is cut; `None`: it is not."""
        self._pace = pace
        self._end_life = end_life

    def touch(self) -> None:
        """One step.

        Raises:
            CancelledError: the life is over; this was its last step, or it has ended before.
        """
        if self.is_open and self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left <= 0:
                self._end_life()
        if not self.is_open:
            raise asyncio.CancelledError

    async def through(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Do `work` outside: a step before its effect, and one behind it."""
        self.touch()
        await self._pace.lag()
        done = await work()
        self.touch()
        await self._pace.lag_behind()
        return done


class WitnessedStore:
    """A batch store and result cache; what was written stands in the book at once."""

    def __init__(self, store: Any, passage: Passage, *, opened: Any, written: Book) -> None:
        self._store = store
        self._passage = passage
        self._opened = opened
        self._written = written

    async def create(
        self, batch_id: str, submitted: BatchSubmitted, *, key: OnceKey | None = None
    ) -> str:
        async def create() -> str:
            taken: str = await self._store.create(batch_id, submitted, key=key)
            self._opened(batch_id, taken, submitted, key)
            return taken

        return await self._passage.through(create)

    async def append(
        self,
        batch_id: str,
        epoch: int | None,
        events: Sequence[Event | Encoded],
        *,
        at: int | None = None,
    ) -> int:
        async def append() -> int:
            seq: int = await self._store.append(batch_id, epoch, events, at=at)
            self._written(batch_id, [encode_event(event).event for event in events])
            return seq

        return await self._passage.through(append)

    async def lease(self, batch_id: str) -> int:
        return await self._passage.through(lambda: self._store.lease(batch_id))

    async def read(self, batch_id: str, *, after: int = 0) -> list[Event]:
        return await self._passage.through(lambda: self._store.read(batch_id, after=after))

    async def list_batches(
        self, *, limit: int, cursor: str | None = None, owner: str | None = None
    ) -> Page:
        return await self._passage.through(
            lambda: self._store.list_batches(limit=limit, cursor=cursor, owner=owner)
        )

    async def find_named(self, key: OnceKey, *, now_s: float) -> str | None:
        return await self._passage.through(lambda: self._store.find_named(key, now_s=now_s))

    async def find_unfinished(self) -> list[str]:
        return await self._passage.through(self._store.find_unfinished)

    async def forget_finished(self, *, before_s: float, now_s: float) -> int:
        return await self._passage.through(
            lambda: self._store.forget_finished(before_s=before_s, now_s=now_s)
        )

    async def find_many(self, keys: Collection[str], *, after_s: float) -> dict[str, CachedResult]:
        return await self._passage.through(lambda: self._store.find_many(keys, after_s=after_s))

    async def put(self, key: str, result: CachedResult) -> None:
        await self._passage.through(lambda: self._store.put(key, result))

    async def forget_results(self, *, before_s: float) -> int:
        return await self._passage.through(lambda: self._store.forget_results(before_s=before_s))

    async def close(self) -> None:
        """It outlives the life."""


class WitnessedImages:
    """An image store, by the same passage."""

    def __init__(self, images: Any, passage: Passage) -> None:
        self._images = images
        self._passage = passage

    async def check_space(self) -> None:
        await self._passage.through(self._images.check_space)

    async def open_draft(self, *, page_num: int | None) -> "WitnessedDraft":
        async def begin() -> WitnessedDraft:
            draft = await self._images.open_draft(page_num=page_num)
            return WitnessedDraft(draft, self._passage)

        return await self._passage.through(begin)

    async def find_kept(self, stem: str) -> tuple[str, PictureFacts] | None:
        return await self._passage.through(lambda: self._images.find_kept(stem))

    async def read(self, name: str) -> bytes:
        return await self._passage.through(lambda: self._images.read(name))

    async def exists(self, names: Collection[str]) -> set[str]:
        return await self._passage.through(lambda: self._images.exists(names))

    async def read_as_reference(self, name: str) -> bytes:
        """As it is: making it smaller takes its time, and is not the question."""
        return await self.read(name)


class WitnessedDraft:
    """A draft, by the same passage."""

    def __init__(self, draft: Draft, passage: Passage) -> None:
        self.stem = draft.stem
        self.opened_s = asyncio.get_running_loop().time()
        self._draft = draft
        self._passage = passage

    async def write(self, piece: bytes | bytearray | memoryview) -> None:
        await self._passage.through(lambda: self._draft.write(piece))

    async def rewind(self) -> None:
        await self._passage.through(self._draft.rewind)

    async def inspect(self) -> PictureFacts:
        return await self._passage.through(self._draft.inspect)

    async def fit(self, ratio: Ratio, mode: FitMode) -> PictureFacts:
        return await self._passage.through(lambda: self._draft.fit(ratio, mode))

    async def keep(self) -> str:
        return await self._passage.through(self._draft.keep)

    async def discard(self) -> None:
        await self._passage.through(self._draft.discard)


class QuickMemoryStore(MemoryBatchStore):
    """One that folds no log twice: a cleaner looks at all of them each ten minutes."""

    def __init__(self) -> None:
        super().__init__()
        self._folded: dict[str, tuple[int, BatchState]] = {}

    def _states(self, owner: str | None = None) -> list[BatchState]:
        states = [self._fold(batch_id, log) for batch_id, log in self.logs.items()]
        return [state for state in states if owner in {None, state.order.owner}]

    def _fold(self, batch_id: str, log: list[Event]) -> BatchState:
        known = self._folded.get(batch_id)
        if known is None or known[0] != len(log):
            known = self._folded[batch_id] = len(log), fold(batch_id, log)
        return known[1]


class InlineSqliteStore(SqliteBatchStore):
    """The real SQL in memory, without a thread: in virtual time nobody waits for one."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        _migrate(self._db, 0)
        self._cache_max_bytes = 10**12

    async def _ask(self, command: Callable[[sqlite3.Connection], _T]) -> _T:
        await asyncio.sleep(0)
        (answer,) = _run_group(self._db, [command])
        if isinstance(answer, Exception):
            raise answer
        done: _T = answer
        return done

    async def close(self) -> None:
        self._db.close()
