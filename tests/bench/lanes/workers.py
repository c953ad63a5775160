"""Several workers before one upstream: the real lanes, in virtual time, a board between them.

`python -m tests.bench.lanes.workers [seeds]` prints makespan ÷ oracle (median, worst), rejected
calls a slide, and swaps a slide, for one worker, for two and three that share, and for two that
know nothing of each other.
"""

import asyncio
import random
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from slideloom.clock import monotonic_s
from slideloom.engine.lane import Lane
from slideloom.engine.lanes import Lanes, Wish
from slideloom.engine.retry import backoff_s
from slideloom.engine.shared_lane import SharedLane
from slideloom.errors import ProviderError, RateLimited, UpstreamDown
from tests.bench.lanes.board import MemoryBoard
from tests.bench.lanes.compare import percentile, run_oracle
from tests.bench.lanes.scenarios import HELD_OUT
from tests.bench.lanes.upstream import Scenario, Upstream
from tests.support.parts import RecordingLog, ScriptedProvider
from tests.support.virtual_time import VirtualTimeLoop

_PATIENCE = 3
_SEEDS = 10
SCENARIOS = [
    Scenario(name="limit 10, deck of 100", limits=((0, 10),), decks=((0, 100),)),
    Scenario(name="limit 10, images of 3 s", limits=((0, 10),), decks=((0, 200),), median_s=3.0),
    Scenario(name="limit 10 with hint 2 s", limits=((0, 10),), limit_hint_s=2.0),
    Scenario(name="1 a second, burst 10", rates=((0, 1.0),), burst=10, decks=((0, 100),)),
    Scenario(name="3 a second, burst 5", rates=((0, 3.0),), burst=5),
    Scenario(name="limit 2, deck of 20", limits=((0, 2),), decks=((0, 20),)),
]
"""What two workers must share; the first is the issue's."""


class Site:
    """Workers that make the slides of a scenario."""

    def __init__(
        self, scenario: Scenario, seed: int, *, workers: int, board: MemoryBoard | None
    ) -> None:
        self.log = RecordingLog()
        self.scenario = scenario
        self.upstream = Upstream(scenario, seed)
        self.rejected = 0
        self.made: list[list[int]] = [[] for _ in range(workers)]
        """By each worker, in order."""
        self.last_s = 0.0
        self.lanes = [
            Lanes([self._build_lane(board)], log=_as_log(self.log)) for _ in range(workers)
        ]
        self.runs: list[list[asyncio.Task[None]]] = [[] for _ in range(workers)]
        self._dice = random.Random(seed)

    def _build_lane(self, board: MemoryBoard | None) -> Lane:
        provider, start = ScriptedProvider(), self.scenario.start
        if board is None:
            return Lane(provider, start=start)
        return SharedLane(provider, start=start, board=board, name="l", log=_as_log(self.log))

    def take(self, worker: int, slide: int, *, party: str = "b", at_s: float = 0.0) -> None:
        """Have a worker make a slide."""
        run = self._make(worker, slide, party, at_s)
        self.runs[worker].append(asyncio.create_task(run))

    def take_all(self) -> None:
        """Every deck of the scenario, its slides in turn to each of the workers."""
        slide = 0
        for deck, (at_s, count) in enumerate(self.scenario.decks):
            for _ in range(count):
                self.take(slide % len(self.lanes), slide, party=f"deck {deck}", at_s=at_s)
                slide += 1

    async def finish(self) -> None:
        """Wait for all slides, and close."""
        await asyncio.gather(*(run for runs in self.runs for run in runs))
        for lanes in self.lanes:
            await lanes.close_providers()

    async def kill(self, worker: int) -> None:
        """End a worker that can say nothing more."""
        lane = self.lanes[worker]._lanes[0]
        assert isinstance(lane, SharedLane)
        assert lane._task is not None
        lane._task.cancel()
        lane.ask = lambda: None  # type: ignore[method-assign]
        for run in self.runs[worker]:
            run.cancel()
        await asyncio.gather(*self.runs[worker], return_exceptions=True)
        self.runs[worker].clear()

    async def _make(self, worker: int, slide: int, party: str, at_s: float) -> None:
        await asyncio.sleep(at_s - monotonic_s())
        lanes, rejections, failures = self.lanes[worker], 0, 0
        while True:
            wish = Wish(
                party=party,
                rank=(failures + rejections // _PATIENCE, slide),
                since_s=at_s,
                left_s=lambda: 1e9,
                model=None,
            )
            seat = await lanes.sit(wish)
            try:
                error = await self._call(slide)
            except asyncio.CancelledError:
                lanes.drop(seat)
                raise
            lanes.close(seat, error, jitter=self._dice.random())
            if error is None:
                self.made[worker].append(slide)
                self.last_s = monotonic_s()
                return
            if isinstance(error, RateLimited):
                rejections += 1
                self.rejected += 1
            else:
                failures += 1
                await asyncio.sleep(backoff_s(failures, 1.0, self._dice.random()))

    async def _call(self, slide: int) -> ProviderError | None:
        verdict = self.upstream.call(slide, monotonic_s())
        try:
            await asyncio.sleep(verdict.seconds)
        finally:
            self.upstream.busy -= verdict.kind == "accepted"
        match verdict.kind:
            case "accepted":
                return None
            case "rejected":
                return RateLimited(retry_after_s=verdict.retry_after_s)
            case "failed":
                return UpstreamDown("502")


def run_site(scenario: Scenario, seed: int, *, workers: int, board: MemoryBoard | None) -> Site:
    """The whole scenario; the site afterwards."""

    async def run() -> Site:
        site = Site(scenario, seed, workers=workers, board=board)
        site.take_all()
        await site.finish()
        return site

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(run())


def _as_log(log: RecordingLog) -> Any:
    return log


class Figures(Struct, frozen=True, kw_only=True):
    """Some workers over many runs."""

    middle: float
    """Makespan ÷ oracle."""
    worst: float
    wasted: float
    """Rejected calls a slide."""
    swaps: float
    """A slide, of all workers together."""

    def __str__(self) -> str:
        return f"{self.middle:5.2f} {self.worst:5.2f} {self.wasted:5.2f} {self.swaps:5.1f}"


def judge(
    scenario: Scenario, seeds: Sequence[int], *, workers: int, is_shared: bool = True
) -> Figures:
    """Workers that know of each other, or not."""
    ratios, rejected, swaps = [], 0, 0
    for seed in seeds:
        board = MemoryBoard(seed=seed) if is_shared else None
        site = run_site(scenario, seed, workers=workers, board=board)
        ratios.append(site.last_s / run_oracle(scenario, seed).makespan_s)
        rejected += site.rejected
        swaps += board.swaps if board else 0
    ratios.sort()
    slides = scenario.slide_count * len(seeds)
    return Figures(
        middle=percentile(ratios, 0.5),
        worst=ratios[-1],
        wasted=rejected / slides,
        swaps=swaps / slides,
    )


_COLUMNS: dict[str, Callable[[Scenario, Sequence[int]], Figures]] = {
    "one alone": partial(judge, workers=1, is_shared=False),
    "one, board": partial(judge, workers=1),
    "two share": partial(judge, workers=2),
    "three share": partial(judge, workers=3),
    "two unshared": partial(judge, workers=2, is_shared=False),
}


def main(seed_count: int) -> None:
    """The table."""
    print(f"{'':26}" + "".join(f"{name:>26}" for name in _COLUMNS))
    for scenario in (*SCENARIOS, *(one for one in HELD_OUT if one.workers > one.slide_count)):
        seeds = range(7000, 7000 + seed_count)
        cells = (str(build(scenario, seeds)) for build in _COLUMNS.values())
        print(f"{scenario.name:26}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _SEEDS)
