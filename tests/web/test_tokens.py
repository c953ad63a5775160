"""Tokens: who may use the API, what each sees, and how much each may ask."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.requests import HTTPConnection

from slideloom.app import ENDPOINTS
from slideloom.errors import TooManyRequests
from slideloom.settings import RequestQuota
from slideloom.web.tokens import COOKIE, RequestLimit, Tokens, make_cookie
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service

ALICE, BOB = "alice-secret-0123456789", "bob-secret-0123456789"
AS_ALICE, AS_BOB = ({"Authorization": f"Bearer {secret}"} for secret in (ALICE, BOB))


@pytest.fixture
async def guarded(provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Running]:
    """A service that wants tokens."""
    del provider
    tokens = f"alice:{ALICE}, bob:{BOB}"
    async with running_service(tmp_path, API_TOKENS=tokens, RATE_LIMIT="10000/day") as running:
        yield running


async def make(service: Running, headers: dict[str, str], **more: Any) -> Any:
    status, body, _ = await service.post("/slide/batch/generate", deck(2), headers=headers, **more)
    assert status == 200
    return body


def fill(path: str, batch_id: str) -> str:
    parts = {"batch_id": batch_id, "slide_id": "slide-1", "version": "1", "session_id": batch_id}
    return f"/api{path.format(**parts)}"


def test_secrets_are_known_and_their_parts_are_not() -> None:
    tokens = Tokens({"alice": ALICE, "bob": BOB})
    assert tokens.find(ALICE) == "alice"
    assert tokens.find_page(make_cookie(BOB)) == "bob"
    assert tokens.read(f"alice:{ALICE}") == ("alice", ALICE)  # as it stands in the setting
    assert Tokens({"a": "a:b"}).read("a:b") == ("a", "a:b")
    assert Tokens({"a": "a:b"}).read("a:a:b") == ("a", "a:b")
    for wrong in ("", ALICE[:-1], ALICE + "x", make_cookie(ALICE), "\udcff", "x" * 100_000):
        assert tokens.find(wrong) is None
    assert tokens.find_page(ALICE) is None
    assert not Tokens({})
    assert ALICE not in repr(vars(tokens))


@pytest.mark.parametrize("piece", ["\\", "\\a", '"', ";", "; ", f"{COOKIE}=", "=", "\xff"])
def test_hostile_cookie_takes_no_time(piece: str) -> None:
    cookie = f'{COOKIE}="' + piece * (60_000 // len(piece)) + '"'
    scope = {"type": "http", "headers": [(b"cookie", cookie.encode("latin-1"))]}
    started_s = time.perf_counter()
    assert Tokens({"alice": ALICE}).identify(HTTPConnection(scope)) is None
    assert time.perf_counter() - started_s < 0.1


@pytest.mark.parametrize("form", ["{}", "a=1; {}", "{};a=1", "a=1;\t{} ; b"])
def test_page_is_known_among_other_cookies(form: str) -> None:
    cookie = form.format(f"{COOKIE}={make_cookie(ALICE)}")
    scope = {"type": "http", "headers": [(b"cookie", cookie.encode())]}
    assert Tokens({"alice": ALICE}).identify(HTTPConnection(scope)) == "alice"


async def test_every_route_but_the_open_ones_wants_a_token(guarded: Running) -> None:
    is_open = []
    for endpoint in ENDPOINTS:
        where = fill(endpoint.plain_path, "x") if endpoint.below_prefix else endpoint.path
        async with guarded.client.request(endpoint.method, guarded.url + where) as answer:
            assert (answer.status == 401) is not endpoint.is_open
            if endpoint.is_open:
                is_open.append(endpoint.path)
                continue
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert (await answer.json(content_type=None))["code"] == "unauthorized"
    assert is_open == ["/sign-in", "/sign-in", "/sign-out", "/healthz", "/readyz"]
    for path in ("/", "/api/docs", "/api/openapi.json", "/static/page.css"):
        assert (await guarded.client.get(guarded.url + path)).status == 200
    for path in ("/metrics", "/api/no-such-route", "/no", "/api/docs/", "//", "/static"):
        assert (await guarded.client.get(guarded.url + path)).status == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await guarded.client.ws_connect(f"{guarded.url}/api/slide/batch/x/ws")
    assert refused.value.status == 401


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "Bearer",
        "Bearer ",
        ALICE,
        f"Basic {ALICE}",
        f"Bearer bob:{ALICE}",
        f"Bearer alice:{ALICE[:-1]}",
        f"Bearer {ALICE} x",
        f"Bearer {ALICE[:-1]}",
        f"Bearer {'x' * 8000}",
        "Bearer \xff",
    ],
)
async def test_wrong_token_is_401_and_stands_in_no_log(guarded: Running, sent: str) -> None:
    status, problem, _ = await guarded.get("/api/slide/batch", headers={"Authorization": sent})
    assert (status, problem["code"]) == (401, "unauthorized")
    guarded.services.log_writer.flush()
    logs = "".join(path.read_text() for path in (guarded.folder / "logs").glob("*.log"))
    assert "secret" not in logs
    status, _, _ = await guarded.get(f"/api/slide/batch?token={ALICE}")
    assert status == 401


async def test_token_in_the_address_is_masked_in_the_log(guarded: Running) -> None:
    await guarded.get(f"/api/slide/batch/{ALICE}")
    guarded.services.log_writer.flush()
    logs = "".join(path.read_text() for path in (guarded.folder / "logs").glob("*.log"))
    assert ALICE not in logs
    assert "/api/slide/batch/***" in logs


async def test_token_sees_its_own_batches_only(guarded: Running) -> None:
    made = await make(guarded, AS_ALICE)
    batch_id, unknown = made["batch_id"], made["batch_id"][:-4] + "0000"
    for endpoint in ENDPOINTS:
        if "{batch_id}" not in endpoint.plain_path:
            continue
        others: list[Any] = []
        for asked in (batch_id, unknown):
            url = guarded.url + fill(endpoint.plain_path, asked)
            async with guarded.client.request(endpoint.method, url, headers=AS_BOB) as answer:
                problem = await answer.json(content_type=None)
                others.append((answer.status, {**problem, "request_id": ""}))
        assert others[0] == others[1], endpoint.path
        assert others[0][0] == 404, endpoint.path
    for asked in (batch_id, unknown):
        status, _, _ = await guarded.post(
            "/slide/batch/status", {"batch_id": asked}, headers=AS_BOB
        )
        assert status == 404
        url = f"{guarded.url}/api/slide/batch/{asked}/ws"
        async with guarded.client.ws_connect(url, headers=AS_BOB) as socket:
            assert (await socket.receive()).data == 4404
    _, own, _ = await guarded.get(f"/api/slide/batch/{batch_id}", headers=AS_ALICE)
    assert (own["status"], own["cancelled"]) == ("completed", False)


async def test_list_count_and_logs_are_its_own_too(guarded: Running) -> None:
    made = await make(guarded, AS_ALICE)
    logs = f"/api/sessions/{made['session_id']}/logs"
    _, listed, _ = await guarded.get("/api/slide/batch", headers=AS_ALICE)
    assert [line["batch_id"] for line in listed["batches"]] == [made["batch_id"]]
    status, found, _ = await guarded.get(logs, headers=AS_ALICE)
    assert (status, len(found["files"])) == (200, 4)
    _, listed, _ = await guarded.get("/api/slide/batch", headers=AS_BOB)
    assert listed["batches"] == []
    assert (await guarded.get(logs, headers=AS_BOB))[0] == 404


async def test_active_count_is_of_its_own_batches(
    guarded: Running, provider: ScriptedProvider
) -> None:
    provider._seconds = 5.0
    asked = {"Prefer": "respond-async", **AS_ALICE}
    await guarded.post("/slide/batch/generate", deck(1), headers=asked)
    counts = [
        (await guarded.get("/api/slide/batch/active-count", headers=who))[1]["active_batches"]
        for who in (AS_ALICE, AS_BOB)
    ]
    assert counts == [1, 0]


async def test_same_idempotency_key_of_two_tokens_is_two_batches(guarded: Running) -> None:
    key = {"Idempotency-Key": "k"}
    first, again = [await make(guarded, {**AS_ALICE, **key}) for _ in range(2)]
    assert first["batch_id"] == again["batch_id"]
    assert (await make(guarded, {**AS_BOB, **key}))["batch_id"] != first["batch_id"]


async def test_pictures_need_no_token_as_saved_decks_point_at_them(guarded: Running) -> None:
    made = await make(guarded, AS_ALICE)
    async with guarded.client.get(guarded.url + made["results"][0]["image_url"]) as answer:
        assert (answer.status, (await answer.read())[1:4]) == (200, b"PNG")


async def test_page_signs_in_by_a_cookie_that_is_not_the_secret(guarded: Running) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:

        async def ask(path: str, body: Any = None) -> tuple[int, Any]:
            send = browser.get if body is None else browser.post
            more = {} if body is None else {"json": body}
            async with send(f"{guarded.url}/api{path}", **more) as answer:
                return answer.status, await answer.json() if answer.status == 200 else None

        assert await ask("/sign-in") == (200, {"needed": True, "name": None})
        assert (await ask("/sign-in", {"token": "wrong"}))[0] == 401
        assert (await ask("/sign-in", {"token": 5}))[0] == 422
        url = f"{guarded.url}/api/sign-in"
        async with browser.post(url, json={"token": ALICE}) as answer:
            cookie = answer.headers["Set-Cookie"]
            assert answer.status == 204
        assert cookie.startswith(f"{COOKIE}={make_cookie(ALICE)};")
        assert ALICE not in cookie
        assert "secure" not in cookie.lower()
        for word in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age="):
            assert word in cookie
        assert await ask("/sign-in") == (200, {"needed": True, "name": "alice"})
        assert (await ask("/slide/batch"))[0] == 200
        assert (await ask("/sign-out", {}))[0] == 204
        assert (await ask("/slide/batch"))[0] == 401


async def test_page_is_known_behind_a_proxy_with_a_password_of_its_own(guarded: Running) -> None:
    headers = {"Authorization": "Basic cHJveHk6cGFzcw==", "Cookie": f"{COOKIE}={make_cookie(BOB)}"}
    assert (await guarded.get("/api/sign-in", headers=headers))[1]["name"] == "bob"
    headers["Authorization"] = "Bearer wrong"
    assert (await guarded.get("/api/sign-in", headers=headers))[1]["name"] is None


@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [
        ("same-origin", "", 200),
        ("same-origin", "http://localhost:3000", 200),  # behind a proxy that writes another Host
        ("same-site", "http://localhost:3000", 401),  # allowed, but another page
        ("cross-site", "http://127.0.0.1:5173", 401),
    ],
)
async def test_cookie_is_for_the_own_page_and_no_other_allowed_one(
    guarded: Running, site: str, origin: str, status: int
) -> None:
    url = f"{guarded.url}/api/slide/batch/{(await make(guarded, AS_ALICE))['batch_id']}/cancel"
    said = {"Origin": origin or guarded.url, "Sec-Fetch-Site": site}
    cookie = {"Cookie": f"{COOKIE}={make_cookie(ALICE)}"}
    async with guarded.client.post(url, headers=said | cookie) as answer:
        assert answer.status == status
    async with guarded.client.post(url, headers=said | cookie | AS_ALICE) as answer:
        assert answer.status == 200


async def test_cookie_over_websocket_is_for_the_own_page_too(guarded: Running) -> None:
    url = f"{guarded.url}/api/slide/batch/{(await make(guarded, AS_ALICE))['batch_id']}/ws"
    cookie = {"Cookie": f"{COOKIE}={make_cookie(ALICE)}"}
    other = {"Origin": "http://localhost:3000"}  # where browsers say no more than this
    async with guarded.client.ws_connect(url, headers={"Origin": guarded.url, **cookie}) as socket:
        assert (await socket.receive()).type == aiohttp.WSMsgType.TEXT
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await guarded.client.ws_connect(url, headers=other | cookie)
    async with guarded.client.ws_connect(url, headers=other | AS_ALICE) as socket:
        assert (await socket.receive()).type == aiohttp.WSMsgType.TEXT


async def test_refused_websocket_is_in_the_log_and_has_our_headers(guarded: Running) -> None:
    url = f"{guarded.url}/api/slide/batch/x/ws"
    for status, headers in ((401, {}), (421, {"Host": "evil.test"}), (403, {"Origin": "null"})):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await guarded.client.ws_connect(url, headers=headers)
        assert refused.value.status == status
        assert refused.value.headers is not None
        assert refused.value.headers["X-Content-Type-Options"] == "nosniff"
        guarded.services.log_writer.flush()
        (log,) = (guarded.folder / "logs").glob("*.log")
        line = json.loads(log.read_text().splitlines()[-1])
        assert (line["event"], line["method"], line["status"]) == ("request", "WEBSOCKET", status)
        assert line["request_id"] == refused.value.headers["X-Request-Id"]


async def test_no_cache_on_the_way_keeps_what_a_token_was_shown(guarded: Running) -> None:
    made = await make(guarded, AS_ALICE)
    batch = f"/api/slide/batch/{made['batch_id']}"
    for path in ("/api/slide/batch", f"{batch}/export.pdf", f"{batch}/export.no", "/metrics"):
        async with guarded.client.get(guarded.url + path, headers=AS_ALICE) as answer:
            assert answer.headers["Cache-Control"] == "private, no-cache", path
    for path, told in ((batch, "no-cache"), (f"{batch}/events", "no-store")):
        async with guarded.client.get(guarded.url + path, headers=AS_ALICE) as answer:
            assert answer.headers.getall("Cache-Control") == [told]


async def test_cookie_over_tls_is_for_tls_only(guarded: Running) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    url = f"{guarded.url}/api/sign-in"
    async with guarded.client.post(url, json={"token": ALICE}, headers=headers) as answer:
        assert "; Secure" in answer.headers["Set-Cookie"]


async def test_service_without_tokens_says_so(service: Running) -> None:
    assert (await service.get("/api/sign-in"))[1] == {"needed": False, "name": None}
    async with service.client.post(f"{service.url}/api/sign-in", json={"token": "x"}) as answer:
        assert (answer.status, answer.headers.get("Set-Cookie")) == (204, None)
    page = await (await service.client.get(service.url)).text()
    assert 'name="sign-in" content=""' in page


async def test_page_is_told_that_a_token_is_needed(guarded: Running) -> None:
    page = await (await guarded.client.get(guarded.url)).text()
    assert 'name="sign-in" content="needed"' in page


async def test_requests_beyond_the_limit_wait_and_others_do_not(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    del provider
    tokens = f"alice:{ALICE},bob:{BOB}"
    async with running_service(tmp_path, API_TOKENS=tokens, RATE_LIMIT="3/hour") as service:
        seen = [await service.get("/api/slide/batch", headers=AS_ALICE) for _ in range(4)]
        assert [status for status, _, _ in seen] == [200, 200, 200, 429]
        assert [headers.get("RateLimit") for _, _, headers in seen] == [
            '"default";r=2;t=3600',
            '"default";r=1;t=3600',
            '"default";r=0;t=3600',
            None,
        ]
        assert seen[0][2]["RateLimit-Policy"] == '"default";q=3;w=3600'
        _, problem, headers = seen[3]
        assert problem["code"] == "too_many_requests"
        assert headers["Retry-After"] == "3600"
        assert (await service.get("/api/slide/batch", headers=AS_BOB))[0] == 200
        assert (await service.get("/api/slide/batch"))[0] == 401
        assert (await service.get("/healthz", headers=AS_ALICE))[0] == 200


def test_next_window_begins_with_the_first_request_after_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 1000.0
    monkeypatch.setattr("slideloom.web.tokens.monotonic_s", lambda: now_s)
    limit = RequestLimit(RequestQuota(1, 60))
    limit.take("a")
    now_s += 59.5
    with pytest.raises(TooManyRequests) as refused:
        limit.take("a")
    assert refused.value.retry_after_s == 1
    now_s += 0.5
    assert limit.take("a")["RateLimit"] == '"default";r=0;t=60'


async def test_waiting_answer_and_streams_work_with_tokens(guarded: Running) -> None:
    made = await make(guarded, AS_ALICE)
    url = f"{guarded.url}/api/slide/batch/{made['batch_id']}/events"
    async with guarded.client.get(url, headers=AS_ALICE) as answer:
        assert b"retry" in await asyncio.wait_for(answer.content.readline(), 5)
    async with guarded.client.get(url.replace("events", "export.zip"), headers=AS_ALICE) as answer:
        assert (await answer.read()).startswith(b"PK")
