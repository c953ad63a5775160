"""Rate limits: every way a provider says when to come back, or does not."""

import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Final, Unpack

from tests.support.upstream.answers import Headers
from tests.support.upstream.envelopes import (
    google_error,
    html_page,
    openai_error,
    openrouter_error,
    plain_error,
)
from tests.support.upstream.faults.base import (
    ALL_SHAPES,
    ONCE,
    OPENAI_SHAPES,
    UNBILLED,
    UNTIL_DEADLINE,
    Fault,
    Options,
    Player,
    refused,
)
from tests.support.upstream.scripts import Case, refuse, succeed
from tests.support.upstream.steps import Script


def retry_info(
    delay: str, *, quota_id: str = "GenerateRequestsPerMinutePerProject"
) -> dict[str, Any]:
    return google_error(
        429,
        f"You exceeded your current quota. Please retry in {delay}.",
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": quota_id}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
        {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
    )


def limited(
    build: Callable[[Case, float], tuple[object, Headers]], default_s: float = 1.0
) -> Player:
    def play(case: Case) -> Script:
        body, headers = build(case, case.number_argument(default_s))
        return refuse(429, body, headers=headers)

    return play


def _too_fast(case: Case) -> dict[str, Any]:
    """The plainest 429; Google's other service says no more than this."""
    if case.ask.dialect == "google":
        return google_error(429, "Resource exhausted. Please try again later.")
    return openrouter_error(429, "Rate limit exceeded")


def _platform(reset_ms: str) -> dict[str, Any]:
    return openrouter_error(
        429,
        "Rate limit exceeded: free-models-per-min.",
        metadata={
            "headers": {
                "X-RateLimit-Limit": "20",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": reset_ms,
            },
            "limit_source": "openrouter_shared_capacity",
        },
    )


def _epoch_ms(wait_s: float) -> str:
    return str(int((time.time() + wait_s) * 1000))


def _availability(wait_s: float | None) -> dict[str, Any]:
    hint = {} if wait_s is None else {"retry_after": wait_s}
    return {"code": "capacity_exhausted", "retryable": True, **hint, "requested_models": ["m"]}


def _no_capacity(wait_s: float | None) -> dict[str, Any]:
    return openrouter_error(429, "Provider returned error", availability=_availability(wait_s))


def _reset_headers(wait_s: float) -> Headers:
    reset_ms = _epoch_ms(wait_s)
    return (
        ("X-RateLimit-Limit", "20"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", reset_ms),
    )


def _duration_headers(wait_s: float) -> Headers:
    return (
        ("x-ratelimit-limit-input-images", "5"),
        ("x-ratelimit-remaining-input-images", "0"),
        ("x-ratelimit-reset-input-images", f"{wait_s:g}s"),
        ("x-ratelimit-reset-requests", f"{wait_s * 1000 - 1:g}ms"),
        ("x-request-id", "req_emulated"),
    )


def _date_headers(wait_s: float) -> Headers:
    now = time.time()
    return (
        ("Date", formatdate(now, usegmt=True)),
        ("Retry-After", formatdate(now + wait_s, usegmt=True)),
    )


def _slow_down(wait_s: float) -> dict[str, Any]:
    message = (
        f"You've exceeded the rate limit, please slow down and try again after {wait_s:g} seconds."
    )
    return openai_error(message, "rate_limit_exceeded", "rate_limit_exceeded")


_NO_MODEL_CAPACITY: Final = google_error(
    503,
    "No capacity available for model gemini-3-pro-image on the server",
    {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "MODEL_CAPACITY_EXHAUSTED",
        "domain": "cloudcode-pa.googleapis.com",
        "metadata": {"model": "gemini-3-pro-image"},
    },
)
_FREE_TIER: Final = google_error(
    429,
    "You exceeded your current quota, please check your plan and billing details.",
    {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [
            {
                "quotaMetric": "generativelanguage.googleapis.com/generate_requests",
                "quotaId": f"GenerateRequestsPer{unit}PerProjectPerModel-FreeTier",
                "quotaDimensions": {"location": "global", "model": "gemini-3-pro-image"},
            }
            for unit in ("Minute", "Day")
        ],
    },
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"},
)


def _rate(name: str, about: str, script: Player, **more: Unpack[Options]) -> Fault:
    options: Options = {
        "wanted": "rate_limited",
        "calls": UNTIL_DEADLINE,
        "argument": "seconds to wait",
        "shapes": OPENAI_SHAPES,
        **more,
    }
    return refused(f"F19_{name}", about, script, **options)


RATE_FAULTS: Final = (
    _rate(
        "429_retry_after_s",
        "429, Retry-After in seconds",
        limited(lambda case, s: (_too_fast(case), (("Retry-After", f"{s:g}"),))),
        shapes=ALL_SHAPES,
    ),
    _rate(
        "429_date",
        "429, Retry-After as a date",
        limited(lambda case, s: (_too_fast(case), _date_headers(s)), 2),
        shapes=ALL_SHAPES,
    ),
    _rate(
        "429_ms",
        "429, retry-after-ms",
        limited(lambda case, s: (_too_fast(case), (("retry-after-ms", f"{s * 1000:g}"),))),
        shapes=ALL_SHAPES,
    ),
    _rate(
        "429_reset_ms_epoch",
        "429, X-RateLimit-Reset as epoch milliseconds, in headers and metadata",
        limited(lambda _, s: (_platform(_epoch_ms(s)), _reset_headers(s))),
    ),
    _rate(
        "429_reset_metadata",
        "429, X-RateLimit-Reset only in metadata.headers",
        limited(lambda _, s: (_platform(_epoch_ms(s)), ())),
    ),
    _rate(
        "429_openai_duration",
        "429, x-ratelimit-reset-* as durations",
        limited(
            lambda _, s: (
                openai_error("Rate limit exceeded", "rate_limit_exceeded"),
                _duration_headers(s),
            )
        ),
    ),
    _rate(
        "429_retryinfo",
        "429, google.rpc.RetryInfo",
        limited(lambda _, s: (retry_info(f"{s:g}s"), ())),
        shapes=ALL_SHAPES,
    ),
    _rate("429_message", "429, only the message tells", limited(lambda _, s: (_slow_down(s), ()))),
    _rate(
        "429_google_message",
        "429, only Google's message tells",
        limited(
            lambda _, s: (google_error(429, f"Quota exceeded. Please retry in {s:.9f}s."), ()), 47.4
        ),
        shapes=("gemini",),
        calls=ONCE,
    ),
    _rate(
        "429_retryinfo_47s",
        "429, google.rpc.RetryInfo far over the time left",
        limited(lambda _, s: (retry_info(f"{s:g}s"), ()), 47),
        shapes=("gemini",),
        calls=ONCE,
    ),
    _rate(
        "503_model_capacity",
        "503, ErrorInfo MODEL_CAPACITY_EXHAUSTED",
        lambda _: refuse(503, _NO_MODEL_CAPACITY),
        shapes=("gemini",),
        argument="",
    ),
    _rate(
        "429_none",
        "429, no hint at all",
        limited(lambda case, _: (_too_fast(case), ())),
        argument="",
        shapes=ALL_SHAPES,
    ),
    _rate(
        "429_html",
        "429 of a proxy, HTML",
        lambda _: refuse(429, html_page(429, "Too many requests")),
        shapes=ALL_SHAPES,
    ),
    _rate(
        "429_long",
        "429, Retry-After far over the time left",
        limited(lambda case, s: (_too_fast(case), (("Retry-After", f"{s:g}"),)), 86400),
        calls=ONCE,
        shapes=ALL_SHAPES,
    ),
    _rate(
        "429_code_1302",
        "429 with the code as a numeric string",
        limited(
            lambda _, __: ({"error": {"code": "1302", "message": "您的账户已达到速率限制"}}, ())
        ),
        argument="",
    ),
    _rate(
        "429_daily",
        "429, the day's quota is gone (openrouter_free_tier_daily)",
        limited(
            lambda _, s: (
                openrouter_error(
                    429,
                    "Rate limit exceeded: free-models-per-day.",
                    metadata={
                        "headers": {"X-RateLimit-Limit": "50", "X-RateLimit-Reset": _epoch_ms(s)},
                        "limit_source": "openrouter_free_tier_daily",
                    },
                ),
                _reset_headers(s),
            ),
            43200,
        ),
        wanted="quota_exhausted",
        calls=ONCE,
    ),
    _rate(
        "429_daily_quota_id",
        "429, a quotaId ending in PerDay",
        limited(lambda _, s: (retry_info(f"{s:g}s", quota_id="GenerateRequestsPerDay"), ()), 47),
        wanted="quota_exhausted",
        calls=ONCE,
        shapes=ALL_SHAPES,
    ),
    _rate(
        "429_daily_free_tier",
        "429, quota ids of the minute and of the day, as the free tier has them",
        lambda _: refuse(429, _FREE_TIER),
        wanted="quota_exhausted",
        calls=ONCE,
        shapes=("gemini",),
        argument="",
    ),
    _rate(
        "capacity_exhausted",
        "429 with error.availability and retry_after; a Retry-After header says otherwise",
        limited(lambda _, s: (_no_capacity(s), (("Retry-After", "3600"),))),
    ),
    _rate(
        "capacity_no_hint",
        "429 capacity_exhausted without a hint",
        limited(lambda _, __: (_no_capacity(None), ())),
    ),
    Fault(
        name="F19_503_retry_after",
        about="503 with Retry-After",
        script=lambda case: refuse(
            503,
            plain_error(case.ask.dialect, 503, "temporarily unavailable"),
            headers=(("Retry-After", f"{case.number_argument(1):g}"),),
        ),
        wanted="upstream_unavailable",
        calls=UNBILLED,
        argument="seconds to wait",
    ),
    Fault(
        name="F20_storm",
        about="429 without a hint while more than N calls are under way, else a good answer",
        script=lambda case: (
            refuse(429, _too_fast(case))
            if case.in_flight > case.number_argument(4)
            else succeed(case)
        ),
        wanted=None,
        calls=UNTIL_DEADLINE,
        billed=True,
        argument="N, default 4",
    ),
)
