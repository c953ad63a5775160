"""Polls take a short way: they must be answered as if they did not."""

import asyncio
from typing import Any

import msgspec

from slideloom.web.statuses import show_status
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running

_MOVES = ("estimated_remaining_time", "total_time")
"""What changes while nothing happens."""


async def _order(service: Running, slides: int = 3, **changes: Any) -> str:
    _, body, _ = await service.post(
        "/slide/batch/generate", deck(slides, **changes), headers={"Prefer": "respond-async"}
    )
    return str(body["batch_id"])


async def _finish(service: Running, slides: int = 3) -> str:
    _, body, _ = await service.post("/slide/batch/generate", deck(slides))
    return str(body["batch_id"])


def _read_requests(service: Running) -> list[Any]:
    service.services.log_writer.flush()
    (log,) = (service.folder / "logs").glob("pipeline_*.log")
    lines = map(msgspec.json.decode, log.read_bytes().splitlines())
    return [line for line in lines if line["event"] == "request"]


async def test_every_way_to_ask_tells_what_is_known(service: Running) -> None:
    batch_id = await _finish(service)
    timeline = await service.services.engine.get(batch_id)
    known = msgspec.json.decode(msgspec.json.encode(show_status(timeline, "en")))
    for _ in range(2):  # the second time as it was kept
        by_post = await service.post("/slide/batch/status", {"batch_id": batch_id})
        by_get = await service.get(f"/api/slide/batch/{batch_id}")
        assert by_post[:2] == by_get[:2] == (200, known)


async def test_errors_are_told_on_the_short_way_as_everywhere(service: Running) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    for status, body, headers in (
        await service.get(f"/api/slide/batch/{unknown}"),
        await service.post("/slide/batch/status", {"batch_id": unknown}),
        await service.post("/slide/batch/status", {"batch_id": 7}),
    ):
        assert headers["Content-Type"] == "application/problem+json"
        assert (status, body["code"]) in {(404, "not_found"), (422, "invalid_request")}
        assert body["request_id"] == headers["X-Request-Id"]
        assert headers["X-Content-Type-Options"] == "nosniff"


async def test_only_polls_that_fail_are_logged(service: Running) -> None:
    batch_id = await _finish(service)
    await service.post("/slide/batch/status", {"batch_id": batch_id})
    await service.get(f"/api/slide/batch/{batch_id}")
    assert {line["path"] for line in _read_requests(service)} == {"/api/slide/batch/generate"}
    await service.post("/slide/batch/status", {"batch_id": "nobody's"})
    assert (_read_requests(service)[-1]["path"], _read_requests(service)[-1]["status"]) == (
        "/api/slide/batch/status",
        404,
    )


async def test_running_batch_shows_its_time_and_each_new_event(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 60.0
    batch_id = await _order(service)
    told = []
    for _ in range(3):
        await asyncio.sleep(0.1)
        told.append((await service.get(f"/api/slide/batch/{batch_id}"))[1])
    times = [body["total_time"] for body in told]
    assert times == sorted(set(times))
    still = [{k: v for k, v in body.items() if k not in _MOVES} for body in told[1:]]
    assert still[0] == still[1]
    await service.post(f"/slide/batch/{batch_id}/cancel", {})
    _, ended, _ = await service.get(f"/api/slide/batch/{batch_id}")
    assert {slide["error_code"] for slide in ended["results"]} == {"cancelled"}


async def test_each_language_has_its_own_words(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 60.0
    batch_id = await _order(service)
    await service.post(f"/slide/batch/{batch_id}/cancel", {})
    path = f"/api/slide/batch/{batch_id}"
    said = [
        (await service.get(path, headers={"Accept-Language": language}))[1]["results"][0][
            "error_message"
        ]
        for language in ("en", "zh", "en", "zh")
    ]
    assert said[:2] == said[2:]
    assert said[0] != said[1]
