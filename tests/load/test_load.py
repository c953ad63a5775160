"""The load of `make load`, as far as a machine that does other things can be held to it."""

import pytest

from tests.load.plan import LoadPlan
from tests.load.run import run_load
from tests.load.table import print_table


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(
            LoadPlan(
                seconds=2,
                pollers=50,
                batches=8,
                slides=5,
                readers=24,
                idle=20,
                image_s=0.3,
                image_kib=16,
            ),
            marks=pytest.mark.slow,
            id="few",
        ),
        pytest.param(
            LoadPlan(seconds=30, pollers=200, batches=20, readers=60, idle=100, image_s=2.0),
            marks=pytest.mark.long,
            id="many",
        ),
    ],
)
async def test_load_meets_no_error_and_leaves_nothing_behind(plan: LoadPlan) -> None:
    found = await run_load(plan)
    print_table(found)
    tally = found.tally
    assert not tally.errors
    assert len(tally.ended) >= plan.batches
    assert found.slides_billed == len(tally.ended) * plan.slides
    assert found.slides_billed_twice == 0
    assert sum(map(len, tally.heard.values())) >= plan.readers
    assert found.lost_events == 0
    assert found.tracebacks == 0
    assert found.after.files <= found.before.files
    assert found.after.tasks <= found.before.tasks
