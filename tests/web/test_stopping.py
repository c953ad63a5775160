"""A service that stops tells the truth, takes no work, and goes on at the next start."""

import asyncio
from pathlib import Path

from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service

SINGLE = {"style_prompt": "", "visual_desc": "a loom"}
CHANGES = ("retry", "cancel", "slides/s1/regenerate", "slides/s1/versions/1/restore")


async def test_stop_tells_everyone_who_waits_the_truth(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider._seconds = 30
    async with running_service(tmp_path, BATCH_MAX_CONCURRENT=1) as service:
        key = {"Idempotency-Key": "k"}
        waiting = [
            asyncio.create_task(service.post("/slide/batch/generate", deck(5), headers=key))
            for _ in range(2)
        ]
        while len(provider.calls) < 3:
            await asyncio.sleep(0.001)
        waiting.append(asyncio.create_task(service.post("/slide/batch/generate", deck(2))))
        single = asyncio.create_task(service.post("/slide/generate", SINGLE))
        while service.services.engine.active_count() < 2 or len(provider.calls) < 4:
            await asyncio.sleep(0.001)
        await service.services.engine.stop(grace_s=0.05)
        running, joined, queued = [await answer for answer in waiting]
        _, shown, _ = await service.get(f"/api/slide/batch/{running[1]['batch_id']}")
        refused = await single
    assert [body["status"] for _, body, _ in (running, joined, queued)] == [
        *("running", "running", "pending")
    ]
    assert running[1]["batch_id"] == joined[1]["batch_id"]
    assert all(body["results"] == [] for _, body, _ in (running, joined, queued))
    assert [one["status"] for one in shown["results"]] == ["generating"] * 3 + ["pending"] * 2
    assert (refused[0], refused[1]["code"]) == (503, "interrupted")
    assert "charged" in refused[1]["detail"]
    assert int(refused[2]["Retry-After"]) > 0


async def test_service_that_stops_takes_no_work_and_no_changes_and_answers_questions(
    provider: ScriptedProvider, service: Running
) -> None:
    made = (await service.post("/slide/batch/generate", deck(1)))[1]
    batch_id, calls = made["batch_id"], len(provider.calls)
    await service.services.engine.stop(grace_s=0)
    work = [
        await service.post("/slide/batch/generate", deck(1)),
        await service.post("/slide/generate", SINGLE),
        await service.post("/slide/regenerate", SINGLE),
        *[await service.post(f"/slide/batch/{batch_id}/{change}", None) for change in CHANGES],
    ]
    for status, body, headers in work:
        assert (status, body["code"]) == (503, "stopping")
        assert int(headers["Retry-After"]) > 0
    assert len(provider.calls) == calls
    assert (await service.get("/readyz"))[0] == 503
    assert (await service.get("/healthz"))[0] == 200
    assert (await service.get(f"/api/slide/batch/{batch_id}"))[1]["status"] == "completed"


async def test_batch_that_was_stopped_goes_on_by_itself(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider._seconds = 30
    async with running_service(tmp_path) as service:
        asked = deck(4, max_workers=1)
        prefer = {"Prefer": "respond-async"}
        _, taken, _ = await service.post("/slide/batch/generate", asked, headers=prefer)
        while not provider.calls:
            await asyncio.sleep(0.001)
    provider._seconds = 0
    async with running_service(tmp_path) as service:
        timeline = await service.services.engine.get(taken["batch_id"])
        assert await timeline.wait_finished(timeout_s=10)
        _, ended, _ = await service.get(f"/api/slide/batch/{taken['batch_id']}")
    assert [one["error_code"] for one in ended["results"]] == ["interrupted", None, None, None]
    assert (ended["status"], ended["possibly_billed"]) == ("completed", 1)
    assert len(provider.calls) == 4
