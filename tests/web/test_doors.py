"""Who is let in: by the name that is asked for, and by the page that asks."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from slideloom.errors import SlideloomError
from slideloom.web.doors import Doors
from tests.support.orders import deck
from tests.support.service import Running, running_service

DOORS = Doors(
    host="10.0.0.7",
    hosts=["Slides.example.com", "*.decks.example", "[fd00::1]", "dotted.example."],
    origins=["https://front.example"],
)


def knock(
    host: str | None = "localhost:8000",
    *,
    kind: str = "http",
    method: str = "POST",
    **headers: str,
) -> str:
    """`in`, or the code of what is objected."""
    sent = {} if host is None else {"host": host}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    fields = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
    try:
        DOORS.check({"type": kind, "method": method, "headers": fields})
    except SlideloomError as error:
        return f"{type(error).__name__} {error.code}"
    return "in"


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:1", "localhost.:8000", "127.0.0.1:65535", "[::1]:8000"),
        *("10.0.0.7", "slides.example.com", "slides.example.com:443", "a.decks.example"),
        *("a.b.decks.example:1", "[fd00::1]", "localhost:", "dotted.example", "dotted.example."),
    ],
)
def test_known_names_are_let_in(host: str) -> None:
    assert knock(host) == "in"


@pytest.mark.parametrize(
    "host",
    [
        *("evil.test", "evil.test:8000", "localhost.evil.test", "xlocalhost", "127.0.0.2"),
        *("decks.example", "evildecks.example", "127.1", "0.0.0.0", "2130706433", "[::2]", "..."),  # noqa: S104
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert knock(host) == "WrongHost wrong_host"


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", " ", "a/?x=", "a#", "a@localhost", "localhost:80:80", "localhost, evil.test"),
        *("localhost\x00", "löcalhost", "[::1", "http://localhost", "localhost:8o", "x" * 254),
    ],
)
def test_what_names_no_host_is_no_request(host: str | None) -> None:
    assert knock(host) == "MalformedHost invalid_request"


def test_second_host_header_is_refused() -> None:
    fields = [(b"host", b"localhost"), (b"host", b"localhost")]
    with pytest.raises(SlideloomError):
        DOORS.check({"type": "http", "method": "GET", "headers": fields})


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost:8000", "https://localhost:8000", "https://front.example"),
        "HTTP://LOCALHOST:8000",
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_own_and_configured_pages_may_ask(origin: str, kind: str) -> None:
    assert knock(origin=origin, kind=kind) == "in"


def test_port_that_goes_without_saying_may_stand_in_the_host() -> None:
    assert knock("localhost:443", origin="https://localhost") == "in"
    assert knock("localhost:80", origin="http://localhost") == "in"
    assert knock("localhost:443", origin="http://localhost").startswith("ForeignOrigin")


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "https://evil.test", "http://localhost:9000", "http://localhost"),
        *("https://front.example.evil.test", "http://front.example", "file://localhost:8000"),
        *("http://localhost:8000/", "http://localhost:8000@evil.test", "localhost:8000"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_other_sites_may_not(origin: str, method: str) -> None:
    assert knock(origin=origin, method=method) == "ForeignOrigin foreign_origin"


@pytest.mark.parametrize(
    ("headers", "end"),
    [
        ({}, "in"),
        ({"content_length": "0", "content_type": "text/plain"}, "in"),
        ({"content_length": "9", "content_type": "application/json; charset=utf-8"}, "in"),
        ({"content_length": "9"}, "NotJson unsupported_media_type"),
        ({"content_length": "9", "content_type": "text/plain"}, "NotJson unsupported_media_type"),
        (
            {"transfer_encoding": "chunked", "content_type": "multipart/form-data"},
            "NotJson unsupported_media_type",
        ),
        (
            {"content_length": "9", "content_type": "application/x-www-form-urlencoded"},
            "NotJson unsupported_media_type",
        ),
    ],
)
def test_bodies_are_json_whatever_the_route(headers: Mapping[str, str], end: str) -> None:
    assert knock("localhost", **headers) == end


async def test_every_refusal_is_a_problem_that_says_what_to_do(service: Running) -> None:
    async def ask(method: str, path: str, **headers: str) -> tuple[int, str, str]:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        async with service.client.request(method, service.url + path, headers=fields) as answer:
            assert answer.content_type == "application/problem+json"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            body = await answer.json(content_type=None)
            assert body["request_id"] == answer.headers["X-Request-Id"]
            return answer.status, body["code"], body["detail"]

    for path in ("/", "/healthz", "/api/slide/batch", "/assets/x.png", "/static/page.css", "/no"):
        status, code, detail = await ask("GET", path, Host="evil.test")
        assert (status, code) == (421, "wrong_host")
        assert "ALLOWED_HOSTS" in detail
        assert "evil.test" in detail
    status, code, detail = await ask("GET", "/", Host="evil.test", Accept_Language="zh")
    assert "不接受名称 evil.test" in detail
    status, code, detail = await ask("POST", "/api/slide/batch/x/cancel", Origin="null")
    assert (status, code) == (403, "foreign_origin")
    assert "ALLOWED_ORIGINS" in detail
    status, code, _ = await ask(
        "OPTIONS",
        "/api/slide/batch/generate",
        Origin="https://evil.test",
        Access_Control_Request_Method="POST",
    )
    assert (status, code) == (403, "foreign_origin")


async def test_configured_page_can_read_problems_and_even_crashes(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = {"Origin": "http://localhost:5173"}
    status, _, headers = await service.get("/api/slide/batch/x", headers=origin)
    assert (status, headers["Access-Control-Allow-Origin"]) == (404, "http://localhost:5173")
    assert "Access-Control-Allow-Credentials" not in headers
    monkeypatch.setattr(service.services.engine, "count_active", lambda **_: 1 / 0)
    status, _, headers = await service.get("/api/slide/batch/active-count", headers=origin)
    assert (status, headers["Access-Control-Allow-Origin"]) == (500, "http://localhost:5173")


async def test_websocket_of_another_sites_page_is_refused(service: Running) -> None:
    _, made, _ = await service.post("/slide/batch/generate", deck(1))
    url = f"{service.url}/api/slide/batch/{made['batch_id']}/ws"
    for headers, status in (
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.test"}, 421),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await service.client.ws_connect(url, headers=headers)
        assert refused.value.status == status
    own = {"Origin": service.url}
    async with service.client.ws_connect(url, headers=own) as socket:
        assert (await asyncio.wait_for(socket.receive_json(), 5))["id"] == 1


async def test_allowed_hosts_let_a_name_in(tmp_path: Path) -> None:
    async with running_service(tmp_path, ALLOWED_HOSTS="slides.example") as service:
        status, _, _ = await service.get("/healthz", headers={"Host": "slides.example:80"})
        assert status == 200
