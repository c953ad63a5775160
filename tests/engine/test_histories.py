"""Nothing lost, nothing paid twice: random histories of users, faults and crashes break no law."""

import sys
import time
from typing import Final

import pytest

from tests.support.histories.run import Part, run_histories, run_side_by_side

PLAN: Final = 0.01
"""Share of the store, disk and provider calls that fail. Source: reliability notes, R2."""


@pytest.mark.parametrize(
    "part",
    [
        Part(25, 0, 0.0),
        pytest.param(Part(200, 1, 0.0), marks=pytest.mark.slow),
        pytest.param(Part(100, 2, PLAN), marks=pytest.mark.slow),
    ],
)
def test_no_history_breaks_a_law(part: Part) -> None:
    assert run_histories(part) >= part.count


@pytest.mark.long
def test_ten_thousand_histories_break_no_law(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [Part(1000, 10 + n, 0.0) for n in range(8)] + [Part(1000, 20 + n, PLAN) for n in (0, 1)]
    began_s, all_ran = time.monotonic(), 0
    for part, ran in zip(parts, run_side_by_side(parts, processes=2), strict=True):
        all_ran += ran
        took_s = time.monotonic() - began_s
        with capsys.disabled():  # minutes: whoever looks on sees how far it is
            sys.stdout.write(f"\n{all_ran} histories in {took_s:.0f} s, {part.share:.0%} by plan")
            sys.stdout.flush()
    assert all_ran >= sum(part.count for part in parts) == 10_000
