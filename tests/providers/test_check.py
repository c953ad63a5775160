"""What a provider says when it is asked something that costs nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aioresponses import aioresponses

from slideloom.errors import (
    AuthFailed,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestNotSent,
    UpstreamDown,
)
from slideloom.providers import check
from slideloom.providers.call import NetworkProvider
from slideloom.providers.check import choose_check_path
from slideloom.providers.network import open_network
from tests.providers.conftest import KEY
from tests.support.upstream import Plan, Upstream

OPENROUTER = "https://openrouter.ai/api/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta"
GATEWAY = "https://gateway.example/v1"
MODEL = "google/gemini-2.5-flash-image"

OpenAt = Callable[[str], NetworkProvider]


@pytest.fixture
async def open_at() -> AsyncIterator[OpenAt]:
    """Providers at any base."""
    opened: list[NetworkProvider] = []

    def open_one(base_url: str) -> NetworkProvider:
        opened.extend(open_network(api="auto", base_url=base_url, keys=(KEY,), model=MODEL))
        return opened[-1]

    yield open_one
    for provider in opened:
        await provider.close()


def account(**facts: Any) -> dict[str, Any]:
    told = {"label": "my deck", "limit_remaining": 7.5, "usage": 2.5, "is_free_tier": False}
    return {"data": told | facts}


UNTRIED = "; whether it takes the key shows at the first picture"


async def test_model_that_is_not_listed_is_doubtful(open_at: OpenAt) -> None:
    with aioresponses() as fake:
        fake.get(GATEWAY + choose_check_path(GATEWAY), payload={"data": [{"id": MODEL}]})
        checked = await open_at(GATEWAY).check(MODEL, "spare/1")
    assert checked.doubt == "spare/1 not among them"


async def ask(provider: NetworkProvider, base_url: str, **answer: Any) -> str:
    with aioresponses() as fake:
        fake.get(base_url + choose_check_path(base_url), **answer)
        return (await provider.check()).words


def test_what_is_asked_goes_by_the_base() -> None:
    assert choose_check_path(OPENROUTER) == "/key"
    assert choose_check_path(GOOGLE) == "/models?pageSize=1000"
    assert choose_check_path(GATEWAY) == "/models"


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({}, "openrouter.ai takes the key “my deck”, $2.50 used, $7.50 left of its limit"),
        (
            {"limit_remaining": None, "is_free_tier": True},
            "openrouter.ai takes the key “my deck”, $2.50 used, no limit of its own, free tier",
        ),
        (
            {"label": f"{KEY[:12]}...{KEY[-3:]}", "usage": 0},
            "openrouter.ai takes the key, $0.00 used, $7.50 left of its limit",
        ),
        (
            {"label": None, "usage": "much", "limit_remaining": None},
            "openrouter.ai takes the key, no limit of its own",
        ),
    ],
)
async def test_openrouter_tells_the_account_and_never_the_key(
    facts: dict[str, Any], sentence: str, open_at: OpenAt
) -> None:
    assert await ask(open_at(OPENROUTER), OPENROUTER, payload=account(**facts)) == sentence


async def test_key_without_anything_left_would_not_serve(open_at: OpenAt) -> None:
    with pytest.raises(QuotaExhausted, match="limit is used up"):
        await ask(open_at(OPENROUTER), OPENROUTER, payload=account(limit_remaining=0))


async def test_models_are_counted_and_ours_looked_for(upstream: Upstream, open_at: OpenAt) -> None:
    place = upstream.base_url.split("/")[2]
    sentence = f"{place} answers and lists 5 models, {MODEL} among them"
    assert (await open_at(upstream.base_url).check()).words.startswith(sentence)
    assert not upstream.bill.calls
    assert [visit.path for visit in upstream.bill.visits] == ["/api/v1/models"]


async def test_google_is_asked_with_the_key_in_its_own_header(upstream: Upstream) -> None:
    upstream.plan = Plan(keys=("good-key",))
    keys = ("good-key", "bad-key")
    good, bad = open_network(api="gemini", base_url=upstream.google_url, keys=keys, model=MODEL)
    assert f"lists 3 models, {MODEL} among them" in (await good.check()).words
    with pytest.raises(AuthFailed):
        await bad.check()
    for provider in (good, bad):
        await provider.close()


@pytest.mark.parametrize(
    ("base_url", "payload", "ending"),
    [
        (GATEWAY, {"data": [{"id": "other"}]}, "lists 1 model"),
        (GATEWAY, [{"id": "a"}, {"id": MODEL}], f"lists 2 models, {MODEL} among them"),
        (
            GOOGLE,
            {"models": [{"name": "models/gemini-2.5-flash-image"}]},
            f"lists 1 model, {MODEL} among them",
        ),
        (GATEWAY, {"data": []}, "answers, but lists no models"),
        (GATEWAY, {"data": None}, "answers, but lists no models"),
    ],
)
async def test_every_form_of_the_list_is_read(
    base_url: str, payload: object, ending: str, open_at: OpenAt
) -> None:
    assert (
        (await ask(open_at(base_url), base_url, payload=payload))
        .removesuffix(UNTRIED)
        .endswith(ending)
    )


@pytest.mark.parametrize("status", [404, 405])
async def test_base_without_a_list_is_no_error(status: int, open_at: OpenAt) -> None:
    said = await ask(open_at(GATEWAY), GATEWAY, status=status, body="404 page not found")
    assert said == "gateway.example answers, but lists no models"


@pytest.mark.parametrize(
    ("status", "payload", "wanted"),
    [
        (401, {"error": {"code": 401, "message": "no auth"}}, AuthFailed),
        (403, {"error": {"code": 403, "message": "forbidden"}}, AuthFailed),
        (402, {"error": {"code": 402, "message": "no credits"}}, QuotaExhausted),
        (429, {"error": {"code": 429, "message": "slow down"}}, RateLimited),
        (503, {"error": {"code": 503, "message": "down"}}, UpstreamDown),
        (200, {"error": {"code": 401, "message": "no auth"}}, AuthFailed),
        (400, {"error": {"details": [{"reason": "API_KEY_INVALID"}]}}, AuthFailed),
    ],
)
async def test_refusal_is_the_error_it_would_be_in_a_call(
    status: int, payload: object, wanted: type[ProviderError], open_at: OpenAt
) -> None:
    with pytest.raises(wanted):
        await ask(open_at(GATEWAY), GATEWAY, status=status, payload=payload)


async def test_web_page_is_no_api(open_at: OpenAt) -> None:
    page = "<!doctype html><title>Welcome to gateway</title>"
    with pytest.raises(UpstreamDown, match=r"gateway\.example answers with a web page"):
        await ask(open_at(GATEWAY), GATEWAY, body=page)


async def test_nobody_there_is_said_plainly(open_at: OpenAt) -> None:
    with pytest.raises(RequestNotSent, match=r"^cannot connect to 127\.0\.0\.1:9: connection ref"):
        await open_at("http://127.0.0.1:9/v1").check()


async def test_silence_is_not_waited_for_long(
    open_at: OpenAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "_TIMEOUT_S", 0.05)
    gone = asyncio.Event()

    async def stay(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(stay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(RequestNotSent, match=r"gave no answer within 0\.05 s"):
        await open_at(f"http://127.0.0.1:{port}/v1").check()
    gone.set()
    server.close()
    await server.wait_closed()


async def test_long_list_is_cut_off(open_at: OpenAt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_MOST_BYTES", 100)
    said = await ask(open_at(GATEWAY), GATEWAY, payload={"data": [{"id": "x" * 500}]})
    assert said == "gateway.example answers, but lists no models"


async def test_checking_twice_and_drawing_never_bills(upstream: Upstream, open_at: OpenAt) -> None:
    upstream.plan = Plan(missing_paths=("/models",))
    provider = open_at(upstream.base_url)
    for _ in range(2):
        assert (await provider.check()).words.endswith("answers, but lists no models")
    assert not upstream.bill.billed
