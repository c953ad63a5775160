"""One table: each law beside an oracle, on scenarios tuned for, on others, on some drawn by lot.

A cell: makespan ÷ oracle (median); rejected calls a slide; rejections of the slide that had most.
Where a law lost slides (each failed four times in an outage), their number: it has no makespan.
"""

import sys
from collections.abc import Sequence

from tests.bench.lanes.compare import LAWS, Score, merge, percentile, run_oracle, score
from tests.bench.lanes.scenarios import DRAWN, HELD_OUT, TUNED
from tests.bench.lanes.upstream import Scenario

_SEEDS = 30
_TUNED_FROM, _HELD_OUT_FROM = 100, 5000
"""First seeds: the law's numbers were chosen with the former."""


def print_part(title: str, scenarios: Sequence[Scenario], seeds: range) -> None:
    """One part of the table, and its sums."""
    print(f"\n{title:26}{'oracle s':>9}" + "".join(f"{name:>18}" for name in LAWS))
    scores: dict[str, list[Score]] = {name: [] for name in LAWS}
    for scenario in scenarios:
        oracles = {seed: run_oracle(scenario, seed) for seed in seeds}
        middle_s = percentile(sorted(run.makespan_s for run in oracles.values()), 0.5)
        row = f"{scenario.name:26}{middle_s:9.0f}"
        for name, make_law in LAWS.items():
            scores[name].append(score(make_law, scenario, oracles))
            row += f"{_cell(scores[name][-1]):>18}"
        print(row)
    for name in LAWS:
        print(_sum(name, merge(scores[name])))


def _cell(one: Score) -> str:
    if one.lost:
        return f"lost {one.lost}"
    middle = percentile(one.ratios, 0.5)
    return f"{middle:.2f}; {one.mean_wasted:.2f}; {one.worst_rejected}"


def _sum(name: str, one: Score) -> str:
    return (
        f"  {name:10} makespan ÷ oracle p50 {percentile(one.ratios, 0.5):6.3f}"
        f"  p90 {percentile(one.ratios, 0.9):6.3f}  max {one.ratios[-1]:6.2f}"
        f" | wasted a slide mean {one.mean_wasted:6.3f}  p90 {percentile(one.wasted, 0.9):6.2f}"
        f"  max {one.wasted[-1]:6.2f}"
        f" | worst slide {one.worst_rejected:3} rejections, {one.longest_wait_s:5.0f} s late"
        f" | lost {one.lost}"
    )


def main(seed_count: int) -> None:
    """All parts."""
    print_part("tuned", TUNED, range(_TUNED_FROM, _TUNED_FROM + seed_count))
    others = range(_HELD_OUT_FROM, _HELD_OUT_FROM + seed_count)
    print_part("held out", HELD_OUT, others)
    print_part("drawn by lot", DRAWN, others[: -(-seed_count // 6)])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _SEEDS)
