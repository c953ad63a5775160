"""Each law beside the oracle: the same scenario, the same seeds, the same slides."""

import math
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from slideloom.engine.throttle import Throttle
from tests.bench.lanes.laws import Aimd, Fixed, Informed, Oracle
from tests.bench.lanes.upstream import Scenario, Upstream
from tests.bench.lanes.world import Law, Outcome, World

MakeLaw = Callable[[Scenario, Upstream], Law]

LAWS: dict[str, MakeLaw] = {
    "fixed 3": lambda _, __: Fixed(3),
    "fixed 10": lambda _, __: Fixed(10),
    "fixed 50": lambda _, __: Fixed(50),
    "AIMD": lambda scenario, _: Aimd(scenario.start),
    "informed": lambda scenario, _: Informed(scenario.start),
    "ours": lambda scenario, _: Throttle(start=scenario.start),
}
"""The oracle is not among them: it is what they are divided by."""


class Score(Struct, frozen=True, kw_only=True):
    """A law over many runs."""

    ratios: tuple[float, ...]
    """Makespan ÷ oracle, each run, in order of size; infinite where slides were lost."""
    wasted: tuple[float, ...]
    """Rejected calls a slide, each run, in order of size."""
    worst_rejected: int
    """Rejections of the slide that had most."""
    longest_wait_s: float
    """How long after the oracle's last slide the last one came."""
    lost: int
    """Slides never made, in all runs."""

    @property
    def mean_wasted(self) -> float:
        """Rejected calls a slide."""
        return sum(self.wasted) / len(self.wasted)


def run_oracle(scenario: Scenario, seed: int) -> Outcome:
    """What could be reached at best."""
    return World(scenario, seed, lambda _, upstream: Oracle(upstream)).run()


def score(make_law: MakeLaw, scenario: Scenario, oracles: dict[int, Outcome]) -> Score:
    """One law, one scenario, the seeds of the oracle's runs."""
    runs = {seed: World(scenario, seed, make_law).run() for seed in oracles}
    spans_s = {seed: math.inf if run.lost else run.makespan_s for seed, run in runs.items()}
    return Score(
        ratios=tuple(sorted(spans_s[seed] / oracles[seed].makespan_s for seed in oracles)),
        wasted=tuple(sorted(run.rejected / scenario.slide_count for run in runs.values())),
        worst_rejected=max(run.worst_rejected for run in runs.values()),
        longest_wait_s=max(spans_s[seed] - oracles[seed].makespan_s for seed in oracles),
        lost=sum(run.lost for run in runs.values()),
    )


def merge(scores: Iterable[Score]) -> Score:
    """All scenarios together."""
    every = list(scores)
    return Score(
        ratios=tuple(sorted(ratio for one in every for ratio in one.ratios)),
        wasted=tuple(sorted(wasted for one in every for wasted in one.wasted)),
        worst_rejected=max(one.worst_rejected for one in every),
        longest_wait_s=max(one.longest_wait_s for one in every),
        lost=sum(one.lost for one in every),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Of values in order of size."""
    return values[min(len(values) - 1, int(len(values) * share))]
