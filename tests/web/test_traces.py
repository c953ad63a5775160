"""What a request causes has its trace id: in every line, every record and every paid call."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from slideloom.providers.download import Downloads
from tests.providers.conftest import TRUSTING
from tests.support.orders import deck
from tests.support.service import Running, running_service
from tests.support.upstream import Plan, Upstream

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SENT = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "tracestate": "rojo=1,congo=t61"}
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(Plan(latency_s=0.01)) as up:
        yield up


def paid(upstream: Upstream, **more: object) -> dict[str, object]:
    return {
        "LLM_IMAGE_API_KEY": "sk-traces",
        "LLM_IMAGE_API_BASE": upstream.base_url,
        "LLM_IMAGE_API": "images",
        "BACKOFF_BASE_SECONDS": 0.01,
        **more,
    }


def lines(service: Running) -> list[dict[str, Any]]:
    """The pipeline log."""
    service.services.log_writer.flush()
    paths = (service.folder / "logs").glob("pipeline_*.log")
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def records(service: Running) -> list[dict[str, Any]]:
    """The session files."""
    paths = sorted((service.folder / "logs" / "sessions").glob("*.json"))
    return [json.loads(path.read_text("utf-8")) for path in paths]


def told(upstream: Upstream) -> list[list[str]]:
    """The parts of each call's `traceparent`."""
    return [call.headers["traceparent"].split("-") for call in upstream.bill.calls]


async def end(service: Running, answer: Any) -> Any:
    """The batch, once it has ended."""
    timeline = await service.services.engine.get(answer["batch_id"])
    assert await timeline.wait_finished(timeout_s=20)
    await asyncio.sleep(0.05)  # its last lines
    return timeline.state


async def test_trace_is_in_every_line_record_and_call_also_after_the_answer(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with running_service(tmp_path, **paid(upstream)) as service:
        body = deck(3)
        body["slides"][1]["title"] = "[[fault:F19_503_retry_after:0.01]] two"
        _, answer, headers = await service.post(
            "/slide/batch/generate", body, headers=SENT | ASYNC | {"X-Request-Id": "mine"}
        )
        await end(service, answer)
        seen = [line for line in lines(service) if line["event"] != "service_started"]
    assert headers["X-Request-Id"] == "mine"
    assert "traceparent" not in headers
    events = {line["event"] for line in seen}
    assert events >= {"request", "batch_generate_start", "batch_generate_complete"}
    assert {line.get("trace_id") for line in seen} == {TRACE_ID}
    assert len(records(service)) == 5
    assert {record["trace_id"] for record in records(service)} == {TRACE_ID}
    calls = told(upstream)
    assert len(calls) > 3  # one slide is asked for again
    assert {(version, trace_id, flags) for version, trace_id, _, flags in calls} == {
        ("00", TRACE_ID, "01")
    }
    parents = [parent for _, _, parent, _ in calls]
    assert PARENT_ID not in parents
    assert len(set(parents)) == len(parents)
    assert {call.headers["tracestate"] for call in upstream.bill.calls} == {SENT["tracestate"]}


@pytest.mark.parametrize("parent", [None, "00-nonsense", SENT["traceparent"].upper()])
async def test_request_without_a_valid_trace_begins_one(
    upstream: Upstream, tmp_path: Path, parent: str | None
) -> None:
    sent = {} if parent is None else {"traceparent": parent, "tracestate": "rojo=1"}
    async with running_service(tmp_path, **paid(upstream)) as service:
        for number in (1, 2):
            body = deck(1, style_prompt=f"style {number}")
            await service.post("/slide/batch/generate", body, headers=sent)
        first, second = told(upstream)
        ids = [line["trace_id"] for line in lines(service) if line["event"] == "request"]
    assert ids == [first[1], second[1]]
    assert len({TRACE_ID, *ids}) == 3
    assert all("tracestate" not in call.headers for call in upstream.bill.calls)


async def test_retry_of_an_ended_batch_belongs_to_the_trace_of_its_request(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with running_service(tmp_path, **paid(upstream)) as service:
        _, answer, _ = await service.post("/slide/batch/generate", deck(1))
        path = f"/slide/batch/{answer['batch_id']}/slides/s1/regenerate"
        _, answer, _ = await service.post(path, None, headers=SENT)
        await end(service, answer)
    first, second = told(upstream)
    assert first[1] != TRACE_ID
    assert second[1] == TRACE_ID


async def test_batch_that_a_restart_resumes_begins_a_new_trace(tmp_path: Path) -> None:
    async with Upstream(Plan(latency_s=0.2)) as upstream:
        async with running_service(tmp_path, **paid(upstream)) as service:
            body = deck(3, max_workers=1)
            _, answer, _ = await service.post("/slide/batch/generate", body, headers=SENT | ASYNC)
            while not upstream.bill.calls:
                await asyncio.sleep(0.01)
        before = len(upstream.bill.calls)
        async with running_service(tmp_path, **paid(upstream)) as service:
            await end(service, answer)
            seen = lines(service)
        after = {trace_id for _, trace_id, _, _ in told(upstream)[before:]}
    assert len(after) == 1
    assert TRACE_ID not in after
    resumed = seen[[line["event"] for line in seen].index("batch_resumed") :]
    its_own = [line for line in resumed if line.get("batch_id") == answer["batch_id"]]
    assert {line["trace_id"] for line in its_own} == after
    assert its_own[-1]["event"] == "batch_generate_complete"


async def test_picture_behind_an_address_is_fetched_without_a_trace(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trust(**facts: Any) -> Downloads:
        return Downloads(guard=TRUSTING, stall_s=facts["stall_s"])

    monkeypatch.setattr("slideloom.providers.network.Downloads", trust)
    async with running_service(tmp_path, **paid(upstream)) as service:
        body = deck(1)
        body["slides"][0]["title"] = "[[fault:F27_url]] page"
        _, answer, _ = await service.post("/slide/batch/generate", body, headers=SENT)
    assert answer["results"][0]["status"] == "done"
    assert [one[1] for one in told(upstream)] == [TRACE_ID]
    fetched = [visit.headers for visit in upstream.bill.downloads]
    assert fetched
    assert not any({"traceparent", "tracestate"} & headers.keys() for headers in fetched)
