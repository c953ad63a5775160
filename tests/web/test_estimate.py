"""What a deck would cost and how long it would take, told before anything is paid."""

import base64
import math
import time
from pathlib import Path
from typing import Any

import pytest

from slideloom.errors import ContentBlocked
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.pictures import picture
from tests.support.service import Running, running_service

PRICED = "google/gemini-3-pro-image-preview"
PICTURE = "data:image/png;base64," + base64.b64encode(picture()).decode()


async def test_estimate_tells_price_range_and_time_and_pays_nothing(
    provider: ScriptedProvider, service: Running
) -> None:
    body = deck(20, model=PRICED, max_workers=10, max_cost_usd=3.0)
    status, told, _ = await service.post("/slide/batch/estimate", body)
    assert status == 200
    assert (told["total_slides"], told["calls"], told["cache_hits"]) == (20, 20, 0)
    assert told["cost_usd_low"] == pytest.approx(20 * 0.134)
    assert told["cost_usd_high"] == pytest.approx(20 * 0.24)
    assert told["seconds"] == 40.0
    assert told["within_budget"] is False
    assert provider.calls == []


async def test_slides_that_are_typeset_here_take_no_twenty_seconds(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        _, told, _ = await service.post("/slide/batch/estimate", deck(20, max_workers=10))
        assert (told["seconds"], told["cost_usd_high"]) == (2.0, 0.0)
        assert "1 s a slide is assumed" in told["notes"][1]
        url = "/api/slide/batch/config/optimal?slides_count=20"
        _, advice, _ = await service.get(url)
        assert advice["estimated_time_seconds"] == 4.0


async def test_estimate_counts_what_is_there_already_and_what_is_asked_for_twice(
    provider: ScriptedProvider, service: Running
) -> None:
    await service.post("/slide/batch/generate", deck(3))
    twice = deck(5)
    twice["slides"][4]["title"] = "Title 4"
    _, told, _ = await service.post("/slide/batch/estimate", twice)
    assert (told["cache_hits"], told["calls"]) == (4, 1)
    _, told, _ = await service.post("/slide/batch/estimate", twice | {"cache": False})
    assert told["calls"] == 5
    assert len(provider.calls) == 3


async def test_price_that_nobody_knows_is_null(service: Running) -> None:
    _, told, _ = await service.post("/slide/batch/estimate", deck(3))
    assert (told["cost_usd_low"], told["cost_usd_high"]) == (None, None)
    assert any("scripted-1" in note for note in told["notes"])


async def test_same_deck_again_says_that_it_was_cached(service: Running) -> None:
    _, first, _ = await service.post("/slide/batch/generate", deck(3))
    _, again, _ = await service.post("/slide/batch/generate", deck(3))
    assert all(result["cached"] and result["cost_usd"] == 0 for result in again["results"])
    assert [r["image_url"] for r in again["results"]] == [r["image_url"] for r in first["results"]]


@pytest.mark.slow
async def test_deck_of_fifty_from_the_cache_is_less_than_a_tenth_of_a_second_of_work(
    provider: ScriptedProvider, service: Running
) -> None:
    await service.post("/slide/batch/generate", deck(50, max_workers=10))
    best_s = math.inf
    for _ in range(10):  # the machine may be busy with something else, its disk too
        started_s = time.process_time()
        _, again, _ = await service.post("/slide/batch/generate", deck(50, max_workers=10))
        assert again["successful"] == 50
        best_s = min(best_s, time.process_time() - started_s)
        if best_s < 0.1:
            break
    assert best_s < 0.1
    assert len(provider.calls) == 50


async def test_regenerated_single_slide_is_made_anew(
    provider: ScriptedProvider, service: Running
) -> None:
    asked = {"style_prompt": "calm", "visual_desc": "a loom"}
    images = [
        (await service.post(f"/slide/{route}", asked))[1]["image_url"]
        for route in ("generate", "generate", "regenerate")
    ]
    assert images[0] == images[1] != images[2]
    assert len(provider.calls) == 2


@pytest.mark.parametrize(
    "reference",
    ["nobody", "data:image/png;base64,%%%", "data:image/png;base64,aGVsbG8=", "data:,x"],
)
async def test_reference_that_is_none_is_refused_before_anything_is_paid(
    provider: ScriptedProvider, service: Running, reference: str
) -> None:
    status, body, _ = await service.post(
        "/slide/batch/generate", deck(2, style_reference=reference)
    )
    assert status == 422
    assert body["errors"][0]["loc"] == ["body", "style_reference"]
    assert provider.calls == []


@pytest.mark.parametrize("limit", [-1, "much", 1e300, []])
async def test_budget_that_is_none_is_refused(service: Running, limit: Any) -> None:
    status, _, _ = await service.post("/slide/batch/generate", deck(2, max_cost_usd=limit))
    assert status == 422


@pytest.mark.parametrize("reference", ["cover", "s1", PICTURE])
async def test_reference_goes_along_with_the_other_slides(
    provider: ScriptedProvider, service: Running, reference: str
) -> None:
    body = deck(3, style_reference=reference)
    body["slides"][0]["type"] = "cover"
    _, answer, _ = await service.post("/slide/batch/generate", body)
    assert answer["successful"] == 3
    led = [call.slide.id for call in provider.calls if call.reference]
    assert sorted(led) == (["s1", "s2", "s3"] if reference == PICTURE else ["s2", "s3"])


async def test_reference_picture_is_in_no_log_and_in_no_database(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._script = iter([ContentBlocked("no")])
    await service.post("/slide/batch/generate", deck(2, style_reference=PICTURE))
    service.services.log_writer.flush()
    needle = PICTURE[40:80].encode()
    files = [path for path in service.folder.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path for path in files if needle in path.read_bytes()] == []
