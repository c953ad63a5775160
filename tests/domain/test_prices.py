"""What pictures cost."""

import datetime as dt
import math
from typing import Any

import pytest

from slideloom.domain.prices import Price, find_price, load_prices, price_usage

PRO = Price(low_usd=0.134, high_usd=0.24)
OPENAI_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 50, "image_tokens": 0},
    "output_tokens": 1568,
    "output_tokens_details": {"image_tokens": 1568, "text_tokens": 0},
    "total_tokens": 1618,
}
GEMINI_USAGE = {
    "promptTokenCount": 100,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}],
    "candidatesTokenCount": 1120,
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
    "thoughtsTokenCount": 200,
    "totalTokenCount": 1420,
}


@pytest.mark.parametrize(
    "model",
    [
        "google/gemini-3-pro-image-preview",
        "gemini-3-pro-image",
        "models/gemini-3-pro-image",
        "Google/Gemini-3-Pro-Image-Preview ",
        "openrouter/google/gemini-3-pro-image-preview:nitro",
        "gemini-3-pro-image-preview-11-20",
        "gemini-3-pro-image-latest",
        "gemini-3-pro-image-001",
    ],
)
def test_vendor_stage_and_date_of_a_model_do_not_matter(model: str) -> None:
    assert find_price(model) == PRO


@pytest.mark.parametrize(
    ("model", "low_usd", "high_usd"),
    [
        ("google/gemini-2.5-flash-image", 0.039, 0.039),
        ("google/gemini-3.1-flash-image-preview", 0.067, 0.067),
        ("gemini-3.1-flash-lite-image", 0.0336, 0.0336),
        ("openai/gpt-image-2", 0.005, 0.4),
        ("gpt-image-2-2026-04-21", 0.005, 0.4),
        ("gpt-image-2.5-flare-2026-09-08", 0.005, 0.4),
        ("bytedance-seed/seedream-4.5", 0.04, 0.04),
        ("doubao-seedream-4-0-250828", 0.03, 0.03),
        ("black-forest-labs/flux-1.1-pro", 0.04, 0.04),
    ],
)
def test_known_models_have_the_prices_of_the_notes(
    model: str, low_usd: float, high_usd: float
) -> None:
    assert find_price(model) == Price(low_usd=low_usd, high_usd=high_usd)


@pytest.mark.parametrize(
    "model",
    [
        "",
        "/",
        ":",
        "gemini-3-pro",
        "gemini-3-pro-image-ultra",
        "gpt-image-2.6-flare",  # newer than any price that is known
        "gpt-image-1-mini",
        "flux-pro-1.1-ultra",
        "seedream-5.0-pro",
        "[a-z]*",
        "*",
    ],
)
def test_model_that_only_resembles_a_known_one_has_no_price(model: str) -> None:
    assert find_price(model) is None
    assert price_usage(model, OPENAI_USAGE) is None


def test_free_variant_of_any_model_costs_nothing() -> None:
    for model in ("google/gemini-2.5-flash-image:free", "nobody/knows:FREE"):
        assert find_price(model) == Price(low_usd=0.0, high_usd=0.0)
        assert price_usage(model, OPENAI_USAGE) == 0.0
        assert price_usage(model, None) == 0.0


def test_openai_usage_is_priced_by_its_kinds_of_tokens() -> None:
    # 50 x 5 + 1568 x 30 millionths
    assert price_usage("gpt-image-2", OPENAI_USAGE) == 0.04729
    with_reference = OPENAI_USAGE | {
        "input_tokens": 650,
        "input_tokens_details": {"text_tokens": 50, "image_tokens": 600},
    }
    # and 600 x 8
    assert price_usage("gpt-image-2", with_reference) == 0.05209


def test_gemini_usage_is_priced_with_its_thoughts() -> None:
    # 100 x 2 + 200 x 12 + 1120 x 120 millionths
    assert price_usage("google/gemini-3-pro-image-preview", GEMINI_USAGE) == 0.137


def test_blocked_gemini_call_still_costs_its_prompt_and_thoughts() -> None:
    usage = {"promptTokenCount": 100, "thoughtsTokenCount": 200, "totalTokenCount": 300}
    assert price_usage("gemini-3-pro-image", usage) == 0.0026


def test_tokens_that_are_not_told_apart_count_as_the_dearer() -> None:
    # 50 x 8 + 1568 x 30 millionths
    assert price_usage("gpt-image-2", {"input_tokens": 50, "output_tokens": 1568}) == 0.04744
    assert price_usage("gemini-2.5-flash-image", {"candidatesTokenCount": 1290}) == 0.0387


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, "1568", True, [], 10**400, 1e18])
def test_count_that_is_none_gives_no_price(bad: Any) -> None:
    assert price_usage("gpt-image-2", OPENAI_USAGE | {"output_tokens": bad}) is None
    details = {"output_tokens_details": {"image_tokens": bad}}
    assert price_usage("gpt-image-2", OPENAI_USAGE | details) is None
    assert price_usage("gemini-3-pro-image", GEMINI_USAGE | {"thoughtsTokenCount": bad}) is None
    parts = {"candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": bad}]}
    assert price_usage("gemini-3-pro-image", GEMINI_USAGE | parts) is None


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"total_tokens": 9},
        {"input_tokens": 0, "output_tokens": 0},  # how a gateway says that it did not count
        {"input_tokens": None, "output_tokens": None},
        {"cost": 0.1},
    ],
)
def test_usage_without_tokens_has_no_price(usage: dict[str, Any] | None) -> None:
    assert price_usage("gpt-image-2", usage) is None


@pytest.mark.parametrize("details", [None, [], "x", 1, [1], [{"modality": "IMAGE"}], {}])
def test_odd_details_do_no_harm(details: Any) -> None:
    for key in ("input_tokens_details", "output_tokens_details"):
        cost_usd = price_usage("gpt-image-2", OPENAI_USAGE | {key: details})
        assert cost_usd is not None
        assert cost_usd > 0
    for key in ("promptTokensDetails", "candidatesTokensDetails"):
        cost_usd = price_usage("gemini-3-pro-image", GEMINI_USAGE | {key: details})
        assert cost_usd == 0.137  # nothing was told apart: the dearer


def test_more_picture_tokens_than_tokens_are_never_a_rebate() -> None:
    usage = OPENAI_USAGE | {"output_tokens": 1}
    assert price_usage("gpt-image-2", usage) == 0.04729


def test_every_row_of_the_table_says_where_and_when() -> None:
    patterns = [pattern for row in load_prices() for pattern in row.models]
    assert len(set(patterns)) == len(patterns)
    for row in load_prices():
        assert 0 < row.low_usd <= row.high_usd < 10
        assert row.source
        assert dt.date.fromisoformat(row.seen)
        assert all(pattern == pattern.lower() for pattern in row.models)
