"""Cancel, retry, regenerate and restore over the web."""

import asyncio
import io
import re
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote

import pytest
from yarl import URL

from slideloom.errors import ContentBlocked, StorageFull, StoreError
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running

ODD_IDS = (
    *("/a//b/", "第 1 页", "é+%2F%20", "x?y=1#z", ".", "../../etc/passwd", "a\\b\t", "a\nb"),
    *("regenerate", "a/versions/1/restore"),
)
NOTHING_THERE = (
    *("x/cancel", "x/retry", "x/slides/s1/regenerate", "x/slides/s1/versions/1/restore"),
)


async def make(service: Running, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of a deck that was waited for."""
    status, made, _ = await service.post("/slide/batch/generate", body)
    assert status == 200
    return dict(made)


async def submit(service: Running, slides: int = 3, **changes: Any) -> str:
    prefer = {"Prefer": "respond-async"}
    _, body, _ = await service.post(
        "/slide/batch/generate", deck(slides, **changes), headers=prefer
    )
    return str(body["batch_id"])


async def act(service: Running, path: str, body: Any = None, **more: Any) -> tuple[int, Any, Any]:
    """Do something to a batch; `path` is sent as it is."""
    url = URL(f"{service.url}/api/slide/batch/{path}", encoded=True)
    async with service.client.post(url, json=body, **more) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


async def finish(service: Running, batch_id: str) -> dict[str, Any]:
    """The batch once it has ended."""
    timeline = await service.services.engine.get(batch_id)
    assert await timeline.wait_finished(timeout_s=10)
    _, body, _ = await service.get(f"/api/slide/batch/{batch_id}")
    return dict(body)


async def fetch_tag(service: Running, batch_id: str) -> str:
    _, _, headers = await service.get(f"/api/slide/batch/{batch_id}")
    return headers["ETag"]


# Cancel and retry.


async def test_cancel_ends_the_batch_and_the_answer_of_whoever_waits(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 30
    url = f"{service.url}/api/slide/batch/generate"
    async with service.client.post(url, json=deck(4)) as waiting:
        batch_id = waiting.headers["X-Batch-Id"]
        while len(provider.calls) < 3:
            await asyncio.sleep(0.001)
        status, body, headers = await act(service, f"{batch_id}/cancel")
        answer = await waiting.json()
    assert (status, body["status"], body["cancelled"]) == (200, "failed", True)
    assert (body["progress"], body["possibly_billed"], body["failed"]) == (1.0, 3, 4)
    assert {one["error_code"] for one in body["results"]} == {"cancelled"}
    assert headers["Location"] == f"/api/slide/batch/{batch_id}"
    assert "Retry-After" not in headers
    assert (answer["status"], answer["cancelled"]) == ("failed", True)
    assert answer["results"] == body["results"]
    assert (await act(service, f"{batch_id}/cancel"))[:2] == (200, body)
    assert (await service.get("/api/slide/batch/active-count"))[1] == {"active_batches": 0}


async def test_cancelled_batch_runs_again_under_its_id_when_it_is_retried(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 30
    batch_id = await submit(service)
    await act(service, f"{batch_id}/cancel")
    provider._seconds = 0.05
    status, body, headers = await act(service, f"{batch_id}/retry")
    assert (status, body["batch_id"], body["status"]) == (202, batch_id, "running")
    assert (body["cancelled"], body["progress"], headers["Retry-After"]) == (False, 0.0, "2")
    assert headers["Location"] == f"/api/slide/batch/{batch_id}"
    ended = await finish(service, batch_id)
    assert (ended["status"], ended["successful"], ended["cancelled"]) == ("completed", 3, False)
    assert (await act(service, f"{batch_id}/retry"))[:2] == (200, ended)


async def test_retry_makes_the_slides_that_are_named(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._script = iter([ContentBlocked() for _ in range(3)])
    made = await make(service, deck(3))
    batch_id = made["batch_id"]
    status, _, _ = await act(service, f"{batch_id}/retry", {"slide_ids": ["s2"]})
    assert status == 202
    ended = await finish(service, batch_id)
    assert [one["status"] for one in ended["results"]] == ["error", "done", "error"]
    status, body, _ = await act(service, f"{batch_id}/retry", {"slide_ids": ["s1", "gone"]})
    assert (status, body["code"]) == (404, "not_found")
    assert "gone" in body["detail"]
    assert (await service.get(f"/api/slide/batch/{batch_id}"))[1] == ended


async def test_retry_takes_a_body_or_none_and_refuses_what_is_no_such_body(
    service: Running,
) -> None:
    made = await make(service, deck(1))
    path = f"{made['batch_id']}/retry"
    json = {"Content-Type": "application/json"}
    good: list[tuple[bytes, dict[str, str]]] = [
        (b"", {}),
        (b"", json),
        (b"", {"Content-Type": "text/plain"}),
        (b"{}", json),
        (b' {"slide_ids": null} ', json),
        (b'{"slide_ids": [], "later": 1}', json),
        (b'{"slide_ids": ["s1", "s1"]}', {"Content-Type": "application/json; charset=utf-8"}),
    ]
    bad: list[tuple[bytes, dict[str, str], int]] = [
        (b"{", json, 400),
        (b"\xef\xbb\xbf{}", json, 400),
        (b'{"slide_ids": ["\xff"]}', json, 400),
        (b"[" * 5000, json, 400),
        (b"[]", json, 422),
        (b"null", json, 422),
        (b'{"slide_ids": "s1"}', json, 422),
        (b'{"slide_ids": [1]}', json, 422),
        (b'{"slide_ids": [' + b'"s1",' * 200 + b'"s1"]}', json, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"slide_ids=s1", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b" " * 2_100_000, json, 413),
    ]
    for data, headers in good:
        told = await act(service, path, data=io.BytesIO(data), headers=headers)
        assert told[0] == 200, data
    for data, headers, status in bad:
        answered, body, _ = await act(service, path, data=io.BytesIO(data), headers=headers)
        assert (answered, body["status"]) == (status, status), data[:40]


async def test_further_runs_write_session_files_of_their_own(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._script = iter([ContentBlocked()])
    made = await make(service, deck(3, max_workers=1))
    batch_id, session = made["batch_id"], made["session_id"]
    for change in ("retry", "slides/s1/regenerate"):
        assert (await act(service, f"{batch_id}/{change}"))[0] == 202
        await finish(service, batch_id)
    _, logs, _ = await service.get(f"/api/sessions/{session}/logs")
    names = [name.removeprefix(f"{session}_").removesuffix(".json") for name in logs["files"]]
    expected = ["slide_002", "slide_003"]
    for action in ("batch_generate_start", "slide_001", "batch_generate_complete"):
        expected += [action, f"{action}_2", f"{action}_3"]
    assert sorted(names) == sorted(expected)
    again = logs["files"][f"{session}_batch_generate_start_2.json"]
    assert again["made_again"] == ["s1"]


# Versions.


async def test_new_version_is_shown_and_the_old_one_can_be_had_back(service: Running) -> None:
    made = await make(service, deck(2))
    batch_id, old = made["batch_id"], made["results"][0]
    tags = [await fetch_tag(service, batch_id)]
    status, _, headers = await act(service, f"{batch_id}/slides/s1/regenerate")
    assert (status, headers["Retry-After"]) == (202, "2")
    new = (await finish(service, batch_id))["results"][0]
    assert new["image_url"] != old["image_url"]
    assert [one["image_url"] for one in new["versions"]] == [old["image_url"], new["image_url"]]
    assert [one["current"] for one in new["versions"]] == [False, True]
    assert (new["attempts"], new["cost_usd"], new["cached"]) == (2, pytest.approx(0.08), False)
    tags.append(await fetch_tag(service, batch_id))
    status, body, headers = await act(service, f"{batch_id}/slides/s1/versions/1/restore")
    assert (status, body["status"], "Retry-After" in headers) == (200, "completed", False)
    assert body["results"][0]["image_url"] == old["image_url"]
    assert [one["current"] for one in body["results"][0]["versions"]] == [True, False]
    tags.append(await fetch_tag(service, batch_id))
    assert len(set(tags)) == 3
    for image in (old["image_url"], new["image_url"]):
        async with service.client.get(service.url + image) as picture:
            assert picture.status == 200
    stale = {"If-None-Match": tags[1]}
    assert (await service.get(f"/api/slide/batch/{batch_id}", headers=stale))[0] == 200
    status, again, _ = await act(service, f"{batch_id}/slides/s1/versions/1/restore")
    assert (status, again) == (200, body)
    assert await fetch_tag(service, batch_id) == tags[2], "nothing has changed"


async def test_slides_are_reached_whatever_their_ids_are(service: Running) -> None:
    slides = [{"id": slide_id, "title": str(n)} for n, slide_id in enumerate(ODD_IDS)]
    made = await make(service, {"slides": slides, "style_prompt": ""})
    batch_id = made["batch_id"]
    paths = {one: f"{batch_id}/slides/{quote(one, safe='')}" for one in ODD_IDS}
    answers = {one: [(await act(service, f"{path}/regenerate"))[0]] for one, path in paths.items()}
    ended = await finish(service, batch_id)
    for result in ended["results"]:
        answers[result["slide_id"]] += [len(result["versions"])]
    for one, path in paths.items():
        status, body, _ = await act(service, f"{path}/versions/1/restore")
        current = [r["slide_id"] for r in body.get("results", ()) if r["versions"][0]["current"]]
        answers[one] += [status, one in current]
    assert {one: got for one, got in answers.items() if got != [202, 2, 200, True]} == {}


async def test_slide_under_way_cannot_be_restored(
    provider: ScriptedProvider, service: Running
) -> None:
    made = await make(service, deck(1))
    provider._seconds = 30
    await act(service, f"{made['batch_id']}/slides/s1/regenerate")
    path = f"{made['batch_id']}/slides/s1/versions/1/restore"
    for language, words in (("en", "being made"), ("zh-CN", "正在生成")):
        status, body, headers = await act(service, path, headers={"Accept-Language": language})
        assert (status, body["code"]) == (409, "slide_under_way")
        assert words in body["detail"]
        assert headers["Content-Type"] == "application/problem+json"


async def test_what_is_not_there_is_404_in_the_readers_language(service: Running) -> None:
    batch_id = (await make(service, deck(1)))["batch_id"]
    missing = [
        *NOTHING_THERE,
        f"{batch_id}/slides/nope/regenerate",
        f"{batch_id}/slides/nope/versions/1/restore",
        *(f"{batch_id}/slides/s1/versions/{n}/restore" for n in ("0", "2", "99999999999", "x")),
        *(f"{batch_id}/slides/s1/versions/{n}/restore" for n in ("-1", "1.5", "%D9%A1", "1%0A")),
    ]
    for path in missing:
        status, body, _ = await act(service, path)
        assert (status, body["code"]) == (404, "not_found"), path
        assert re.search("has no|no such", body["detail"]), path
    for path in (missing[0], missing[4], missing[-1]):
        _, body, _ = await act(service, path, headers={"Accept-Language": "zh-CN"})
        assert "没有" in body["detail"], path
        assert re.search("version|slide ", body["detail"]) is None, body["detail"]


async def test_actions_take_post_alone(service: Running) -> None:
    for path in NOTHING_THERE:
        status, body, headers = await service.get(f"/api/slide/batch/{path}")
        assert (status, body["code"]) == (405, "method_not_allowed")
        assert headers["Allow"] == "POST"


async def test_store_that_takes_no_change_is_told(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = (await make(service, deck(1)))["batch_id"]
    faults = {503: StoreError("disk gone"), 507: StorageFull("database or disk is full")}
    for status, fault in faults.items():
        lease = Mock(side_effect=fault)
        monkeypatch.setattr("slideloom.stores.sqlite.SqliteBatchStore.lease", lease)
        for change in ("retry", "slides/s1/regenerate", "slides/s1/versions/1/restore"):
            answered, body, headers = await act(service, f"{batch_id}/{change}")
            assert (answered, body["code"]) == (status, fault.code)
            assert ("Retry-After" in headers) == (status == 503)
    assert (await act(service, f"{batch_id}/cancel"))[0] == 200, "nothing is to be written"
