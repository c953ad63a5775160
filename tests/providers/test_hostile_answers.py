"""Answers that are meant to hurt: they cost little time, and nothing of ours."""

import time

import msgspec
import pytest

from slideloom.providers.answers import Answer, read_answer
from slideloom.providers.intake import PictureIntake
from slideloom.providers.lift import MOST_PICTURES
from slideloom.providers.outcomes import find_request_id, judge
from slideloom.providers.scrub import Scrubber
from slideloom.providers.usage import read_cost


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
    ("head", "piece"),
    [
        (b"{", b'"b64_json":"AAAA",'),
        (b"data: {", b'"b64_json":"AAAA",'),
        (b"", b'data: {"b64_json":"AAAA"}\n\n'),
        (
            b"{",
            b'{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgoAAAANSUhEUgAAACgAAAAe"}},',
        ),
        (b"{", b'"inlineData":{"data":"iVBORw0KGgoAAAANSUhEUgAAACgAAAAeCAIAAADRv8uK",'),
        (b'{"a":"', b"x;base64,iVBORw0KGgoAAAANSUhEUgAAACgAAAAeCAIAAADRv8uK "),
        (b"", b";base64,x"),
        (b"", b'"data:,;base64,AAAA"'),
        (b"", b'"data":"short",'),
        (b"", b'"data"' + b" " * 999),
        (b'{"b64_json":"', b"\\u002f"),
    ],
)
def test_answer_that_is_all_beginnings_is_read_in_no_time(head: bytes, piece: bytes) -> None:
    intake = PictureIntake()
    answer = head + piece * (512 * 1024 // len(piece))
    started_s = time.process_time()
    for start in range(0, len(answer), 64 * 1024):
        intake.take(answer[start : start + 64 * 1024])
    intake.lift.finish()
    assert time.process_time() - started_s < 2
    assert intake.lift.picture_count <= MOST_PICTURES


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
    assert read_cost(told) == cost_usd


def test_request_id_is_text_without_keys() -> None:
    odd = answer(200, {}, **{"x-request-id": "caf\udce9 sk-canary-key-123456"})
    found = find_request_id(odd, clean=Scrubber("sk-canary-key-123456"))
    assert found is not None
    assert "canary" not in found
    found.encode()
