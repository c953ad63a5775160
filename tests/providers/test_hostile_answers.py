"""Answers that are meant to hurt: they cost little time, and nothing of ours."""

import time

import msgspec
import pytest

from slideloom.domain.ratio import Ratio
from slideloom.providers.answers import Answer, read_answer
from slideloom.providers.base import DrawOrder
from slideloom.providers.call import _read_cost
from slideloom.providers.images import OPENAI_PATH, OPENROUTER_PATH, ImagesDialect
from slideloom.providers.outcomes import find_request_id, judge
from slideloom.providers.scrub import Scrubber
from tests.support.orders import slide

ORDER = DrawOrder(prompt="p", ratio=Ratio(16, 9), slide=slide(), style_prompt="")


def answer(status: int, body: object, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return read_answer(status, headers, raw)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "reset" * 20_000}},
        {"error": {"message": "retry " * 20_000}},
        b"<html>" + b"<title>" * 20_000,
        {"error": {"message": "![" * 20_000}},
    ],
)
@pytest.mark.parametrize("status", [200, 429, 502])
def test_long_words_are_judged_in_no_time(body: object, status: int) -> None:
    started_s = time.perf_counter()
    assert judge(answer(status, body), has_picture=False, now_s=0) is not None
    assert time.perf_counter() - started_s < 0.5


@pytest.mark.parametrize(
    ("told", "cost_usd"),
    [
        (0.0387, 0.0387),
        (0, 0.0),
        (True, None),
        (-5, None),
        (1e308, None),
        (float("nan"), None),
        (10**400, None),
        ("0.1", None),
        (None, None),
    ],
)
def test_only_what_can_be_a_price_is_one(told: object, cost_usd: float | None) -> None:
    assert _read_cost(told) == cost_usd


def test_request_id_is_text_without_keys() -> None:
    odd = answer(200, {}, **{"x-request-id": "caf\udce9 sk-canary-key-123456"})
    found = find_request_id(odd, clean=Scrubber("sk-canary-key-123456"))
    assert found is not None
    assert "canary" not in found
    found.encode()


def test_path_is_switched_only_for_one_that_answers() -> None:
    dialect = ImagesDialect(base_url="https://gateway.example/v1")
    first = dialect.build(ORDER, "m")
    assert first.path == OPENAI_PATH
    nothing_there = answer(404, b"404 page not found")
    assert dialect.learn(first, nothing_there)
    second = dialect.build(ORDER, "m")
    assert second.path == OPENROUTER_PATH
    assert not dialect.learn(second, nothing_there)
    assert dialect.build(ORDER, "m").path == OPENAI_PATH


def test_path_that_has_answered_is_kept_whatever_is_missing_later() -> None:
    dialect = ImagesDialect(base_url="https://gateway.example/v1")
    ask = dialect.build(ORDER, "m")
    assert not dialect.learn(ask, answer(200, {"data": [{}]}))
    assert not dialect.learn(ask, answer(404, b"404 page not found"))
    assert dialect.build(ORDER, "m").path == OPENAI_PATH


@pytest.mark.parametrize(
    "words", ["No endpoints found for typo/x.", "The model `x` does not exist"]
)
def test_missing_model_is_not_taken_for_a_missing_path(words: str) -> None:
    dialect = ImagesDialect(base_url="https://openrouter.ai/api/v1")
    ask = dialect.build(ORDER, "typo/x")
    assert not dialect.learn(ask, answer(404, {"error": {"message": words, "code": 404}}))
    assert dialect.build(ORDER, "m").path == OPENROUTER_PATH
