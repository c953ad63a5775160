"""Requests that no client library would send: what they smuggle is neither believed nor echoed."""

import json
import re

import pytest

from tests.support.orders import deck
from tests.support.raw import line_to
from tests.support.service import Running

LINE_ENDS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n ",
    b"\r\n\t",
    b"\0",
    b"\x0b",
    b"\x85",
    b"%0d%0a",
    b"\\r\\n",
)
ECHOED = ("X-Request-Id", "Idempotency-Key", "traceparent", "Accept-Language", "Origin", "Host")


async def send(service: Running, head: bytes, body: bytes = b"") -> bytes:
    """The whole answer to these bytes."""
    async with line_to(service.url) as line:
        await line.send(head + body)
        return await line.read()


def read_head(answer: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers; fails where that is no single answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert not re.search(rb"HTTP/1\.1 \d", body)
    first, *lines = head.split(b"\r\n")
    assert not any(byte in line for line in (first, *lines) for byte in (b"\n", b"\r", b"\0"))
    pairs = (line.partition(b": ") for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}


@pytest.mark.parametrize("name", ECHOED)
@pytest.mark.parametrize("line_end", LINE_ENDS)
async def test_line_end_in_a_header_splits_no_answer(
    service: Running, name: str, line_end: bytes
) -> None:
    body = json.dumps(deck(1)).encode()
    host = b"" if name == "Host" else b"Host: localhost\r\n"
    value = b"localhost" if name == "Host" else b"abc"
    head = (
        b"POST /api/slide/batch/generate HTTP/1.1\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nPrefer: respond-async\r\n" + host
    )
    smuggled = name.encode() + b": " + value + line_end + b"X-Evil: yes\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    status, headers = read_head(await send(service, head + smuggled + length, body))
    assert status in {202, 400, 403, 421, 422}
    assert b"x-evil" not in headers
    assert b"evil" not in b"".join(headers.values()).lower()


@pytest.mark.parametrize(
    "host", ["a/?x=", "a#", "localhost/?x=", "localhost#", "localhost@evil", ""]
)
@pytest.mark.parametrize("path", ["/metrics", "/api/slide/batch", "/", "/api/docs"])
async def test_host_that_would_change_the_path_is_refused(
    service: Running, host: str, path: str
) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    status, headers = read_head(await send(service, head.encode()))
    assert status == 400
    assert headers[b"content-type"] == b"application/problem+json"


@pytest.mark.parametrize(
    "target",
    [
        *("@evil.test", "@evil.test/", "/@evil.test", "//evil.test", "//evil.test/%2e%2e"),
        *("/\\evil.test", "http://evil.test/", "https://evil.test@localhost/", "evil.test:80"),
        *("/static//evil.test/%2e%2e", "/static/vendor", "/api/", "/assets", "/%0d%0aX-Evil:yes"),
        *("/?next=//evil.test", "*", "?", "#", "/#@evil.test", "/api/slide/batch/"),
    ],
)
async def test_no_target_leads_elsewhere(service: Running, target: str) -> None:
    head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    status, headers = read_head(await send(service, head.encode()))
    assert status in {200, 400, 404, 421}
    assert b"location" not in headers
    assert b"evil" not in b"".join(headers.values())


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: \r\n\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
    ],
)
async def test_host_that_is_missing_or_there_twice_is_refused(
    service: Running, head: bytes
) -> None:
    answer = await send(service, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert read_head(answer)[0] == 400
