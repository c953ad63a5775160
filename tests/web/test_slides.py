"""Single slides."""

import re

import pytest

from slideloom.errors import (
    AuthFailed,
    BadRequest,
    BlockedAddress,
    ContentBlocked,
    CorruptPicture,
    NoAnswerInTime,
    NoImage,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    UpstreamDown,
)
from tests.support.parts import ScriptedProvider
from tests.support.service import Running

ASKED = {"style_prompt": "calm", "visual_desc": "a loom"}


@pytest.mark.parametrize("route", ["generate", "regenerate"])
async def test_single_slide_answers_with_its_picture(service: Running, route: str) -> None:
    status, body, _ = await service.post(f"/slide/{route}", ASKED)
    assert (status, body["status"]) == (200, "done")
    assert re.fullmatch(r"/assets/slide_[0-9a-f]{32}\.png", body["image_url"])
    assert "a loom" in body["final_prompt"]
    assert "revised_prompt" in body


async def test_page_number_is_in_the_name_when_one_is_sent(service: Running) -> None:
    _, body, _ = await service.post("/slide/generate", ASKED | {"page_num": 3})
    assert body["image_url"].startswith("/assets/slide_003_")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ContentBlocked(), 422, "content_blocked"),
        (BadRequest(), 422, "bad_request"),
        (RateLimited(retry_after_s=99_999), 429, "rate_limited"),
        (AuthFailed(), 502, "auth_failed"),
        (QuotaExhausted(), 502, "quota_exhausted"),
        (UpstreamDown(retry_after_s=99_999), 502, "upstream_unavailable"),
        (NoImage(retry_after_s=99_999), 502, "no_image"),
        (CorruptPicture(retry_after_s=99_999), 502, "invalid_image"),
        (BlockedAddress(), 502, "blocked_url"),
        (NoAnswerInTime(), 504, "timeout"),
    ],
)
async def test_failure_is_a_problem_never_a_placeholder(
    provider: ScriptedProvider, service: Running, error: ProviderError, status: int, code: str
) -> None:
    provider._script = iter([error])
    answered, body, headers = await service.post("/slide/generate", ASKED)
    assert (answered, body["code"]) == (status, code)
    assert ("Retry-After" in headers) == (status == 429)
    assert "image_url" not in body


async def test_full_disk_is_507_without_a_call(
    provider: ScriptedProvider, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.services.images, "_min_free_mb", 1 << 40)
    status, body, _ = await service.post("/slide/generate", ASKED)
    assert (status, body["code"]) == (507, "storage_full")
    assert provider.calls == []
    assert (await service.get("/readyz"))[0] == 503


async def test_bug_in_a_provider_is_500_internal_without_its_insides(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._script = iter([ZeroDivisionError("secret insides")])
    status, body, _ = await service.post("/slide/generate", ASKED)
    assert (status, body["code"]) == (500, "internal")
    assert "secret" not in str(body)
