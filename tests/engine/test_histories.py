"""Nothing lost, nothing paid twice: random histories of users, faults and crashes break no law."""

import time

import pytest

from tests.support.histories.run import run_histories

PLAN = 0.01
"""Share of the store, disk and provider calls that fail. Source: reliability notes, R2."""
PART = 1000
"""Histories in one go: who looks on sees how far it is."""


def _parts(count: int, *, share: float) -> list[object]:
    return [
        pytest.param(PART, number, share, marks=pytest.mark.long)
        for number in range(1, count // PART + 1)
    ]


@pytest.mark.parametrize(
    ("count", "seed", "share"),
    [
        pytest.param(25, 0, 0.0),
        pytest.param(200, 0, 0.0, marks=pytest.mark.slow),
        pytest.param(100, 0, PLAN, marks=pytest.mark.slow),
        *_parts(8000, share=0.0),
        *_parts(2000, share=PLAN),
    ],
)
def test_no_history_breaks_a_law(
    request: pytest.FixtureRequest, count: int, seed: int, share: float
) -> None:
    began_s = time.monotonic()
    ran = run_histories(count, number=seed, share=share)
    took_s = time.monotonic() - began_s
    assert ran >= count
    line = f"{ran} histories, {share:.0%} of calls failing by plan, in {took_s:.1f} s"
    request.config.get_terminal_writer().line(line)
