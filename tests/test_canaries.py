"""Three canary keys through every failing path: none turns up anywhere."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from yarl import URL

from slideloom.web.tokens import make_cookie
from tests.support.service import Running, running_service
from tests.support.upstream import FAULTS, Plan, Upstream

KEYS = [
    "sk-or-v1-canaryone-7d1fb2c94e0a6538",
    "sk-or-v1-canarytwo-91ce5a37f0d82b46",
    "sk-or-v1-canarythree-e46a0c8d3b9f2751",
]
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
    async with service.client.get(f"{service.url}/metrics") as answer:
        metrics = await answer.read()
    return msgspec.json.encode(told, enc_hook=dict) + metrics


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
    assert find_parts(KEYS, [told, *files]) == []


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
    assert find_parts(KEYS, [told, *files]) == []


# Tokens, which callers show, rightly and wrongly.

TOKENS = {"alice": "Wq7-canary-tOkEn-Zx81vB", "bob": "canary~2nd/tOkEn+Yp40mK"}
BODIES = [
    '{{"token": "{0}"}}',
    '{{"token": ["{0}"]}}',
    '{{"{0}": 1}}',
    "{0}",
    '"{0}',
    '{{"token": 1}}',
]


def list_showings(secret: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Requests that show a secret where it belongs, and where it does not."""
    right = {"Authorization": f"Bearer {secret}"}
    headers = [
        right,
        {"Authorization": f"Basic {secret}"},
        {"Authorization": secret},
        {"Authorization": f"Bearer {secret} {secret}"},
        {"Authorization": f"Bearer {secret}x"},
        {"Cookie": f"slideloom_token={secret}"},
        {"X-Api-Key": secret, "User-Agent": secret, "Referer": f"http://h/?token={secret}"},
        {"traceparent": f"00-{secret}", "Accept-Language": secret, "If-None-Match": secret},
    ]
    paths = ("/api/slide/batch", "/metrics", "/readyz", "/api/slide/batch/none", "/api/none", "/")
    asks: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", path, {"headers": one}) for path in paths for one in headers
    ]
    asks += [("GET", f"{path}?token={quote(secret)}", {}) for path in paths]
    asks += [("GET", f"/{start}/{quote(secret, safe='')}", {}) for start in ("api", "assets", "x")]
    json_type = {"Content-Type": "application/json"}
    for body in BODIES:
        more = {"data": body.format(secret), "headers": json_type}
        asks.append(("POST", "/api/sign-in", more))
        known = {**more, "headers": {**json_type, **right}}
        asks.append(("POST", "/api/slide/batch/status", known))
    crashing = ("GET", "/api/slide/batch/active-count", {"headers": right})
    return [crashing, *asks]


async def test_no_token_is_in_any_answer_log_or_file_however_it_was_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "API_TOKENS": ",".join(f"{name}:{secret}" for name, secret in TOKENS.items()),
        "RATE_LIMIT": "8/minute",
    }
    told, statuses = b"", set()
    async with running_service(tmp_path, **settings) as service:
        monkeypatch.setattr(service.services.engine, "count_active", crash)
        deck = {"slides": [{"title": "x"}], "style_prompt": ""}
        bearer = {"headers": {"Authorization": f"Bearer {TOKENS['alice']}"}}
        status, _, _ = await service.post("/slide/batch/generate", deck, **bearer)
        assert status == 200
        for secret in TOKENS.values():
            for method, path, more in list_showings(secret):
                url = URL(service.url + path, encoded=True)
                async with service.client.request(method, url, **more) as answer:
                    told += str(answer.raw_headers).encode() + await answer.read()
                    statuses.add(answer.status)
        service.services.log_writer.flush()
    assert statuses >= {200, 204, 400, 401, 404, 422, 429, 500}
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    cookies = [make_cookie(secret) for secret in TOKENS.values()]
    assert all(cookie.encode() in told for cookie in cookies)  # of the two that signed in
    assert not any(cookie.encode() in text for cookie in cookies for text in files)
    assert find_parts(TOKENS.values(), [told, *files]) == []


async def crash(**_: object) -> int:
    raise RuntimeError(*TOKENS.values())


def find_parts(secrets: Iterable[str], texts: Sequence[bytes]) -> list[str]:
    """Every eight characters of a secret that stand in one of the texts."""
    parts = {secret[at : at + 8] for secret in secrets for at in range(len(secret) - 7)}
    return sorted(part for part in parts if any(part.encode() in text for text in texts))


def test_part_of_a_token_would_be_found() -> None:
    texts = [b"nothing", b"...anary-tO..."]
    assert find_parts(TOKENS.values(), texts) == ["anary-tO"]
