"""Whichever API is asked, it answers for every batch and has every wish carried out."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import pytest_asyncio

from slideloom.domain.events import BatchResumed
from slideloom.stores.redis import RedisBatchStore
from tests.support.cluster import Cluster, running_cluster
from tests.support.upstream import Plan
from tests.support.upstream.plan import Uniform

_PLAN = Plan(seed=6, latency_s=Uniform(0.2, 0.4), record_bodies=False)
_AFTER_CANCEL_S = 1.0
"""After which no call may begin."""
_HANDED_OVER_S = 5.0
_BACK_S = 15.0
"""For a small deck after Redis has lost everything, the queue included."""
_FAILED = '"queue_worker_failed"'
ROUNDS = [
    pytest.param(10, id="small", marks=pytest.mark.slow),
    pytest.param(200, id="full", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Two APIs and two workers, for all tests here; each leaves them as they were."""
    folder = tmp_path_factory.mktemp("cluster") / "any"
    async with running_cluster(folder, plan=_PLAN) as running:
        await running.start(apis=2, workers=2)
        yield running
        assert running.list_down() == []


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_cancel_through_one_api_stops_what_the_other_ordered(
    cluster: Cluster, rounds: int, tell: Callable[[str], None]
) -> None:
    last_s, took_s = [], []
    for number in range(max(2, rounds // 10)):
        deck = cluster.press.make(slides=40, workers=4)
        batch_id = await cluster.order(deck, api=number % 2)
        name = deck.title.partition(",")[0]
        await cluster.wait_calls(3, tag=f"<{name}.")
        asked_s = time.monotonic()
        body = await cluster.change(batch_id, "cancel", api=1 - number % 2)
        took_s.append(time.monotonic() - asked_s)
        assert body["cancelled"]
        assert body["status"] == "completed"
        assert await cluster.get_batch(batch_id, api=number % 2) == body
        await asyncio.sleep(2 * _AFTER_CANCEL_S)
        calls = (await cluster.upstream.fetch_report()).bill.find(f"<{name}.")
        last_s.append(max(call.started_s for call in calls) + cluster.zero_s - asked_s)
    tell(
        f"cancel through the other API, {len(last_s)} times: answered after"
        f" {max(took_s) * 1000:.0f} ms at most; last call began {max(last_s) * 1000:.0f} ms after"
    )
    assert max(last_s) <= _AFTER_CANCEL_S


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_wishes_through_the_other_api_are_carried_out(cluster: Cluster, rounds: int) -> None:
    for number in range(max(1, rounds // 20)):
        here, there = number % 2, 1 - number % 2
        deck = cluster.press.make(slides=6, workers=2)
        deck.body["slides"][1]["visual_desc"] += " [[fault:F05_content_policy*1]]"
        batch_id = await cluster.order(deck, api=here)
        await wait_slides(cluster, batch_id, {"s0": "done", "s1": "error"}, api=here)
        # While it runs.
        first = find(await cluster.get_batch(batch_id, api=there), "s0")["image_url"]
        body = await cluster.change(batch_id, "retry", api=there)
        assert body["status"] == "running"
        assert find(body, "s1")["status"] != "error"
        await cluster.change(batch_id, "slides/s0/regenerate", api=there)
        await wait_slides(cluster, batch_id, {"s0": "done", "s1": "done"}, api=here)
        body = await cluster.change(batch_id, "slides/s0/versions/1/restore", api=there)
        assert find(body, "s0")["image_url"] == first
        assert find(await cluster.get_batch(batch_id, api=here), "s0")["image_url"] == first
        # And after its end.
        body = await cluster.wait_final(batch_id, api=here)
        assert body["successful"] == 6
        body = await cluster.change(batch_id, "slides/s2/regenerate", api=there)
        assert body["status"] == "running"
        body = await cluster.wait_final(batch_id, api=here)
        assert len(find(body, "s2")["versions"]) == 2
        body = await cluster.change(batch_id, "slides/s2/versions/1/restore", api=there)
        assert await cluster.get_batch(batch_id, api=here) == body
        assert body == await cluster.change(batch_id, "retry", api=here)


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_what_one_api_has_changed_the_other_shows_at_once(
    cluster: Cluster, rounds: int
) -> None:
    deck = cluster.press.make(slides=2, workers=2)
    batch_id = await cluster.order(deck)
    await cluster.wait_final(batch_id)
    await cluster.change(batch_id, "slides/s0/regenerate")
    body = await cluster.wait_final(batch_id, api=1)
    images = [version["image_url"] for version in find(body, "s0")["versions"]]
    for number in range(rounds):
        version, api = number % 2, number // 2 % 2
        what = f"slides/s0/versions/{version + 1}/restore"
        await cluster.change(batch_id, what, api=api)
        body = await cluster.get_batch(batch_id, api=1 - api)
        assert find(body, "s0")["image_url"] == images[version], number


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_one_key_at_both_apis_at_once_is_one_batch(cluster: Cluster, rounds: int) -> None:
    tags = {}
    for number in range(rounds):
        deck = cluster.press.make(slides=1, workers=1)
        answers = await asyncio.gather(
            *(
                cluster.ask(
                    "POST",
                    "/api/slide/batch/generate",
                    api=api,
                    body=deck.body,
                    Prefer="respond-async",
                    Idempotency_Key=f"both-{rounds}-{number}",
                )
                for api in (0, 1, 0, 1)
            )
        )
        assert {answer.status for answer in answers} == {202}
        (batch_id,) = {answer.body["batch_id"] for answer in answers}
        assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 3
        tags[batch_id] = deck.tags[0]
    for batch_id, tag in tags.items():
        assert (await cluster.wait_final(batch_id, api=1))["successful"] == 1
        assert len((await cluster.upstream.fetch_report()).bill.find(tag)) == 1


@pytest.mark.slow
async def test_both_apis_count_and_list_the_same(cluster: Cluster) -> None:
    await cluster.settle()
    ids = [
        await cluster.order(cluster.press.make(slides=10, workers=1), api=api) for api in (0, 1, 0)
    ]
    assert [await cluster.count_active(api=api) for api in (0, 1)] == [3, 3]
    for api in (0, 1):
        page = (await cluster.ask("GET", "/api/slide/batch?limit=3", api=api)).body
        assert [one["batch_id"] for one in page["batches"]] == ids[::-1]
    for batch_id in ids:
        await cluster.change(batch_id, "cancel")
    assert [await cluster.count_active(api=api) for api in (0, 1)] == [0, 0]


@pytest.mark.slow
async def test_both_apis_have_all_log_files_of_a_session(cluster: Cluster) -> None:
    batch_id = await cluster.order(cluster.press.make(slides=3, workers=3))
    path = f"/api/sessions/{(await cluster.wait_final(batch_id))['session_id']}/logs"
    wanted = {"batch_generate_start", "batch_generate_complete"} | {
        f"slide_{number:03d}" for number in (1, 2, 3)
    }

    async def are_all_there() -> bool:
        answers = [await cluster.ask("GET", path, api=api) for api in (0, 1)]
        return all(
            wanted == {name.removesuffix(".json").split("_", 1)[1] for name in one.body["files"]}
            for one in answers
        )

    await cluster.wait_until(are_all_there, timeout_s=5.0)
    answers = [await cluster.ask("GET", path, api=api) for api in (0, 1)]
    assert answers[0].body == answers[1].body


@pytest.mark.slow
async def test_stopped_worker_hands_its_batches_over(
    cluster: Cluster, tell: Callable[[str], None]
) -> None:
    decks = [cluster.press.make(slides=8, workers=2) for _ in range(6)]
    ids = [await cluster.order(deck) for deck in decks]
    await cluster.wait_calls(2, tag=decks[-1].title.partition(",")[0])
    asked_s, asked_wall_s = time.monotonic(), time.time()
    assert await cluster.workers[0].stop() == 0
    ended_s = time.monotonic() - asked_s
    ends = [await cluster.wait_final(batch_id) for batch_id in ids]
    handed_s = [at_s - asked_wall_s for at_s in await list_resumed_s(cluster, ids)]
    await cluster.workers[0].start()
    tell(
        f"worker stopped in order: ended after {ended_s:.1f} s, {len(handed_s)} decks taken over"
        f" within {max(handed_s):.1f} s"
    )
    assert [end["successful"] for end in ends] == [8] * 6
    report = await cluster.upstream.fetch_report()
    assert {len(report.bill.find(tag)) for deck in decks for tag in deck.tags} == {1}
    assert max(handed_s) <= _HANDED_OVER_S


@pytest.mark.slow
async def test_stopped_api_lets_its_waiting_caller_go_and_the_batch_goes_on(
    cluster: Cluster,
) -> None:
    deck = cluster.press.make(slides=8, workers=2)
    path = "/api/slide/batch/generate"
    waiting = asyncio.create_task(cluster.ask("POST", path, body=deck.body))
    await cluster.wait_calls(1, tag=deck.tags[0])
    assert await cluster.apis[0].stop() == 0
    answer = await waiting
    assert (answer.status, answer.body["status"]) == (200, "running")
    body = await cluster.wait_final(answer.body["batch_id"], api=1)
    await cluster.apis[0].start()
    assert body["successful"] == 8
    assert await cluster.get_batch(body["batch_id"]) == body
    report = await cluster.upstream.fetch_report()
    assert {len(report.bill.find(tag)) for tag in deck.tags} == {1}


@pytest.mark.slow
async def test_redis_that_forgets_everything_leaves_pictures_and_truth(cluster: Cluster) -> None:
    pids = [site.pid for site in (*cluster.apis, *cluster.workers)]
    batch_id = await cluster.order(cluster.press.make(slides=3, workers=3))
    image = (await cluster.wait_final(batch_id))["results"][0]["image_url"]
    await cluster.settle()
    failures = cluster.count_lines(_FAILED)
    await cluster.commands.flushall()
    for api in (0, 1):
        for method, path in (("GET", ""), ("POST", "/retry"), ("POST", "/cancel")):
            forgotten = await cluster.ask(method, f"/api/slide/batch/{batch_id}{path}", api=api)
            assert forgotten.status == 404
        page = await cluster.ask("GET", "/api/slide/batch", api=api)
        assert (page.status, page.body["batches"]) == (200, [])
        assert await cluster.count_active(api=api) == 0
        kept = (cluster.folder / "static" / image.removeprefix("/")).read_bytes()
        assert await cluster.fetch(image, api=api) == kept
    again = await cluster.order(cluster.press.make(slides=3, workers=3), api=1)
    async with asyncio.timeout(_BACK_S):
        assert (await cluster.wait_final(again))["successful"] == 3
    assert [site.pid for site in (*cluster.apis, *cluster.workers) if site.is_up] == pids
    assert cluster.count_lines(_FAILED) - failures <= 6


async def list_resumed_s(cluster: Cluster, batch_ids: Sequence[str]) -> list[float]:
    """When those batches were taken over, on the wall clock."""
    store = await RedisBatchStore.open(cluster.redis.url)
    try:
        return [
            event.at_s
            for batch_id in batch_ids
            for event in await store.read(batch_id)
            if isinstance(event, BatchResumed)
        ]
    finally:
        await store.close()


async def wait_slides(cluster: Cluster, batch_id: str, wanted: dict[str, str], *, api: int) -> None:
    """Wait until those slides are so."""

    async def is_so() -> bool:
        body = await cluster.get_batch(batch_id, api=api)
        return all(find(body, slide_id)["status"] == status for slide_id, status in wanted.items())

    await cluster.wait_until(is_so, timeout_s=20.0)


def find(body: Any, slide_id: str) -> Any:
    """A slide's result in a batch's status."""
    return next(one for one in body["results"] if one["slide_id"] == slide_id)
