"""The batch routes, as the contract says."""

import asyncio
import re
from pathlib import Path

import pytest

from slideloom.errors import ContentBlocked, StoreError
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service

RESULT_KEYS = {
    "slide_id", "page_num", "title", "image_url", "final_prompt", "status", "error_message",
    "generation_time", "error_code", "attempts", "provider", "model", "cached", "cost_usd",
    "width", "height", "aspect_ratio_ok", "versions",
}  # fmt: skip
STATUS_KEYS = {
    "batch_id", "status", "progress", "total_slides", "completed_slides", "successful", "failed",
    "estimated_remaining_time", "results", "session_id", "created_at", "total_time", "cost_usd",
    "possibly_billed", "cancelled",
}  # fmt: skip


async def submit(service: Running, slides: int = 3) -> str:
    status, body, _ = await service.post(
        "/slide/batch/generate", deck(slides), headers={"Prefer": "respond-async"}
    )
    assert status == 202
    return str(body["batch_id"])


async def test_waiting_call_answers_with_every_slide_in_request_order(service: Running) -> None:
    status, body, headers = await service.post("/slide/batch/generate", deck(5))
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Batch-Id"] == body["batch_id"]
    assert headers["Location"] == f"/api/slide/batch/{body['batch_id']}"
    assert (body["total_slides"], body["successful"], body["failed"]) == (5, 5, 0)
    assert (body["status"], body["max_workers"]) == ("completed", 3)
    assert [result["slide_id"] for result in body["results"]] == ["s1", "s2", "s3", "s4", "s5"]
    first = body["results"][0]
    assert first.keys() >= RESULT_KEYS
    assert re.fullmatch(r"/assets/slide_001_[0-9a-f]{32}\.png", first["image_url"])
    async with service.client.get(service.url + first["image_url"]) as picture:
        assert picture.status == 200
        assert picture.headers["Content-Type"] == "image/png"
        assert picture.headers["X-Content-Type-Options"] == "nosniff"
        assert "immutable" in picture.headers["Cache-Control"]
        assert len(await picture.read()) == picture.content_length


async def test_partial_success_is_200_and_no_failure_is_dressed_up(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._script = iter([ContentBlocked("IMAGE_SAFETY")])
    status, body, _ = await service.post("/slide/batch/generate", deck(3, max_workers=1))
    assert (status, body["successful"], body["failed"]) == (200, 2, 1)
    failed = body["results"][0]
    assert (failed["status"], failed["image_url"]) == ("error", None)
    assert failed["error_code"] == "content_blocked"
    assert "IMAGE_SAFETY" in failed["error_message"]


async def test_headers_come_at_once_and_blanks_keep_the_answer_alive(
    provider: ScriptedProvider, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slideloom.web.batches._BLANK_EVERY_S", 0.05)
    provider._seconds = 0.3
    url = f"{service.url}/api/slide/batch/generate"
    async with service.client.post(url, json=deck(1)) as answer:
        # The status line and headers are here while the slide is still being made.
        assert answer.headers["X-Batch-Id"]
        assert not (await service.services.engine.get(answer.headers["X-Batch-Id"])).state.is_final
        body = await answer.text()
    assert body.startswith("   ")
    assert body.strip().startswith("{")


@pytest.mark.slow
async def test_wait_that_is_over_answers_running_with_the_finished_slides(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider._seconds = 0.3
    async with running_service(tmp_path, BATCH_WAIT_SECONDS=0.5) as service:
        _, body, _ = await service.post("/slide/batch/generate", deck(3, max_workers=1))
        assert body["status"] == "running"
        assert [result["status"] for result in body["results"]] == ["done"]
        while body["status"] == "running":
            await asyncio.sleep(0.05)
            _, body, _ = await service.post("/slide/batch/status", {"batch_id": body["batch_id"]})
        assert body["successful"] == 3


async def test_respond_async_answers_at_once_and_polling_ends(service: Running) -> None:
    status, body, headers = await service.post(
        "/slide/batch/generate", deck(4), headers={"Prefer": "wait=5, respond-async"}
    )
    assert status == 202
    assert headers["Retry-After"] == "2"
    assert headers["Location"].endswith(body["batch_id"])
    assert body.keys() >= STATUS_KEYS
    while body["status"] not in {"completed", "failed"}:
        await asyncio.sleep(0.01)
        _, body, _ = await service.post("/slide/batch/status", {"batch_id": body["batch_id"]})
    assert (body["progress"], body["estimated_remaining_time"]) == (1.0, None)
    assert body["cost_usd"] == pytest.approx(0.16)


async def test_client_going_away_changes_nothing(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 0.2
    url = f"{service.url}/api/slide/batch/generate"
    answer = await service.client.post(url, json=deck(3))
    batch_id = answer.headers["X-Batch-Id"]
    answer.close()
    timeline = await service.services.engine.get(batch_id)
    assert await timeline.wait_finished(timeout_s=5)
    assert timeline.state.count("done") == 3


async def test_unknown_batch_is_404_with_a_problem(service: Running) -> None:
    status, body, headers = await service.post("/slide/batch/status", {"batch_id": "nope"})
    assert (status, body["code"]) == (404, "not_found")
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Request-Id"] == body["request_id"]
    assert isinstance(body["detail"], str)
    assert (await service.get("/api/slide/batch/nope"))[0] == 404


async def test_same_body_under_the_batchs_own_address_with_an_etag(service: Running) -> None:
    _, made, _ = await service.post("/slide/batch/generate", deck(2))
    path = f"/api/slide/batch/{made['batch_id']}"
    status, body, headers = await service.get(path)
    assert status == 200
    assert body == (await service.post("/slide/batch/status", {"batch_id": made["batch_id"]}))[1]
    assert headers["ETag"].startswith('W/"')
    again = await service.client.get(service.url + path, headers={"If-None-Match": headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


async def test_list_is_newest_first_with_a_cursor(service: Running) -> None:
    made = [await submit(service) for _ in range(3)]
    _, first, _ = await service.get("/api/slide/batch?limit=2")
    assert [line["batch_id"] for line in first["batches"]] == made[:0:-1]
    _, rest, _ = await service.get(f"/api/slide/batch?limit=2&cursor={first['next_cursor']}")
    assert [line["batch_id"] for line in rest["batches"]] == made[:1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=x", "limit=201", "limit=٣", "limit=", "limit=-1", "limit=1e2"),
        *("limit=00000000119999999999999999999", "cursor=zz", "cursor=nan_", "cursor=inf_"),
    ],
)
async def test_list_refuses_what_it_does_not_know(service: Running, query: str) -> None:
    status, body, _ = await service.get(f"/api/slide/batch?{query}")
    assert (status, body["code"]) == (422, "invalid_request")
    assert body["errors"][0]["loc"] == ["query", query.partition("=")[0]]
    assert (await service.get("/api/slide/batch"))[0] == 200  # and the store still answers


async def test_active_count_counts_what_has_not_ended(
    provider: ScriptedProvider, service: Running
) -> None:
    assert (await service.get("/api/slide/batch/active-count"))[1] == {"active_batches": 0}
    provider._seconds = 0.3
    await submit(service)
    assert (await service.get("/api/slide/batch/active-count"))[1] == {"active_batches": 1}


async def test_restart_finds_finished_batches_again(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with running_service(tmp_path) as service:
        _, made, _ = await service.post("/slide/batch/generate", deck(2))
    del provider
    async with running_service(tmp_path) as service:
        status, body, _ = await service.get(f"/api/slide/batch/{made['batch_id']}")
        assert (status, body["results"]) == (200, made["results"])
        async with service.client.get(service.url + body["results"][0]["image_url"]) as picture:
            assert (picture.status, len(await picture.read())) == (200, picture.content_length)


@pytest.mark.parametrize(
    "changes",
    [
        {"slides": [{"id": "not a uuid / at all", "title": "", "page_num": "1"}]},
        {"slides": [{"id": "../../etc/passwd", "title": "t"}]},
        {"aspect_ratio": "1921:1080"},
        {"max_workers": 38, "slides": [{"title": str(n)} for n in range(38)]},
        {"max_workers": 2.0, "unknown_key": {"deep": [1, 2]}},
    ],
)
async def test_odd_but_good_requests_work(
    service: Running, changes: dict[str, object], tmp_path: Path
) -> None:
    status, body, _ = await service.post("/slide/batch/generate", deck(2) | changes)
    assert (status, body["failed"]) == (200, 0)
    sent = changes.get("slides")
    if isinstance(sent, list) and "id" in sent[0]:
        assert body["results"][0]["slide_id"] == sent[0]["id"]
    names = [path.name for path in (tmp_path / "assets").glob("[!.]*")]
    assert all(re.fullmatch(r"slide_\d{3}_[0-9a-f]{32}\.png", name) for name in names)


async def test_workers_above_the_servers_limit_are_lowered(service: Running) -> None:
    _, body, _ = await service.post("/slide/batch/generate", deck(12, max_workers=38))
    assert body["max_workers"] == 10


async def test_config_routes_answer_as_the_original_did(service: Running) -> None:
    _, valid, _ = await service.get("/api/slide/batch/config/validate")
    assert valid["valid"] is True
    assert valid["current_config"] == {
        "batch_default_workers": 3,
        "batch_max_workers": 10,
        "batch_max_concurrent": 50,
        "batch_cleanup_hours": 24.0,
    }
    _, best, _ = await service.get("/api/slide/batch/config/optimal?slides_count=20")
    assert 1 <= best["recommended_workers"] <= best["max_possible_workers"] == 10
    assert best["estimated_time_seconds"] > 0
    assert best["estimated_time_formatted"]
    for count in ("0", "201", "0000000019999", "1" * 5000, "x", ""):
        path = f"/api/slide/batch/config/optimal?slides_count={count}"
        assert (await service.get(path))[0] == 422


async def test_config_is_not_valid_while_no_picture_could_be_kept(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.services.images, "_min_free_mb", 1 << 40)
    _, body, _ = await service.get("/api/slide/batch/config/validate")
    assert body["valid"] is False
    assert "images" in body["issues"][0]


async def test_store_failure_is_503_and_logged_with_its_cause(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        message = "disk gone"
        raise StoreError(message)

    monkeypatch.setattr(service.services.engine._store, "create", fail)
    status, body, headers = await service.post("/slide/batch/generate", deck())
    assert (status, body["code"]) == (503, "storage_unavailable")
    assert "Retry-After" in headers
    service.services.log_writer.flush()
    (log,) = (service.folder / "logs").glob("pipeline_*.log")
    assert "disk gone" in log.read_text()


async def test_bug_in_a_handler_is_a_500_problem_with_every_header(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.services.engine, "count_active", lambda **_: 1 / 0)
    status, body, headers = await service.get("/api/slide/batch/active-count")
    assert (status, body["code"]) == (500, "internal")
    assert headers["X-Request-Id"] == body["request_id"]
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_only_pictures_of_ours_are_served(service: Running) -> None:
    folder = service.folder / "assets"
    (folder / "secret.sqlite3").write_text("x")
    (folder / "slide_001_x.html").write_text("<script>")
    for name in ("secret.sqlite3", "slide_001_x.html", ".slideloom.lock"):
        assert (await service.get(f"/assets/{name}"))[0] == 404


async def test_upload_given_up_is_no_crash(service: Running) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/slide/batch/generate HTTP/1.1\r\nHost: x\r\n")
    writer.write(b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.05)
    service.services.log_writer.flush()
    (log,) = (service.folder / "logs").glob("pipeline_*.log")
    assert "request_crashed" not in log.read_text()


async def test_style_that_would_fill_the_memory_is_refused(service: Running) -> None:
    status, body, _ = await service.post(
        "/slide/batch/generate", deck(200) | {"style_prompt": "x" * 20_001}
    )
    assert (status, body["errors"][0]["loc"]) == (422, ["body", "style_prompt"])


async def test_messages_follow_the_readers_language(service: Running) -> None:
    zh = {"Accept-Language": "fr, zh-CN;q=0.9, en;q=0.8"}
    _, body, _ = await service.post("/slide/batch/status", {"batch_id": "x"}, headers=zh)
    assert "没有这个批次" in body["detail"]
    en = {"Accept-Language": "zh;q=0.2, en"}
    _, body, _ = await service.post("/slide/batch/status", {"batch_id": "x"}, headers=en)
    assert "no such batch" in body["detail"]


async def test_stopping_service_refuses_new_work_with_retry_after(service: Running) -> None:
    service.services.engine.stopping.set()
    status, body, headers = await service.post("/slide/batch/generate", deck())
    assert (status, body["code"]) == (503, "stopping")
    assert int(headers["Retry-After"]) > 0
    assert (await service.get("/readyz"))[0] == 503
    assert (await service.get("/healthz"))[0] == 200


async def test_answers_never_mix_batches_up(service: Running) -> None:
    made = [await submit(service, slides=2) for _ in range(5)]

    async def ask(batch_id: str) -> bool:
        _, body, _ = await service.post("/slide/batch/status", {"batch_id": batch_id})
        return bool(body["batch_id"] == batch_id)

    assert all(await asyncio.gather(*(ask(batch_id) for batch_id in made * 10)))


async def test_other_origins_may_not_call_but_configured_ones_may(service: Running) -> None:
    async def preflight(origin: str) -> tuple[int, str | None]:
        async with service.client.options(
            f"{service.url}/api/slide/batch/generate",
            headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
        ) as answer:
            return answer.status, answer.headers.get("Access-Control-Allow-Origin")

    assert await preflight("https://evil.example") == (403, None)
    assert await preflight("http://localhost:5173") == (204, "http://localhost:5173")
