"""The headers that protect readers, of every kind of answer, in one table."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from multidict import CIMultiDict

from slideloom.web.page_files import IMMUTABLE
from slideloom.web.pages import PAGE_CSP, VIEWER_CSP
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.raw import line_to
from tests.support.service import Running, running_service

API_CSP = "default-src 'none'; frame-ancestors 'none'"
ASSET_CSP = "sandbox; default-src 'none'"
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": API_CSP,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": None,
    "Content-Disposition": None,
    "Access-Control-Allow-Origin": None,
    "Access-Control-Allow-Credentials": None,
    "Set-Cookie": None,
    "WWW-Authenticate": None,
}
"""Unless a row says otherwise; `None`: it is not there."""
ASSET = {
    "Content-Security-Policy": ASSET_CSP,
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": IMMUTABLE,
}
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
PROBLEM = {"Content-Type": "application/problem+json"}
JSON = {"Content-Type": "application/json"}
TABLE: dict[str, tuple[str, int, Mapping[str, str | None]]] = {
    "JSON": ("GET /api/slide/batch", 200, JSON),
    "status": ("GET /api/slide/batch/BATCH", 200, {**JSON, "Cache-Control": "no-cache"}),
    "status that is known": (
        "GET /api/slide/batch/BATCH ETAG",
        304,
        {"Cache-Control": "no-cache"},
    ),
    "answer that is waited for": ("POST /api/slide/batch/generate", 200, JSON),
    "who I am": ("GET /api/sign-in", 200, {**JSON, "Cache-Control": "no-store"}),
    "sign-out": ("POST /api/sign-out", 204, {"Set-Cookie": "COOKIE"}),
    "foreign host": ("GET /api/slide/batch Host:evil.test", 421, PROBLEM),
    "foreign page": ("GET /api/slide/batch Origin:null", 403, PROBLEM),
    "preflight": (
        "OPTIONS /api/slide/batch/generate Origin:http://localhost:5173",
        204,
        {"Access-Control-Allow-Origin": "http://localhost:5173", "Content-Type": None},
    ),
    "page of a known origin": (
        "GET /api/slide/batch Origin:http://localhost:5173",
        200,
        {"Access-Control-Allow-Origin": "http://localhost:5173"},
    ),
    "foreign preflight": (
        "OPTIONS /api/slide/batch/generate Origin:https://evil.test",
        403,
        PROBLEM,
    ),
    "form": ("POST /api/slide/batch/generate Content-Type:text/plain", 415, PROBLEM),
    "unknown batch": ("GET /api/slide/batch/none", 404, PROBLEM),
    "body that is wrong": ("POST /api/slide/batch/status", 422, PROBLEM),
    "unknown route": ("GET /nothing", 404, PROBLEM),
    "wrong method": ("DELETE /api/slide/batch", 405, PROBLEM),
    "events": (
        "GET /api/slide/batch/BATCH/events",
        200,
        {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"},
    ),
    "export": (
        "GET /api/slide/batch/BATCH/export.zip",
        200,
        {
            "Content-Type": "application/zip",
            "Content-Disposition": 'attachment; filename="slides.zip"; '
            "filename*=UTF-8''Title%201.zip",
        },
    ),
    "logs": ("GET /api/sessions/SESSION/logs", 200, JSON),
    "OpenAPI": ("GET /api/openapi.json", 200, JSON),
    "alive": ("GET /healthz", 200, JSON),
    "ready": ("GET /readyz", 200, JSON),
    "metrics": ("GET /metrics", 200, {}),
    "page": (
        "GET /",
        200,
        {"Content-Security-Policy": PAGE_CSP, "Cache-Control": "no-cache"},
    ),
    "viewer": (
        "GET /api/docs",
        200,
        {"Content-Security-Policy": VIEWER_CSP, "Cache-Control": "no-cache"},
    ),
    "script": ("GET /static/main.js", 200, {"Cache-Control": "no-cache"}),
    "script that is known": ("GET /static/main.js ETAG", 304, {"Cache-Control": "no-cache"}),
    "no such script": ("GET /static/none.js", 404, PROBLEM),
    "picture": ("GET PICTURE", 200, {**ASSET, "Content-Type": "image/png"}),
    "small picture": ("GET PICTURE?w=320", 200, {**ASSET, "Content-Type": "image/webp"}),
    "picture to keep": (
        "GET PICTURE?download=1",
        200,
        {**ASSET, "Content-Disposition": 'attachment; filename="NAME"'},
    ),
    "head of a picture": ("HEAD PICTURE", 200, ASSET),
    "part of a picture": ("GET PICTURE Range:bytes=0-7", 206, ASSET),
    "picture that is known": ("GET PICTURE ETAG", 304, ASSET),
    "part that is not there": ("GET PICTURE Range:bytes=99999999-", 416, PROBLEM),
    "no such picture": ("GET /assets/none.png", 404, PROBLEM),
    "picture that is posted to": ("POST PICTURE", 405, PROBLEM),
}
"""What is asked for (with an `ETAG` that is known, or a header), the status, the headers."""


async def ask(
    service: Running, wanted: str, fill: Callable[[str], str]
) -> tuple[int, Mapping[str, str]]:
    """Status and headers of the answer to a row's request."""
    method, path, *more = fill(wanted).split(" ")
    headers = {"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {}
    for extra in more:
        name, _, value = extra.partition(":")
        if name == "ETAG":
            _, known = await ask(service, f"{method} {path}", fill)
            name, value = "If-None-Match", known["ETag"]
        headers[name] = value
    body: Any = deck(1) if path.endswith("generate") else {}
    data = msgspec.json.encode(body) if method == "POST" else None
    if data:
        headers.setdefault("Content-Type", "application/json")
    async with service.client.request(
        method, service.url + path, headers=headers, data=data
    ) as answer:
        told = answer.headers.copy()
    if "Set-Cookie" in told:  # it has a date in it, and is looked at elsewhere
        told["Set-Cookie"] = "COOKIE"
    return answer.status, told


def find_faults(kind: str, told: Mapping[str, str], wanted: Mapping[str, str | None]) -> list[str]:
    """What is otherwise than wanted in an answer of that kind."""
    wanted = {**EVERYWHERE, **wanted}
    faults = [
        f"{kind}: {name}: {told.get(name)}, not {value}"
        for name, value in wanted.items()
        if told.get(name) != value
    ]
    return faults if told.get("X-Request-Id") else [*faults, f"{kind}: no request id"]


async def test_every_kind_of_answer_has_its_headers(service: Running) -> None:
    _, made, _ = await service.post("/slide/batch/generate", deck(1))
    picture = made["results"][0]["image_url"]
    names = {"BATCH": made["batch_id"], "SESSION": made["session_id"], "PICTURE": picture}
    names["NAME"] = picture.removeprefix("/assets/")

    def fill(text: str) -> str:
        for word, name in names.items():
            text = text.replace(word, name)
        return text

    faults = []
    for kind, (wanted, status, differs) in TABLE.items():
        told = await ask(service, wanted, fill)
        if told[0] != status:
            faults.append(f"{kind}: {told[0]}, not {status}")
        filled = {name: value and fill(value) for name, value in differs.items()}
        faults += find_faults(kind, told[1], filled)
    assert "\n".join(faults) == ""


async def test_who_has_no_token_is_answered_with_the_same_headers(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    del provider
    async with running_service(tmp_path, API_TOKENS="alice:secret-of-alice-0001") as service:
        told = await ask(service, "GET /api/slide/batch", str)
        assert told[0] == 401
        assert find_faults("401", told[1], {**PROBLEM, "WWW-Authenticate": "Bearer"}) == []
        body = {"token": "secret-of-alice-0001"}
        async with service.client.post(f"{service.url}/api/sign-in", json=body) as answer:
            cookie = answer.headers["Set-Cookie"]
            assert answer.status == 204
            assert find_faults("204", answer.headers, {"Set-Cookie": cookie}) == []
        assert "secret-of-alice" not in cookie
        for word in ("HttpOnly", "SameSite=strict", "Path=/"):
            assert word in cookie


async def test_websocket_that_is_refused_has_them_too(service: Running) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await service.client.ws_connect(
            f"{service.url}/api/slide/batch/x/ws", headers={"Origin": "https://evil.test"}
        )
    assert refused.value.status == 403
    assert find_faults("denial", refused.value.headers or {}, PROBLEM) == []


@pytest.mark.parametrize(
    "sent",
    [
        b"what?\r\n\r\n",
        HEAD + b"A: " + b"a" * 70_000 + b"\r\n\r\n",
        HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["no request", "large head", "no handshake"],
)
async def test_what_never_becomes_a_request_is_answered_with_them_too(
    service: Running, sent: bytes
) -> None:
    async with line_to(service.url) as line:
        await line.send(sent)
        (answer,) = await line.answers()
    assert answer.status in {400, 431}
    assert find_faults("refusal", CIMultiDict(answer.headers), PROBLEM) == []


@pytest.mark.parametrize("csp", [PAGE_CSP, VIEWER_CSP, API_CSP, ASSET_CSP])
def test_no_policy_lets_in_what_it_need_not(csp: str) -> None:
    assert "default-src 'none'" in csp
    assert "unsafe-eval" not in csp
    assert "*" not in csp
    assert "http" not in csp
    scripts = [rule for rule in csp.split("; ") if rule.startswith("script-src")]
    assert scripts in ([], ["script-src 'self'"])
