"""The lanes over real sockets: as near to the ideal as in the simulation."""

import time
from pathlib import Path

import pytest
from msgspec import Struct

from tests.support.service import running_service
from tests.support.upstream import Plan, Upstream

SLIDES = 90
LATENCY_S = 6.0
MOST = 1.15
"""Times the ideal. Source: issue 3."""


class Case(Struct, frozen=True):
    """An upstream, and how long the deck takes who knows it."""

    name: str
    plan: Plan
    ideal_s: float


CASES = [
    Case("limit 15", Plan(latency_s=LATENCY_S, limit=15), SLIDES / 15 * LATENCY_S),
    Case("limit 30", Plan(latency_s=LATENCY_S, limit=30), SLIDES / 30 * LATENCY_S),
    Case(
        "2 a second, burst 10",
        Plan(latency_s=LATENCY_S, rate_per_s=2.0, burst=10),
        (SLIDES - 10) / 2.0 + LATENCY_S,
    ),
    # From 8 calls to 90 takes the lane a second and a half, whatever the images take.
    Case("no limit", Plan(latency_s=LATENCY_S), LATENCY_S + 1.5),
    Case(
        "limit 30, slow 429s",
        Plan(latency_s=LATENCY_S, limit=30, reject_latency_s=1.5),
        SLIDES / 30 * LATENCY_S,
    ),
    Case(
        "outage 4-10 s, limit 30",
        Plan(latency_s=LATENCY_S, limit=30, outages=((4.0, 10.0),)),
        SLIDES / 30 * LATENCY_S + 6.0,
    ),
]


async def run_case(case: Case, folder: Path) -> tuple[float, int, int]:
    """Seconds, slides that failed, calls rejected."""
    async with Upstream(case.plan) as upstream:
        settings = {
            "LLM_IMAGE_API_KEY": "sk-test",
            "LLM_IMAGE_API_BASE": upstream.base_url,
            "LLM_IMAGE_API": "images",
            "BATCH_MAX_WORKERS": 200,
        }
        body = {
            "slides": [{"title": f"page {number}"} for number in range(SLIDES)],
            "style_prompt": "",
            "max_workers": 200,
        }
        async with running_service(folder, **settings) as service:
            started_s = time.perf_counter()
            _, answer, _ = await service.post("/slide/batch/generate", body)
            seconds = time.perf_counter() - started_s
        return seconds, answer["failed"], len(upstream.bill.calls) - SLIDES


@pytest.mark.long
async def test_deck_takes_little_longer_than_for_one_who_knows_the_limit(tmp_path: Path) -> None:
    # One after the other: six services in one process take each other's time.
    ends = [await run_case(case, tmp_path / case.name) for case in CASES]
    for case, (seconds, failed, rejected) in zip(CASES, ends, strict=True):
        print(  # noqa: T201 - the table of the closing note
            f"{case.name:22} {seconds:6.1f} s, {seconds / case.ideal_s:.2f} x the ideal,"
            f" {rejected / SLIDES:.2f} rejected a slide, {failed} failed"
        )
    assert [failed for _, failed, _ in ends] == [0] * len(CASES)
    slow = [
        case.name
        for case, (seconds, _, _) in zip(CASES, ends, strict=True)
        if seconds > MOST * case.ideal_s
    ]
    assert slow == []
