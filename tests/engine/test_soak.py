"""A day of traffic in virtual time: when it is over, nothing of it is left."""

import asyncio
import gc
import random
import tracemalloc
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct

from slideloom.clock import wall_s
from slideloom.domain.batch import BatchState
from slideloom.domain.keys import OnceKey
from slideloom.engine.timeline import Timeline
from slideloom.errors import RequestError
from slideloom.providers.base import Checked, Drawn, DrawOrder
from slideloom.stores.image_base import Draft
from slideloom.web.statuses import encode_status
from tests.load.gauges import find_slope
from tests.support.histories.clocks import HistoryLoop, wall_clock
from tests.support.histories.life import Life, Setup, find_leaks
from tests.support.histories.upstream import FAULTS
from tests.support.histories.witness import InlineSqliteStore
from tests.support.orders import order, slide
from tests.support.parts import MemoryImageStore, Workshop
from tests.support.pictures import picture

_HOUR_S: Final = 3600.0
_KEEP_S: Final = 2 * _HOUR_S
"""Records, idempotency keys, cached results and pictures: all of them come and go in a day."""
_WARM_HOURS: Final = 6
"""By then as much goes as comes."""
_MOST_MB_AN_HOUR: Final = 1.0
"""Source: reliability notes, R16."""
_DECK_EVERY_S: Final = 150.0
_FAULTY: Final = 0.12
_TOLD_FAULTS: Final = [name for name in FAULTS if name not in {"key refused", "account empty"}]
"""Those that a key survives."""


class _Upstream:
    """A provider whose calls fail at times, and of which nothing is remembered."""

    name, model, bills = "scripted", "scripted-1", True

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def draw(self, asked: DrawOrder, draft: Draft) -> Drawn:
        await asyncio.sleep(self._rng.lognormvariate(2.0, 0.5))
        if self._rng.random() < _FAULTY:
            error = FAULTS[self._rng.choice(_TOLD_FAULTS)]()
            raise error
        await draft.write(picture())
        return Drawn(provider=self.name, model=asked.model or self.model, cost_usd=0.04)

    async def check(self, *models: str) -> Checked:
        return Checked(f"{len(models)} models are well")

    async def close(self) -> None:
        """Nothing is open."""


class _AgingImages(MemoryImageStore):
    """Knows how old its pictures are."""

    def __init__(self) -> None:
        super().__init__()
        self._seen_at_s: dict[str, float] = {}

    async def forget_old(self, *, before_s: float) -> int:
        for name in self.kept:
            self._seen_at_s.setdefault(name, wall_s())
        old = [name for name, at_s in self._seen_at_s.items() if at_s < before_s]
        for name in old:
            del self.kept[name], self._seen_at_s[name]
        return len(old)


class Held(Struct, frozen=True):
    """What a service holds on to."""

    tasks: int
    timelines: int
    files: int
    pictures: int
    rows: dict[str, int]
    """Of each table."""
    leaks: tuple[str, ...] = ()
    """Places, slots and wishes, in words."""


class Day:
    """A service and its users; each user is a task."""

    def __init__(self, shop: Workshop, rng: random.Random) -> None:
        self._shop = shop
        self._engine = shop.engine
        self._rng = rng
        self._users: set[asyncio.Task[None]] = set()
        self._lately: deque[str] = deque(maxlen=200)
        """Ids that somebody may still ask for, gone or not."""
        self.ordered = 0

    async def go_on(self, hours: float) -> None:
        """Have decks arrive for so long."""
        until_s = asyncio.get_running_loop().time() + hours * _HOUR_S
        while asyncio.get_running_loop().time() < until_s:
            await asyncio.sleep(self._rng.expovariate(1 / _DECK_EVERY_S))
            self._send(self._order())

    async def have_quiet(self, hours: float) -> None:
        """Nobody comes any more."""
        while self._users:
            await asyncio.wait(self._users)
        await asyncio.sleep(hours * _HOUR_S)

    def _send(self, user: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(user, name="user")
        self._users.add(task)
        task.add_done_callback(self._users.discard)

    def _happens(self, share: float) -> bool:
        return self._rng.random() < share

    async def _order(self) -> None:
        self.ordered += 1
        # Some decks are like others, for the cache.
        number = self._rng.randrange(20) if self._happens(0.3) else 1000 + self.ordered
        slides = tuple(
            slide(n, title=f"deck {number}, {n}") for n in range(1, self._rng.randint(2, 12))
        )
        if self._happens(0.1):
            await self._engine.make_single(order(slides[:1], is_single=True))
            return
        key = OnceKey(text=f"key {number}", digest=f"{number}", until_s=wall_s() + _KEEP_S)
        timeline, _ = await self._engine.submit_once(
            order(slides, cache=True), key if self._happens(0.2) else None
        )
        batch_id = timeline.state.batch_id
        self._lately.append(batch_id)
        for _ in range(self._rng.randrange(4)):
            self._send(self._read(timeline))
        self._send(self._poll(batch_id))
        if self._happens(0.15):
            await asyncio.sleep(self._rng.random() * 60)
            await self._engine.cancel(batch_id)
        await timeline.wait_finished(timeout_s=None)
        await self._change(timeline)

    async def _change(self, timeline: Timeline) -> None:
        state: BatchState = timeline.state
        await asyncio.sleep(self._rng.random() * 1.5 * _KEEP_S)
        try:
            if state.count("error") and self._happens(0.7):
                await self._engine.retry(state.batch_id)
            if self._happens(0.2):
                first = state.order.slides[0].id
                await self._engine.regenerate(state.batch_id, first)
                if state.slides[0].versions:
                    await self._engine.restore(state.batch_id, first, 1)
        except RequestError:
            pass  # it is gone, or under way

    async def _read(self, timeline: Timeline) -> None:
        """Read the events for a while; half of the readers leave without a word."""
        try:
            async with asyncio.timeout(self._rng.random() * 120):
                async for items in timeline.watch(after=0):
                    assert items
        except TimeoutError:
            pass

    async def _poll(self, batch_id: str) -> None:
        for asked in (batch_id, *self._rng.sample(self._lately, min(3, len(self._lately)))):
            await asyncio.sleep(self._rng.random() * 30)
            try:
                encode_status(await self._engine.get(asked), self._rng.choice(("en", "zh")))
            except RequestError:
                assert asked != batch_id
        await self._engine.list_batches(limit=20, cursor=None)

    def look(self, life: Life) -> Held:
        """What is held now."""
        gc.collect()
        store: Any = self._shop.store
        tables = [
            name
            for (name,) in store._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return Held(
            tasks=len(asyncio.all_tasks()),
            timelines=len(list(self._shop.runs.roster._known)),
            files=len(list(Path("/proc/self/fd").iterdir())),
            pictures=len(self._shop.images.kept),
            rows={
                name: store._db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608 - its own tables
                for name in tables
            },
            leaks=tuple(find_leaks(life, Setup())),
        )


class Soaked(Struct, frozen=True):
    """What a day came to."""

    before: Held
    after: Held
    mb_by_hour: list[float]
    ordered: int
    made: int


async def soak(hours: int) -> Soaked:
    """So many hours of traffic, then quiet until everything is old."""
    rng = random.Random(16)
    provider: Any = _Upstream(rng)
    shop = Workshop(
        provider,
        store=InlineSqliteStore(),
        images=_AgingImages(),
        cache_ttl_s=_KEEP_S,
        keep_finished_s=_KEEP_S,
        keep_pictures_s=_KEEP_S,
        lane_start=50,
    )
    lines: Any = deque(maxlen=0)
    shop.log.lines = lines
    mb_by_hour = []
    async with shop:
        day, life = Day(shop, rng), Life(1, "fail", None, shop)  # type: ignore[arg-type]  # no power cuts
        await asyncio.sleep(1)
        before = day.look(life)
        for _ in range(hours):
            await day.go_on(1)
            gc.collect()
            mb_by_hour.append(tracemalloc.get_traced_memory()[0] / 1e6)
        await day.have_quiet(3 * _KEEP_S / _HOUR_S)
        after = day.look(life)
    made = sum(
        sample.value
        for family in shop.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "slides_generated_total"
    )
    return Soaked(before, after, mb_by_hour, day.ordered, int(made))


@pytest.mark.parametrize(
    "hours",
    [pytest.param(9, marks=pytest.mark.slow), pytest.param(24, marks=pytest.mark.long)],
)
def test_after_a_day_of_traffic_nothing_is_held_and_memory_has_not_grown(hours: int) -> None:
    loop = HistoryLoop()
    tracemalloc.start()
    try:
        with wall_clock(loop):
            soaked = loop.run_until_complete(soak(hours))
    finally:
        tracemalloc.stop()
        loop.close()
    print([round(mb, 2) for mb in soaked.mb_by_hour], soaked.ordered, soaked.made)  # noqa: T201 - the figures
    assert soaked.after == soaked.before
    late = list(enumerate(soaked.mb_by_hour))[_WARM_HOURS:]
    assert find_slope(late) < _MOST_MB_AN_HOUR
    assert soaked.made > hours * 50
