"""Bad input: each its stated answer, none a 5xx, nothing paid."""

import io
import json
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = json.dumps(deck(2)).encode()


def with_slide(**changes: object) -> bytes:
    body = deck(2)
    body["slides"][0] |= changes
    return json.dumps(body).encode()


def with_raw(key: bytes, value: bytes) -> bytes:
    return GOOD[:-1] + b"," + key + b":" + value + b"}"


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


CASES: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "blank": (b"  \n ", 400),
    "broken": (GOOD[:-5], 400),
    "trailing": (GOOD + b"x", 400),
    "html": (b"<html></html>", 400),
    "too deep": (nested(100_000), 400),
    "too deep, a million": (nested(1_000_000), 400),
    "too deep in an unknown key": (with_raw(b'"other"', nested(100_000)), 400),
    "deep objects": (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400),
    "bad UTF-8": (GOOD.replace(b"Title 1", b"Title \xff"), 400),
    "bad UTF-8 in an unknown key": (with_raw(b'"other"', b'"\xc3\x28"'), 400),
    "surrogate bytes": (GOOD.replace(b"Title 1", b"\xed\xa0\x80"), 400),
    "lone surrogate": (GOOD.replace(b"Title 1", b"\\ud800"), 400),
    "UTF-16": (GOOD.decode().encode("utf-16"), 400),
    "UTF-32": (GOOD.decode().encode("utf-32-le"), 400),
    "byte-order mark": (b"\xef\xbb\xbf" + GOOD, 400),
    "NaN": (with_raw(b'"max_workers"', b"NaN"), 400),
    "Infinity": (with_raw(b'"max_workers"', b"-Infinity"), 400),
    "5,000 digits": (with_raw(b'"max_workers"', b"9" * 5000), 422),
    "huge float": (with_raw(b'"max_workers"', b"1e999"), 422),
    "an array": (b"[]", 422),
    "null": (b"null", 422),
    "a string": (b'"deck"', 422),
    "no keys": (b"{}", 422),
    "no style": (json.dumps({"slides": [{"title": "a"}]}).encode(), 422),
    "style null": (json.dumps(deck() | {"style_prompt": None}).encode(), 422),
    "slides empty": (json.dumps(deck() | {"slides": []}).encode(), 422),
    "slides no list": (json.dumps(deck() | {"slides": "x"}).encode(), 422),
    "201 slides": (json.dumps(deck(201)).encode(), 422),
    "slide no object": (json.dumps(deck() | {"slides": [1]}).encode(), 422),
    "no title": (json.dumps(deck() | {"slides": [{"id": "a"}]}).encode(), 422),
    "title a number": (with_slide(title=5), 422),
    "title null": (with_slide(title=None), 422),
    "id empty": (with_slide(id=""), 422),
    "id too long": (with_slide(id="x" * 129), 422),
    "id repeated": (with_slide(id="s2"), 422),
    "page zero": (with_slide(page_num=0), 422),
    "page a fraction": (with_slide(page_num=1.5), 422),
    "page true": (with_slide(page_num=True), 422),
    "page in words": (with_slide(page_num="one"), 422),
    "type unknown": (with_slide(type="appendix"), 422),
    "workers zero": (json.dumps(deck(max_workers=0)).encode(), 422),
    "workers negative": (json.dumps(deck(max_workers=-3)).encode(), 422),
    "ratio 0:9": (json.dumps(deck(aspect_ratio="0:9")).encode(), 422),
    "ratio with a line feed": (json.dumps(deck(aspect_ratio="16:9\n")).encode(), 422),
    "ratio of five digits": (json.dumps(deck(aspect_ratio="16000:9")).encode(), 422),
    "ratio a number": (json.dumps(deck(aspect_ratio=1.78)).encode(), 422),
    "title of 100,001 characters": (with_slide(title="x" * 100_001), 422),
    "3 MB": (GOOD + b" " * 3_000_000, 413),
}


@pytest.fixture(scope="module")
def provider() -> ScriptedProvider:
    """Makes the pictures, if ever any are ordered."""
    return ScriptedProvider(seconds=0.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    provider: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """One for all: what is refused leaves nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slideloom.assembly.lanes.open_providers", lambda _: [provider])
        async with running_service(tmp_path_factory.mktemp("bodies")) as running:
            yield running


@pytest.mark.parametrize("name", CASES)
async def test_bad_body_gets_its_stated_answer(
    provider: ScriptedProvider, service: Running, name: str
) -> None:
    body, wanted = CASES[name]
    called = len(provider.calls)
    headers = {"Content-Type": "application/json"}
    async with service.client.post(
        f"{service.url}/api/slide/batch/generate", data=io.BytesIO(body), headers=headers
    ) as answer:
        assert answer.status == wanted
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = await answer.json(content_type=None)
    assert problem.keys() >= {"type", "title", "status", "detail", "code", "request_id"}
    assert problem["status"] == wanted
    assert ("errors" in problem) == (wanted == 422)
    assert len(provider.calls) == called
    assert service.services.engine.active_count() == 0


async def test_422_names_the_place(service: Running) -> None:
    status, problem, _ = await service.post(
        "/slide/batch/generate", json.loads(with_slide(title=5))
    )
    assert status == 422
    assert problem["errors"] == [
        {"loc": ["body", "slides", 0, "title"], "msg": "Expected `str`, got `int`"}
    ]


@pytest.mark.parametrize("name", [name for name, (_, wanted) in CASES.items() if wanted == 422])
async def test_every_422_speaks_chinese_too(service: Running, name: str) -> None:
    headers = {"Content-Type": "application/json", "Accept-Language": "zh-CN"}
    url = f"{service.url}/api/slide/batch/generate"
    async with service.client.post(url, data=CASES[name][0], headers=headers) as answer:
        detail = (await answer.json(content_type=None))["detail"]
    assert detail.startswith("请求在 body")
    assert re.search("[\u4e00-\u9fff]", detail.partition("处无效：")[2][:-1]), detail


@pytest.mark.parametrize(
    "media_type",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""],
)
async def test_other_media_types_are_415_without_reading_the_body(
    service: Running, media_type: str
) -> None:
    async with service.client.post(
        f"{service.url}/api/slide/batch/generate", data=GOOD, headers={"Content-Type": media_type}
    ) as answer:
        assert answer.status == 415


async def test_charset_behind_the_media_type_is_fine(service: Running) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    async with service.client.post(
        f"{service.url}/api/slide/batch/generate", data=GOOD, headers=headers
    ) as answer:
        assert answer.status == 200


async def test_undeclared_length_is_cut_off_too(service: Running) -> None:
    async def endless() -> object:
        for _ in range(64):
            yield b" " * 65536

    async with service.client.post(
        f"{service.url}/api/slide/batch/generate",
        data=endless(),
        headers={"Content-Type": "application/json"},
    ) as answer:
        assert answer.status == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/slide/batch/generate", 405),
        ("DELETE", "/api/slide/batch/status", 405),
        ("GET", "/nothing", 404),
        ("PUT", "/healthz", 405),
        ("GET", "/assets/../pyproject.toml", 404),
        ("GET", "/assets/..%2f..%2fetc/passwd", 404),
        ("GET", "/assets/.part-0", 404),
        ("GET", "/static/assets/x.png", 404),
    ],
)
async def test_router_refuses_with_problems_too(
    service: Running, method: str, path: str, status: int
) -> None:
    async with service.client.request(method, service.url + path) as answer:
        assert answer.status == status
        assert (await answer.json(content_type=None))["request_id"]


@pytest.mark.parametrize("route", ["batch/status", "generate", "regenerate"])
async def test_every_posting_route_refuses_nonsense(service: Running, route: str) -> None:
    for body, wanted in ((b"{", 400), (b"[]", 422), (b"\xff", 400)):
        async with service.client.post(
            f"{service.url}/api/slide/{route}",
            data=body,
            headers={"Content-Type": "application/json"},
        ) as answer:
            assert answer.status == wanted
