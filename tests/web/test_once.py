"""The Idempotency-Key header: a request that is sent again is carried out once."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from slideloom.errors import ContentBlocked
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service

SINGLE = {"style_prompt": "calm", "visual_desc": "a loom"}
PREFER_ASYNC = {"Prefer": "respond-async"}


async def ask(
    service: Running, body: Any, key: str = "k", *, path: str = "/slide/batch/generate", **more: str
) -> tuple[int, Any, Any]:
    return await service.post(path, body, headers={"Idempotency-Key": key, **more})


async def count_batches(service: Running) -> int:
    return len((await service.get("/api/slide/batch"))[1]["batches"])


async def test_same_key_and_body_is_the_same_batch_also_after_a_restart(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with running_service(tmp_path) as service:
        status, first, headers = await ask(service, deck(2))
        assert (status, "Idempotent-Replayed" in headers) == (200, False)
        status, again, headers = await ask(service, deck(2))
        assert (status, again, headers["Idempotent-Replayed"]) == (200, first, "true")
        assert headers["X-Batch-Id"] == first["batch_id"]
    async with running_service(tmp_path) as service:
        status, again, headers = await ask(service, deck(2))
        assert (status, again, headers["Idempotent-Replayed"]) == (200, first, "true")
        assert headers["Location"] == f"/api/slide/batch/{first['batch_id']}"
    assert len(provider.calls) == 2


async def test_waiting_call_joins_and_gets_the_whole_answer(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 0.1
    first = asyncio.create_task(ask(service, deck(2)))
    while not provider.calls:
        await asyncio.sleep(0.001)
    status, joined, headers = await ask(service, deck(2))
    assert (status, joined["status"], joined["successful"]) == (200, "completed", 2)
    assert headers["Idempotent-Replayed"] == "true"
    assert (await first)[1] == joined
    assert len(provider.calls) == 2


async def test_call_that_does_not_wait_is_answered_at_once_with_the_same_place(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 30
    _, body, first = await ask(service, deck(2), **PREFER_ASYNC)
    status, again, headers = await ask(service, deck(2), **PREFER_ASYNC)
    assert (status, headers["Idempotent-Replayed"]) == (202, "true")
    assert (again["batch_id"], headers["Location"]) == (body["batch_id"], first["Location"])
    assert headers["Retry-After"] == "2"
    await service.services.engine.cancel(body["batch_id"])
    status, ended, _ = await ask(service, deck(2), **PREFER_ASYNC)
    assert (status, ended["status"], ended["cancelled"]) == (202, "failed", True)


@pytest.mark.slow
async def test_hundred_at_once_are_one_batch_and_paid_once(
    provider: ScriptedProvider, service: Running
) -> None:
    answers = await asyncio.gather(*(ask(service, deck(2)) for _ in range(100)))
    assert {(status, body["successful"]) for status, body, _ in answers} == {(200, 2)}
    assert len({body["batch_id"] for _, body, _ in answers}) == 1
    assert sum("Idempotent-Replayed" in headers for _, _, headers in answers) == 99
    assert len(provider.calls) == 2
    assert await count_batches(service) == 1


async def test_key_of_another_body_is_refused(provider: ScriptedProvider, service: Running) -> None:
    await ask(service, deck(1))
    for other in (deck(2), deck(1, style_prompt="red"), deck(1, cache=False)):
        status, body, headers = await ask(service, other)
        assert (status, body["code"]) == (422, "idempotency_key_reused")
        assert "Use a new key" in body["detail"]
        assert headers["Content-Type"] == "application/problem+json"
    _, body, _ = await ask(service, deck(2), **{"Accept-Language": "zh"})
    assert "请换一个新的" in body["detail"]
    assert len(provider.calls) == 1
    assert await count_batches(service) == 1


async def test_body_is_the_same_however_it_is_written(
    provider: ScriptedProvider, service: Running
) -> None:
    slide = {"id": "s1", "title": "页", "page_num": 1}
    _, first, _ = await ask(service, {"slides": [slide], "style_prompt": "x", "max_workers": 2})
    turned = {"page_num": "1", "new": [1], "title": "页", "id": "s1", "content_text": None}
    same: list[dict[str, Any]] = [
        {"max_workers": "2", "style_prompt": "x", "slides": [turned]},
        {"max_workers": 2.0, "slides": [slide], "style_prompt": "x", "unknown": {"deep": None}},
    ]
    texts = [json.dumps(same[0]), json.dumps(same[1], indent=4, ensure_ascii=False)]
    for text in texts:
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        url = f"{service.url}/api/slide/batch/generate"
        async with service.client.post(url, data=text.encode(), headers=headers) as answer:
            assert answer.status == 200
            assert (await answer.json())["batch_id"] == first["batch_id"]
    assert len(provider.calls) == 1


async def test_key_is_one_to_255_visible_ascii_characters(
    provider: ScriptedProvider, service: Running
) -> None:
    visible = "".join(map(chr, range(0x21, 0x7F)))
    for good in (
        "x",
        "k" * 255,
        visible,
        '"' + "q" * 255 + '"',
        "8e03978e-40d5-43e8-bc93-6894a57f",
    ):
        assert (await ask(service, deck(1), good, **PREFER_ASYNC))[0] == 202, good
    for bad in ("", "two words", "k" * 256, "é", "键", "tab\there", '"two words"', '"' * 300):
        status, body, _ = await ask(service, deck(1), bad, **PREFER_ASYNC)
        assert (status, body["code"]) == (422, "invalid_request"), bad
        assert body["errors"][0]["loc"] == ["header", "Idempotency-Key"]
    assert await count_batches(service) == 5
    del provider


async def test_key_in_quotes_is_the_key_and_two_keys_are_none(service: Running) -> None:
    _, first, _ = await ask(service, deck(1), "abc")
    _, quoted, headers = await ask(service, deck(1), '"abc"')
    assert (quoted, headers["Idempotent-Replayed"]) == (first, "true")
    url = f"{service.url}/api/slide/batch/generate"
    twice = [("Idempotency-Key", "abc"), ("Idempotency-Key", "abc"), ("Accept-Language", "zh")]
    async with service.client.post(url, json=deck(1), headers=twice) as answer:
        body = await answer.json(content_type=None)
    assert (answer.status, body["code"]) == (422, "invalid_request")
    assert "可见 ASCII" in body["detail"]


async def test_single_slide_asked_for_again_is_paid_once(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 0.02
    for path in ("/slide/generate", "/slide/regenerate"):
        answers = await asyncio.gather(*(ask(service, SINGLE, path, path=path) for _ in range(5)))
        answers.append(await ask(service, SINGLE, path, path=path))
        assert all((status, body) == (200, answers[0][1]) for status, body, _ in answers)
        assert sum(h.get("Idempotent-Replayed") == "true" for _, _, h in answers) == 5
    assert len(provider.calls) == 2


async def test_single_slide_that_failed_is_told_again_and_not_paid_again(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._script = iter([ContentBlocked("IMAGE_SAFETY")])
    first, again = [await ask(service, SINGLE, path="/slide/generate") for _ in range(2)]
    assert (again[0], again[1]["detail"]) == (422, first[1]["detail"])
    assert again[2]["Idempotent-Replayed"] == "true"
    assert len(provider.calls) == 1


async def test_key_stands_for_a_request_at_one_address(
    provider: ScriptedProvider, service: Running
) -> None:
    await ask(service, SINGLE, path="/slide/generate")
    status, body, _ = await ask(service, SINGLE, path="/slide/regenerate")
    assert (status, body["code"]) == (422, "idempotency_key_reused")
    assert (await ask(service, deck(1)))[0] == 422
    assert len(provider.calls) == 1


async def test_key_stands_for_24_hours(
    service: Running, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first, _ = await ask(service, deck(1, cache=False))
    now_s = time.time()
    monkeypatch.setattr("slideloom.clock.time.time", lambda: now_s + 24 * 3600 - 60)
    assert (await ask(service, deck(1, cache=False)))[1]["batch_id"] == first["batch_id"]
    monkeypatch.setattr("slideloom.clock.time.time", lambda: now_s + 24 * 3600 + 60)
    status, later, headers = await ask(service, deck(2, cache=False))
    assert (status, "Idempotent-Replayed" in headers) == (200, False)
    assert later["batch_id"] != first["batch_id"]
    assert len(provider.calls) == 3


async def test_order_that_is_refused_does_not_use_its_key_up(
    service: Running, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = {"slides": [{"id": "x", "title": ""}] * 2, "style_prompt": ""}
    for bad in (deck(0), twins, deck(1, style_reference="data:,x!"), deck(1, aspect_ratio="0:1")):
        assert (await ask(service, bad))[0] == 422
    with monkeypatch.context() as patch:
        patch.setattr(service.services.engine, "refuse_if_stopping", lambda: 1 / 0)
        assert (await ask(service, deck(2)))[0] == 500
    status, body, headers = await ask(service, deck(2))
    assert (status, body["successful"], "Idempotent-Replayed" in headers) == (200, 2, False)
    assert len(provider.calls) == 2


async def test_replayed_batch_is_shown_as_it_is_now(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._script = iter([ContentBlocked()])
    _, first, _ = await ask(service, deck(2, max_workers=1))
    timeline = await service.services.engine.retry(first["batch_id"])
    await timeline.wait_finished(timeout_s=10)
    _, again, _ = await ask(service, deck(2, max_workers=1))
    assert (first["successful"], again["successful"]) == (1, 2)
    assert again["batch_id"] == first["batch_id"]
    assert len(provider.calls) == 3
