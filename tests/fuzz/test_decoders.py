"""Whatever strangers write: what reads it gives an answer or its stated error, in no time.

`FUZZ_EXAMPLES` (a number) has that many tries made of each, other ones each time.
"""

import base64
import io
import json
import math
import os
import random
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from slideloom.domain.images import MAX_PIXELS, NotAPicture, inspect_picture
from slideloom.domain.request import (
    GenerateRequest,
    SingleRequest,
    read_data_url,
    to_order,
    to_single,
)
from slideloom.errors import InvalidRequest, MalformedBody, ProviderError
from slideloom.providers.answers import find_previews, read_answer
from slideloom.providers.call import _find_address
from slideloom.providers.chat import ChatDialect
from slideloom.providers.complaints import find_parameter
from slideloom.providers.gemini import GeminiDialect
from slideloom.providers.images import ImagesDialect
from slideloom.providers.outcomes import find_prose, judge
from slideloom.providers.retry_after import find_retry_after, read_duration
from slideloom.providers.usage import find_usage
from slideloom.stores.cursor import parse_cursor, to_cursor
from slideloom.tracing import read_trace
from slideloom.web.bodies import parse_json
from slideloom.web.exports import ExportRequest, _headers, _to_album
from slideloom.web.once import read_once_key
from slideloom.web.problems import reader_language
from slideloom.web.words import in_words
from tests.support.cut_answers import TOKENS, read_cut
from tests.support.mutants import mutate
from tests.support.orders import deck
from tests.support.pictures import picture

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
fuzz = settings(max_examples=EXAMPLES, deadline=2000, derandomize=EXAMPLES == 100)
sources = st.randoms(use_true_random=False)

DECK = {
    **deck(2, max_workers=3, aspect_ratio="16:9", model="m", cache=True, max_cost_usd=0.5),
    "style_reference": "data:image/png;base64," + base64.b64encode(picture()).decode(),
}
SLIDE = {"style_prompt": "calm", "visual_desc": "a loom", "page_num": 3, "aspect_ratio": "4:3"}
PROJECT = {
    "project": {
        "title": "t",
        "aspect_ratio": "16:9",
        "slides": [
            {"page_num": 1, "title": "a", "image_url": "/assets/slide_001_%s.png" % ("a" * 32)}
        ],
    },
    "file_name": "deck.pptx",
}


@given(sources)
@fuzz
def test_body_is_an_order_or_refused(source: random.Random) -> None:
    names = {"new_id": lambda: "new", "session_id": "s"}
    try:
        asked = parse_json(mutate(source, json.dumps(DECK).encode()), GenerateRequest)
        read_data_url(asked)
        order = to_order(asked, default_workers=3, worker_limit=10, **names)  # type: ignore[arg-type]
        assert 1 <= order.max_workers <= 10
        one = parse_json(mutate(source, json.dumps(SLIDE).encode()), SingleRequest)
        to_single(one, cache=True, **names)  # type: ignore[arg-type]
    except (MalformedBody, InvalidRequest) as error:
        told = [in_words(error, "en"), in_words(error, "zh")]
    else:
        told = ["fine"]
    assert all(told)


@given(sources)
@fuzz
def test_project_has_headers_that_can_be_sent_or_is_refused(source: random.Random) -> None:
    try:
        asked = parse_json(mutate(source, json.dumps(PROJECT).encode()), ExportRequest)
        headers = _headers(_to_album(asked.project), "pptx", asked.file_name or "")
    except (MalformedBody, InvalidRequest):
        return
    for value in headers.values():
        assert re.fullmatch(rb"[\x20-\x7e]+", value.encode("latin-1"))


@given(st.text() | st.from_regex(r"[0-9\u0660-\u0669.e]{0,30}_.*"))
@fuzz
def test_cursor_is_a_place_or_refused(cursor: str) -> None:
    try:
        created_at_s, _ = parse_cursor(cursor)
    except ValueError:
        return
    assert 0 <= created_at_s < 1e12


@given(st.floats(1e9, 4e9), st.text())
@fuzz
def test_cursor_comes_back(created_at_s: float, batch_id: str) -> None:
    assert parse_cursor(to_cursor(created_at_s, batch_id)) == (created_at_s, batch_id)


def request(*headers: tuple[bytes, bytes]) -> Request:
    return Request({"type": "http", "path": "/x", "headers": list(headers)})


header_values = st.binary(max_size=300) | st.lists(
    st.sampled_from(
        [
            *(b"00", b"ff", b"-", b"0" * 16, b"a" * 32, b"b" * 16, b"01", b"=", b",", b" ", b"\t"),
            *(b"zh", b"en", b";q=", b"1", b"nan", b"-inf", b"1e999", b"*", b'"', b"\xb2", b"\xff"),
            *(b"k@v", b"k=v", b"k" * 300),
        ]
    ),
    max_size=12,
).map(b"".join)


@given(header_values, st.lists(header_values, max_size=3))
@fuzz
def test_trace_can_be_passed_on_or_is_begun_anew(parent: bytes, states: list[bytes]) -> None:
    trace = read_trace([(b"traceparent", parent), *((b"tracestate", one) for one in states)])
    for value in () if trace is None else trace.to_headers().values():
        assert re.fullmatch(r"[\x20-\x7e]+", value)


@given(st.lists(header_values, min_size=1, max_size=2))
@fuzz
def test_idempotency_key_is_visible_text_or_refused(values: list[bytes]) -> None:
    asked = parse_json(json.dumps(SLIDE).encode(), SingleRequest)
    try:
        key = read_once_key(request(*((b"idempotency-key", one) for one in values)), asked)
    except InvalidRequest:
        return
    assert key is not None
    assert re.fullmatch(r"[!-~]{1,255}", key.text)


@given(header_values)
@fuzz
def test_reader_has_a_language(value: bytes) -> None:
    assert reader_language(request((b"accept-language", value))) in {"en", "zh"}


times = st.sampled_from(
    [
        *("Fri, 31 Dec 1999 23:59:59 GMT", "Mon, 99 Foo 0000 99:99:99 +9999", "9" * 5000, "1e999"),
        *("1h2m3.5s", "9" * 400 + "s", "\u0661s", "-1", "nan", "120ms", "1." + "9" * 400 + "ms"),
    ]
)
words = st.text(max_size=60) | times


@given(words)
@fuzz
def test_duration_is_a_finite_number_or_none(text: str) -> None:
    seconds = read_duration(text)
    assert seconds is None or math.isfinite(seconds)


KEYS = (
    *("error", "message", "code", "type", "status", "metadata", "raw", "headers", "availability"),
    *("retry_after", "retryable", "constraint", "field", "details", "retryDelay", "violations"),
    *("choices", "delta", "content", "refusal", "parts", "text", "thought", "candidates", "data"),
    *("finish_reason", "finishReason", "native_finish_reason", "promptFeedback", "blockReason"),
    *("blockReasonMessage", "has_nsfw_concepts", "respect_moderation", "usage", "usageMetadata"),
    *("cost", "id", "request_id", "responseId", "detail", "loc", "param", "fileData", "fileUri"),
    *("url", "image_url", "images", "b64_json", "http_status", "reasons", "errors", "title"),
)
VALUES = (
    *(
        None,
        True,
        False,
        0,
        -1,
        429,
        500,
        10**400,
        -(10**400),
        1e308,
        "",
        "200",
        "429",
        "\u0664\u0662\u0669",
    ),
    *(
        "\ud83d",
        "lifted:0",
        "lifted:" + "9" * 5000,
        "SAFETY",
        "rate_limit_exceeded",
        "stop",
        "image/png",
    ),
    *(
        "try again in " + "9" * 9 + "." + "9" * 9 + "h",
        "https://[::1",
        "data:x",
        "Unknown parameter: 'a.b[0]'",
    ),
)
leaves = st.sampled_from(VALUES) | words | st.integers() | st.floats()
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
        | inner.map(lambda value: json.dumps(value, default=str))
    ),
    max_leaves=30,
)
answer_headers = st.dictionaries(
    st.sampled_from(
        [
            "retry-after",
            "Retry-After-Ms",
            "x-ratelimit-reset",
            "x-ratelimit-reset-a",
            "x-ratelimit-remaining-a",
            "x-request-id",
            "content-type",
        ]
    ),
    words,
    max_size=4,
)


@given(
    st.dictionaries(st.sampled_from(KEYS), trees, max_size=8) | trees,
    answer_headers,
    st.sampled_from([200, 204, 302, 400, 403, 429, 503, 599]),
    sources,
)
@fuzz
def test_answer_of_a_provider_is_judged(
    body: Any, headers: dict[str, str], status: int, source: random.Random
) -> None:
    text = json.dumps(body).encode("utf-8", "surrogatepass")
    form = source.choice(["%s", "data: %s\n\ndata: [DONE]", "<html><title>%s", ": x\n%s\n"])
    skeleton = form.encode() % text
    if source.random() < 0.3:
        skeleton = mutate(source, skeleton)
    answer = read_answer(status, headers, skeleton)
    for has_picture in (True, False):
        error = judge(answer, has_picture=has_picture, now_s=1e9, is_cut=source.random() < 0.5)
        if isinstance(error, ProviderError):
            wait_s = error.retry_after_s
            assert wait_s is None or 0 <= wait_s < math.inf
            error.detail.encode("utf-8", "replace")
    list(find_previews(answer.documents))
    find_usage(answer)
    find_prose(answer)
    find_parameter(answer, ["quality", "a"])
    for dialect in (ChatDialect(), GeminiDialect(), ImagesDialect(base_url="https://a", path="/b")):
        assert _find_address(dialect, answer) is None or status
    find_retry_after(answer, {}, text.decode("utf-8", "replace"), now_s=1e9)


PICTURES = [picture("PNG"), picture("JPEG"), picture("WEBP")]


@given(sources, st.sampled_from(PICTURES), st.integers(0, 40))
@fuzz
def test_picture_has_a_sane_size_or_is_none(source: random.Random, good: bytes, head: int) -> None:
    data = mutate(source, good[:head], most=2) + good[head:] if head else mutate(source, good)
    try:
        facts = inspect_picture(io.BytesIO(data))
    except NotAPicture:
        return
    assert 1 <= facts.width_px * facts.height_px <= MAX_PIXELS
    assert facts.size_bytes == len(data)


@given(st.lists(st.sampled_from(TOKENS), max_size=25), sources, st.integers(0, 12))
@fuzz
def test_pictures_are_the_same_however_the_answer_is_cut(
    tokens: list[bytes], source: random.Random, count: int
) -> None:
    data = b"".join(tokens)
    whole = read_cut(data, [])
    assert read_cut(data, sorted(source.randrange(len(data) + 1) for _ in range(count))) == whole
    if len(data) < 300:
        assert read_cut(data, range(1, len(data))) == whole
