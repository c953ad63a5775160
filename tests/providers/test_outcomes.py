"""What answers amount to: one table, from the policy and the provider contracts."""

import json
from email.utils import formatdate
from typing import Any

import pytest
from msgspec import Struct

from slideloom.errors import (
    AnswerLost,
    AuthFailed,
    BadRequest,
    ContentBlocked,
    NoImage,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    UpstreamDown,
)
from slideloom.providers.answers import find_previews, read_answer
from slideloom.providers.outcomes import judge
from slideloom.providers.retry_after import read_duration
from slideloom.providers.scrub import DETAIL_CHARS, Scrubber
from slideloom.providers.usage import find_usage

NOW_S = 1_790_000_000.0
HTML = "<!DOCTYPE html><html><head><title>502: Bad gateway</title></head><body>x</body></html>"


class Case(Struct, frozen=True):
    """One answer and what it means."""

    name: str
    status: int
    body: Any
    """JSON, or text as it is."""
    wanted: type[ProviderError] | None
    headers: dict[str, str] = {}
    retry_after_s: float | None = None
    has_picture: bool = False
    is_cut: bool = False


def error(code: object = None, message: str = "m", **more: object) -> dict[str, Any]:
    """An error in OpenRouter's or OpenAI's envelope."""
    return {"error": {"code": code, "message": message, **more}}


def choice(**facts: object) -> dict[str, Any]:
    """A chat answer without a picture."""
    message = {"role": "assistant", "content": facts.pop("content", None)}
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": message, **facts}]}


def quota(quota_id: str, delay: str) -> dict[str, Any]:
    """Google's error of a quota."""
    details = [{"violations": [{"quotaId": quota_id}]}, {"retryDelay": delay}]
    return error(429, "Quota exceeded.", status="RESOURCE_EXHAUSTED", details=details)


RAW = '{"error":{"message":"true words","code":"content_policy_violation"}}'

CASES = (
    # Statuses.
    Case("400", 400, error(400), BadRequest),
    Case("401", 401, error(401), AuthFailed),
    Case("402", 402, error(402), QuotaExhausted),
    Case("403", 403, error(403), AuthFailed),
    Case("404", 404, error(404), BadRequest),
    Case("404 page", 404, HTML, BadRequest),
    Case("405", 405, {"detail": "Method Not Allowed"}, BadRequest),
    Case("408", 408, error(408), BadRequest),
    Case("413", 413, "", BadRequest),
    Case("422 list", 422, {"detail": [{"loc": ["body", "size"], "msg": "bad"}]}, BadRequest),
    Case("429", 429, error(429), RateLimited),
    Case("302", 302, "", BadRequest),
    *(
        Case(f"{status}", status, error(status), UpstreamDown)
        for status in (500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
    ),
    Case("502 page", 502, HTML, UpstreamDown),
    Case("403 page of a proxy", 403, HTML, UpstreamDown),
    Case("500 empty", 500, "", UpstreamDown),
    # Words against statuses.
    Case("moderation", 400, error("moderation_blocked"), ContentBlocked),
    Case("moderation details", 400, error(None, moderation_details={"x": 1}), ContentBlocked),
    Case("error_type", 400, error(400, metadata={"error_type": "refusal"}), ContentBlocked),
    Case("flagged input", 403, error(403, metadata={"reasons": ["hate"]}), ContentBlocked),
    Case("guardrail", 403, error(403, metadata={"patterns": ["p"]}), ContentBlocked),
    Case("Ark", 400, error("OutputImageSensitiveContentDetected"), ContentBlocked),
    Case(
        "Azure",
        400,
        error("x", innererror={"code": "ResponsibleAIPolicyViolation"}),
        ContentBlocked,
    ),
    Case("moderation upstream", 502, error(502, metadata={"raw": RAW}), ContentBlocked),
    Case("insufficient quota", 429, error("insufficient_quota"), QuotaExhausted),
    Case(
        "free tier",
        429,
        error(429, metadata={"limit_source": "openrouter_free_tier_daily"}),
        QuotaExhausted,
    ),
    Case(
        "daily quota",
        429,
        quota("RequestsPerDayPerProject", "47s"),
        QuotaExhausted,
        retry_after_s=47,
    ),
    Case(
        "Google key",
        400,
        error(400, status="INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}]),
        AuthFailed,
    ),
    Case(
        "no capacity",
        503,
        error(503, details=[{"reason": "MODEL_CAPACITY_EXHAUSTED"}]),
        RateLimited,
    ),
    Case(
        "region",
        403,
        error(403, availability={"code": "region_restricted", "retryable": False}),
        BadRequest,
    ),
    Case(
        "retryable says so",
        404,
        error(404, availability={"code": "new", "retryable": True}),
        UpstreamDown,
    ),
    Case("vendor's number", 429, error("1302"), RateLimited),
    # Forms of the body.
    Case("plain string", 400, {"error": "invalid model id"}, BadRequest),
    Case("array", 429, [quota("RequestsPerMinute", "1.5s")], RateLimited, retry_after_s=1.5),
    Case("number", 400, 42, BadRequest),
    Case("not UTF-8", 400, b'{"error":{"code":400,"message":"caf\xe9"}}', BadRequest),
    Case("Stability", 400, {"errors": ["bad"], "name": "bad_request"}, BadRequest),
    # Errors in a 200.
    Case("whole body 500", 200, error(500), UpstreamDown),
    Case("whole body 429", 200, error(429), RateLimited),
    Case("whole body 401", 200, error("401"), AuthFailed),
    Case(
        "whole body refusal", 200, error(None, metadata={"error_type": "refusal"}), ContentBlocked
    ),
    Case("whole body unknown", 200, error(None), NoImage),
    Case("error in the choice", 200, choice(finish_reason="error", **error(502)), UpstreamDown),
    Case("error is null", 200, {"error": None, "data": [1]}, None, has_picture=True),
    Case(
        "error says nothing",
        200,
        {"data": [1], "error": {"message": "", "code": None}},
        None,
        has_picture=True,
    ),
    Case(
        "error says nothing at length",
        200,
        {"data": [1], "error": {"code": 0, "message": "", "param": None, "metadata": {}}},
        None,
        has_picture=True,
    ),
    Case("nothing, said as an error", 200, {"error": {"message": "", "code": None}}, NoImage),
    Case("bad status says nothing", 500, {"error": {"message": "", "code": None}}, UpstreamDown),
    Case("code alone", 200, {"data": [1], **error(500, "")}, UpstreamDown, has_picture=True),
    Case("DashScope", 200, {"code": "Throttling", "message": "slow"}, RateLimited),
    Case("success code", 200, {"code": 0, "message": "success", "data": []}, NoImage),
    Case(
        "stream error",
        200,
        'data: {"error":{"code":"server_error","message":"x"}}\n\n',
        UpstreamDown,
    ),
    Case("item error", 200, {"data": [error("InputTextSensitiveContentDetected")]}, ContentBlocked),
    # No picture.
    Case("prose", 200, choice(content="I cannot draw."), NoImage),
    Case("no choices", 200, {"choices": []}, NoImage),
    Case("null data", 200, {"data": None}, NoImage),
    Case("null", 200, "null", NoImage),
    Case("NO_IMAGE", 200, choice(native_finish_reason="NO_IMAGE"), NoImage),
    Case("content filter", 200, choice(finish_reason="content_filter"), ContentBlocked),
    Case("native reason", 200, choice(native_finish_reason="IMAGE_SAFETY"), ContentBlocked),
    Case(
        "native reason on top",
        200,
        {**choice(), "native_finish_reason": "IMAGE_SAFETY"},
        ContentBlocked,
    ),
    Case(
        "Gemini reason",
        200,
        {"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]},
        ContentBlocked,
    ),
    Case("Gemini block", 200, {"promptFeedback": {"blockReason": "OTHER"}}, ContentBlocked),
    Case(
        "Gemini account",
        200,
        {"candidates": [{"finishReason": "PUP_LIMITED_DISABLED"}]},
        QuotaExhausted,
    ),
    Case("refusal field", 200, {"choices": [{"message": {"refusal": "no"}}]}, ContentBlocked),
    Case(
        "NSFW beside a picture",
        200,
        {"has_nsfw_concepts": [True]},
        ContentBlocked,
        has_picture=True,
    ),
    Case("blurred", 200, {"finish_reason": "CONTENT_FILTERED"}, ContentBlocked, has_picture=True),
    Case("empty", 200, "", AnswerLost),
    Case("cut JSON", 200, '{"data":[{"b64', AnswerLost),
    Case("cut", 200, {"choices": []}, AnswerLost, is_cut=True),
    Case("page", 200, HTML, UpstreamDown),
    Case("good", 200, {"data": [{"b64_json": "lifted:0"}]}, None, has_picture=True),
    Case(
        "whole picture, rest cut",
        200,
        '{"data":[{"b64_json":"lifted:0"',
        None,
        has_picture=True,
        is_cut=True,
    ),
    # When to come back.
    Case("seconds", 429, error(429), RateLimited, {"Retry-After": "7"}, 7),
    Case(
        "date", 429, error(429), RateLimited, {"Retry-After": formatdate(NOW_S + 9, usegmt=True)}, 9
    ),
    Case("past date", 429, error(429), RateLimited, {"Retry-After": formatdate(NOW_S - 9)}, 0),
    Case("thousandths", 429, error(429), RateLimited, {"retry-after-ms": "534"}, 0.534),
    Case(
        "epoch ms",
        429,
        error(429),
        RateLimited,
        {"X-RateLimit-Reset": f"{NOW_S * 1000 + 5000:.0f}"},
        5,
    ),
    Case(
        "mirrored",
        429,
        error(429, metadata={"headers": {"X-RateLimit-Reset": f"{NOW_S * 1000 + 4000:.0f}"}}),
        RateLimited,
        retry_after_s=4,
    ),
    Case(
        "durations",
        429,
        error(429),
        RateLimited,
        {"x-ratelimit-reset-requests": "120ms", "x-ratelimit-reset-tokens": "1m1s"},
        61,
    ),
    Case(
        "used up",
        429,
        error(429),
        RateLimited,
        {
            "x-ratelimit-reset-requests": "2s",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-tokens": "9s",
        },
        2,
    ),
    Case(
        "words",
        429,
        error(429, "slow down and try again after 51.8 seconds."),
        RateLimited,
        retry_after_s=51.8,
    ),
    Case(
        "availability first",
        429,
        error(
            429, availability={"code": "capacity_exhausted", "retryable": True, "retry_after": 3}
        ),
        RateLimited,
        {"Retry-After": "60"},
        3,
    ),
    Case(
        "header before details",
        429,
        quota("PerMinute", "47s"),
        RateLimited,
        {"Retry-After": "2"},
        2,
    ),
    Case("503 too", 503, error(503), UpstreamDown, {"Retry-After": "4"}, 4),
    Case("nonsense", 429, error(429), RateLimited, {"Retry-After": "soon"}),
    Case("infinite", 429, error(429), RateLimited, {"Retry-After": "9" * 400}),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_becomes_the_error_of_its_row(case: Case) -> None:
    body = case.body
    if not isinstance(body, bytes):
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    found = judge(
        read_answer(case.status, case.headers, body),
        has_picture=case.has_picture,
        is_cut=case.is_cut,
        now_s=NOW_S,
    )
    assert type(found) is (case.wanted or type(None))
    assert found is None or found.http_status == case.status
    wait_s = found.retry_after_s if found else None
    assert wait_s == (
        case.retry_after_s
        if case.retry_after_s is None
        else pytest.approx(case.retry_after_s, abs=0.01)
    )


def test_what_may_have_been_billed_says_so() -> None:
    maybe = {case.wanted for case in CASES if case.wanted and case.wanted.billed == "maybe"}
    assert maybe == {NoImage, AnswerLost}


def read_error(status: int, body: Any) -> ProviderError:
    found = judge(
        read_answer(status, {}, json.dumps(body).encode()), has_picture=False, now_s=NOW_S
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, error(429, availability={"code": "capacity_exhausted", "retryable": True})),
        (503, error(503, details=[{"reason": "MODEL_CAPACITY_EXHAUSTED"}])),
        (503, error(503, metadata={"error_type": "provider_overloaded"})),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        (429, error(429, metadata={"limit_source": "openrouter_shared_capacity"})),
        (429, error(429, metadata={"limit_source": "upstream_provider_shared_pool"})),
        (503, error(503, "The model is overloaded. Please try again later.", status="UNAVAILABLE")),
        (502, error(502, metadata={"raw": '{"error":{"type":"overloaded_error"}}'})),
        (200, error(503, metadata={"error_type": "provider_overloaded"})),
        (200, choice(finish_reason="error", **error(529, "No capacity left"))),
    ],
)
def test_no_room_for_anybody_is_told_from_a_limit_of_the_key(status: int, body: Any) -> None:
    found = read_error(status, body)
    assert isinstance(found, RateLimited | UpstreamDown)
    assert found.is_capacity


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, error(429, "Rate limit exceeded")),
        (429, error("rate_limit_exceeded", "over the capacity of your plan")),
        (429, error(429, metadata={"limit_source": "openrouter_free_tier_daily"})),
        (429, quota("RequestsPerMinutePerProject", "7s")),
        (503, error(503, "Service unavailable")),
        (529, error(529, "Provider returned error")),
        (500, error(500, "the queue is overloaded")),
        (402, error("payment_required", metadata={"error_type": "provider_overloaded"})),
        (200, choice(content="I have no capacity to draw.")),
    ],
)
def test_what_is_no_lack_of_capacity_is_not_called_so(status: int, body: Any) -> None:
    assert not read_error(status, body).is_capacity


def test_price_of_what_failed_is_told() -> None:
    usage = {"usage": {"cost": 0.0387, "total_tokens": 1304}}
    assert read_error(200, {**choice(content="No."), **usage}).cost_usd == 0.0387
    assert read_error(502, {**error(502), **usage}).cost_usd == 0.0387
    assert read_error(200, {**error(500), "usage": {"cost": "much"}}).cost_usd is None
    assert read_error(500, error(500)).cost_usd is None


def test_the_true_words_are_dug_out() -> None:
    body = error(
        502, "Provider returned error", metadata={"raw": '{"detail":{"msg":"true words"}}'}
    )
    found = judge(
        read_answer(502, {"x-request-id": "r-9"}, json.dumps(body).encode()),
        has_picture=False,
        now_s=0,
    )
    assert found is not None
    assert (found.detail, found.provider_code, found.request_id) == ("true words", "502", "r-9")


def test_deep_nesting_is_no_fault_of_ours() -> None:
    for body in (b"[" * 5000, b'{"error":' * 2000 + b"1" + b"}" * 2000):
        assert type(judge(read_answer(500, {}, body), has_picture=False, now_s=0)) is UpstreamDown


@pytest.mark.parametrize("depth", [63, 70, 300, 500, 900, 990])
@pytest.mark.parametrize("key", ["a", "error", "usage"])
def test_depth_that_can_be_read_is_no_fault_of_ours_either(depth: int, key: str) -> None:
    inner = (b'{"%s":' % key.encode()) * depth + b"1" + b"}" * depth
    answer = read_answer(200, {}, b'{"usage":%s}' % inner)
    assert list(find_previews(answer.documents)) == []
    Scrubber("key-canary-1").tree(find_usage(answer))
    for has_picture in (True, False):
        judge(read_answer(200, {}, inner), has_picture=has_picture, now_s=0)


def test_json_between_the_lines_of_a_stream_is_read() -> None:
    body = b': PROCESSING\n\n{"data":\n[]}\n\ndata: [DONE]\n\n'
    assert read_answer(200, {}, body).documents == ({"data": []},)
    split = b'event: x\r\nid: 1\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:{"b":2}\r\n\r\ndata: [DONE]'
    assert read_answer(200, {}, split).documents == ({"a": 1}, {"b": 2})


def test_thoughts_and_partial_images_are_previews() -> None:
    parts = [
        {"thought": True, "inlineData": {"data": "lifted:0"}},
        {"inlineData": {"data": "lifted:1"}},
    ]
    partial = {"b64_json": "lifted:2", "type": "image_generation.partial_image"}
    assert set(find_previews([{"parts": parts}, partial])) == {0, 2}


def test_no_part_of_a_key_is_shown() -> None:
    key = "sk-or-v1-canary-0123456789abcdef"
    scrub = Scrubber(key)
    texts = (
        f"bad key {key}!",
        f"key {key[:12]}...",
        f"…{key[-9:]}",
        f"x{key}{key}y",
        "Bearer abc.def",
    )
    for text in texts:
        shown = scrub(text)
        assert not any(key[at : at + 8] in shown for at in range(len(key) - 7))
        assert "abc.def" not in shown
    assert scrub("two\nlines\u2028three") == "two lines three"
    assert len(scrub("long " * 1000)) <= DETAIL_CHARS
    assert Scrubber("")("as it is") == Scrubber()("as it is") == "as it is"


def test_every_one_of_several_keys_is_hidden() -> None:
    scrub = Scrubber("alpha-canary-0001", "", "shrt", "beta-canary-0002")
    shown = scrub("alpha-canary-0001, beta-canary-0002 and shrt; nary-0001beta-can")
    assert shown == "[key], [key] and [key]; [key]"


def test_usage_is_cleaned_through_and_through() -> None:
    usage = {"cost": 0.5, "by": [{"key-canary-1": "of key-canary-1", "n": 1}], "free": None}
    cleaned = {"cost": 0.5, "by": [{"[key]": "of [key]", "n": 1}], "free": None}
    assert Scrubber("key-canary-1").tree(usage) == cleaned


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("47.4s", 47.4),
        ("120ms", 0.12),
        ("1m2s", 62),
        ("2h", 7200),
        ("5", 5),
        ("", None),
        ("x", None),
        ("9" * 400 + "s", None),
    ],
)
def test_durations_are_read(text: str, seconds: float | None) -> None:
    assert read_duration(text) == seconds
