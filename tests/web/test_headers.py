"""The headers that protect readers, of every kind of answer, in one table."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from slideloom.web.page_files import IMMUTABLE
from slideloom.web.pages import PAGE_CSP, VIEWER_CSP
from tests.support.orders import deck
from tests.support.service import Running

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
}
"""Unless a row says otherwise; `None`: it is not there."""
ASSET = {
    "Content-Security-Policy": ASSET_CSP,
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": IMMUTABLE,
}
PROBLEM = {"Content-Type": "application/problem+json"}
JSON = {"Content-Type": "application/json"}
TABLE: dict[str, tuple[str, int, Mapping[str, str | None]]] = {
    "JSON": ("GET /api/slide/batch", 200, JSON),
    "status": ("GET /api/slide/batch/BATCH", 200, JSON),
    "status that is known": ("GET /api/slide/batch/BATCH ETAG", 304, {}),
    "answer that is waited for": ("POST /api/slide/batch/generate", 200, JSON),
    "unknown batch": ("GET /api/slide/batch/none", 404, PROBLEM),
    "body that is wrong": ("POST /api/slide/batch/status", 422, PROBLEM),
    "unknown route": ("GET /nothing", 404, PROBLEM),
    "wrong method": ("DELETE /api/slide/batch", 405, PROBLEM),
    "events": (
        "GET /api/slide/batch/BATCH/events",
        200,
        {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"},
    ),
    "export": (
        "GET /api/slide/batch/BATCH/export.zip",
        200,
        {
            "Content-Type": "application/zip",
            "Content-Disposition": "attachment; filename=\"slides.zip\"; filename*=UTF-8''S1.zip",
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
    "part of a picture": ("GET PICTURE bytes=0-7", 206, ASSET),
    "picture that is known": ("GET PICTURE ETAG", 304, ASSET),
    "part that is not there": ("GET PICTURE bytes=99999999-", 416, {"Cache-Control": None}),
    "no such picture": ("GET /assets/none.png", 404, PROBLEM),
    "picture that is posted to": ("POST PICTURE", 405, PROBLEM),
}
"""What is asked for (with an `ETAG` that is known, or a range), the status, the headers."""


async def ask(
    service: Running, wanted: str, fill: Callable[[str], str]
) -> tuple[int, Mapping[str, str]]:
    """Status and headers of the answer to a row's request."""
    method, path, *more = fill(wanted).split(" ")
    headers = {}
    if more == ["ETAG"]:
        _, known = await ask(service, f"{method} {path}", fill)
        headers["If-None-Match"] = known["ETag"]
    elif more:
        headers["Range"] = more[0]
    body: Any = deck(1) if path.endswith("generate") else {}
    posted = {"json": body} if method == "POST" else {}
    async with service.client.request(
        method, service.url + path, headers=headers, **posted
    ) as answer:
        return answer.status, answer.headers


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
        for name, value in {**EVERYWHERE, **differs}.items():
            expected = None if value is None else fill(value)
            if told[1].get(name) != expected:
                faults.append(f"{kind}: {name}: {told[1].get(name)}, not {expected}")
        if not told[1].get("X-Request-Id"):
            faults.append(f"{kind}: no request id")
    assert faults == []


@pytest.mark.parametrize("csp", [PAGE_CSP, VIEWER_CSP, API_CSP, ASSET_CSP])
def test_no_policy_lets_in_what_it_need_not(csp: str) -> None:
    assert "default-src 'none'" in csp
    assert "unsafe-eval" not in csp
    assert "*" not in csp
    assert "http" not in csp
    scripts = [rule for rule in csp.split("; ") if rule.startswith("script-src")]
    assert scripts in ([], ["script-src 'self'"])
