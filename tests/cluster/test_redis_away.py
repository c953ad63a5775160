"""Redis is killed in the middle, and comes back with what it wrote."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cluster import Answer, Cluster, running_cluster
from tests.support.upstream import Plan
from tests.support.upstream.plan import Uniform

_PLAN = Plan(seed=6, latency_s=Uniform(0.3, 0.6), record_bodies=False)
_ANSWER_S = 6.0
"""For an answer while Redis is away: one command may take 5."""
_ASK_AGAIN_S = 0.3


async def ask_meanwhile(cluster: Cluster, batch_id: str, away_s: float) -> list[Answer]:
    """New work and questions while Redis is away; every answer."""
    answers = []
    until_s = time.monotonic() + away_s
    while time.monotonic() < until_s:
        deck = cluster.press.make(slides=1, workers=1)
        path = "/api/slide/batch/generate"
        new = await cluster.ask("POST", path, body=deck.body, Prefer="respond-async")
        assert new.status == 503, new
        assert int(new.headers["Retry-After"]) > 0
        known = await cluster.ask("GET", f"/api/slide/batch/{batch_id}")
        assert known.status in {200, 503}, known
        answers += [new, known]
        await asyncio.sleep(_ASK_AGAIN_S)
    return answers


@pytest.mark.parametrize(
    ("times", "away_s", "decks"),
    [
        pytest.param(1, 2.0, 3, id="small", marks=pytest.mark.slow),
        pytest.param(5, 10.0, 12, id="full", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_redis_killed_and_back_loses_nothing_and_costs_nothing(
    tmp_path: Path, times: int, away_s: float, decks: int, tell: Callable[[str], None]
) -> None:
    answers: list[Answer] = []
    async with running_cluster(tmp_path, plan=_PLAN) as cluster:
        await cluster.start(workers=2)
        cluster.begin_watch()
        cluster.customer.excused.add(503)
        pids = [site.pid for site in (*cluster.apis, *cluster.workers)]
        for number in range(times):
            ids = [
                await cluster.order(cluster.press.make(slides=10, workers=3, is_keyed=True))
                for _ in range(decks)
            ]
            await cluster.wait_calls(number * decks * 10 + decks * 3)
            cluster.redis.kill()
            answers += await ask_meanwhile(cluster, ids[0], away_s)
            cluster.redis.start()
            await wait_back(cluster)
            await cluster.settle()
        assert [site.pid for site in (*cluster.apis, *cluster.workers) if site.is_up] == pids
        cluster.customer.excused.clear()
        await cluster.customer.resend(cluster.apis[0].url)
        tally = await cluster.finish(calls_once=True)
        warnings = cluster.count_lines('"queue_worker_failed"')
    tell(
        f"Redis killed {times} times, away for {away_s:.0f} s: {tally.batches} decks,"
        f" {tally.slides} slides, {tally.done} done, {tally.calls} calls; bill"
        f" ${tally.bill_usd:.4f}, store ${tally.store_usd:.4f}; slowest answer meanwhile"
        f" {max(answer.took_s for answer in answers) * 1000:.0f} ms of {len(answers)};"
        f" queue workers begun anew: {warnings}"
    )
    assert "\n".join(cluster.faults) == ""
    assert tally.done == tally.slides == times * decks * 10
    assert tally.calls == tally.slides
    assert max(answer.took_s for answer in answers) <= _ANSWER_S
    assert warnings <= 2 * times * (4 + away_s)


async def wait_back(cluster: Cluster) -> None:
    """Wait until the API reaches Redis again."""

    async def is_back() -> bool:
        return (await cluster.ask("GET", "/api/slide/batch/active-count")).status == 200

    await cluster.wait_until(is_back, timeout_s=20.0)
