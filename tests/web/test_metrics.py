"""Counters for operators."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from slideloom.errors import ContentBlocked, UpstreamDown
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running


async def read(service: Running) -> dict[tuple[str, ...], float]:
    """Each sample's value, by its name and its labels' values, those in their names' order."""
    async with service.client.get(f"{service.url}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_slides_calls_and_costs_are_counted(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._script = iter([UpstreamDown(retry_after_s=0.01), ContentBlocked()])
    await service.post("/slide/batch/generate", deck(3, max_workers=1))
    await service.post("/slide/generate", {"style_prompt": "", "visual_desc": "x", "model": "mine"})
    seen = await read(service)
    assert seen["slides_generated_total", "scripted-1", "content_blocked", "scripted"] == 1
    assert seen["slides_generated_total", "scripted-1", "done", "scripted"] == 2
    assert seen["slides_generated_total", "other", "done", "scripted"] == 1
    assert seen["slide_upstream_requests_total", "ok"] == 3
    assert seen["slide_upstream_requests_total", "upstream_unavailable"] == 1
    assert seen[("slide_cost_usd_total",)] == pytest.approx(0.12)
    assert seen["slide_generation_duration_seconds_count", "scripted-1", "scripted"] == 2
    assert seen[("batches_active",)] == 0


@pytest.mark.slow
async def test_active_batches_and_the_loops_lag_and_tasks_are_told(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 0.6
    await service.post("/slide/batch/generate", deck(2), headers={"Prefer": "respond-async"})
    assert (await read(service))[("batches_active",)] == 1
    await service.post("/slide/batch/generate", deck(1))
    seen = await read(service)
    assert seen[("event_loop_lag_seconds_count",)] >= 1
    assert seen[("asyncio_tasks",)] >= 3  # what watches the loop, cleans up, and answers
