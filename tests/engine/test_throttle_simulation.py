"""The lane's law in virtual time, against upstreams it was not tuned for."""

import pytest

from tests.bench.lanes.compare import LAWS, Score, merge, percentile, run_oracle, score
from tests.bench.lanes.scenarios import DRAWN, HELD_OUT, TUNED
from tests.bench.lanes.upstream import Scenario

_HELD_OUT_FROM = 5000


def judge(scenario: Scenario, seed_count: int, law: str = "ours") -> Score:
    seeds = range(_HELD_OUT_FROM, _HELD_OUT_FROM + seed_count)
    return score(LAWS[law], scenario, {seed: run_oracle(scenario, seed) for seed in seeds})


def judge_all(seed_count: int) -> Score:
    return merge(judge(scenario, seed_count) for scenario in HELD_OUT)


def test_lane_is_near_the_oracle_where_it_was_not_tuned() -> None:
    total = judge_all(5)
    assert percentile(total.ratios, 0.5) <= 1.10
    assert percentile(total.ratios, 0.9) <= 1.20
    assert total.mean_wasted <= 0.7
    assert total.lost == 0


@pytest.mark.long
def test_lane_reaches_its_aims_over_thirty_seeds() -> None:
    total = judge_all(30)
    assert percentile(total.ratios, 0.5) <= 1.05
    assert percentile(total.ratios, 0.9) <= 1.12
    assert total.mean_wasted <= 0.3
    assert total.lost == 0


@pytest.mark.long
def test_lane_keeps_to_its_goals_in_scenarios_drawn_by_lot() -> None:
    total = merge(judge(scenario, 5) for scenario in DRAWN)
    assert percentile(total.ratios, 0.5) <= 1.10
    assert percentile(total.ratios, 0.9) <= 1.20
    assert total.mean_wasted <= 0.7
    assert total.lost == 0


@pytest.mark.long
def test_each_held_out_scenario_alone_stays_within_reach_of_the_oracle() -> None:
    for scenario in HELD_OUT:
        alone = judge(scenario, 30)
        assert percentile(alone.ratios, 0.5) <= 1.2, scenario.name
        assert alone.mean_wasted <= 1.3, scenario.name
        assert alone.worst_rejected <= 6, scenario.name


def test_lane_without_a_limit_is_not_slower_than_a_fixed_fifty() -> None:
    scenario = next(one for one in TUNED if one.name == "no limit")
    ours, fixed = judge(scenario, 5), judge(scenario, 5, "fixed 50")
    assert ours.ratios[-1] < fixed.ratios[0]


def test_wide_start_is_as_good_as_the_oracle_where_nothing_limits() -> None:
    free = judge(Scenario(name="free", start=200), 5)
    assert free.ratios[-1] == 1.0


def test_slow_images_do_not_narrow_a_lane_for_good() -> None:
    scenario = next(one for one in TUNED if one.name == "slow time, limit 30")
    assert percentile(judge(scenario, 5).ratios, 0.5) <= 1.1
