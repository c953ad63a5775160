"""Three canary keys through every failing path: none turns up anywhere."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.support.service import Running, running_service
from tests.support.upstream import FAULTS, Plan, Upstream

KEYS = [f"sk-or-v1-canary{name}-0123456789abcdef" for name in ("one", "two", "three")]
NEEDLES = [key[9:].encode() for key in KEYS]
SLIDES_A_DECK = 200
SHUTTING = ("auth_failed", "quota_exhausted", "rate_limited")


async def make_all(service: Running, faults: list[str]) -> bytes:
    """A slide for each fault, in decks; every answer's bytes."""
    told = []
    for at in range(0, len(faults), SLIDES_A_DECK):
        body = {
            "slides": [
                {"title": name, "visual_desc": f"[[fault:{name}]]"}
                for name in faults[at : at + SLIDES_A_DECK]
            ],
            "style_prompt": "",
            "max_workers": SLIDES_A_DECK,
            "cache": False,
        }
        _, answer, _ = await service.post("/slide/batch/generate", body)
        _, logs, _ = await service.get(f"/api/sessions/{answer['session_id']}/logs")
        _, status, _ = await service.get(f"/api/slide/batch/{answer['batch_id']}")
        told += [answer, logs, status]
    single = {"style_prompt": "", "visual_desc": f"[[fault:{faults[0]}]]"}
    told += [await service.post("/slide/generate", single), await service.get("/readyz")]
    return msgspec.json.encode(told, enc_hook=dict)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["images", "chat", "gemini"])
async def test_no_key_is_in_any_answer_log_or_file(tmp_path: Path, shape: str) -> None:
    faults = {name: fault for name, fault in FAULTS.items() if shape in fault.shapes}
    # Those that shut the lanes come last, for after them hardly anybody calls.
    shutting = [name for name, fault in faults.items() if fault.wanted in SHUTTING]
    others = [name for name in faults if name not in shutting]
    async with Upstream(Plan(keys=tuple(KEYS))) as upstream:
        settings = {
            "LLM_IMAGE_API_KEY": ",".join(KEYS),
            "LLM_IMAGE_API_BASE": upstream.base_url,
            "LLM_IMAGE_API": shape,
            "BATCH_MAX_WORKERS": 200,
            "LANE_START": 200,
            "BATCH_TIMEOUT_SECONDS": 6,  # a busy machine makes two hundred calls in less
            "SLIDE_TIMEOUT_SECONDS": 1,
            "BACKOFF_BASE_SECONDS": 0.01,
        }
        async with running_service(tmp_path, **settings) as service:
            told = await make_all(service, others) + await make_all(service, shutting)
            service.services.log_writer.flush()
            asked = {call.key_tail for call in upstream.bill.calls}
            made = {call.fault for call in upstream.bill.calls}
    assert made >= {name for name in others if not faults[name].before_body}
    assert asked == {key[-4:] for key in KEYS}
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > len(faults)
    assert [needle for needle in NEEDLES if any(needle in text for text in (told, *files))] == []


@pytest.mark.parametrize("base", ["http://127.0.0.1:9/api", "https://127.0.0.1:9/api"])
async def test_no_key_is_told_when_nobody_can_be_reached(tmp_path: Path, base: str) -> None:
    settings = {
        "LLM_IMAGE_API_KEY": ",".join(KEYS),
        "LLM_IMAGE_API_BASE": base,
        "BACKOFF_BASE_SECONDS": 0.001,
    }
    async with running_service(tmp_path, **settings) as service:
        _, answer, _ = await asyncio.wait_for(
            service.post("/slide/batch/generate", {"slides": [{"title": "x"}], "style_prompt": ""}),
            20,
        )
        service.services.log_writer.flush()
    assert answer["results"][0]["error_code"] == "upstream_unavailable"
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    told = msgspec.json.encode(answer)
    assert [needle for needle in NEEDLES if any(needle in text for text in (told, *files))] == []
