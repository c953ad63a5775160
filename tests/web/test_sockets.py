"""Handshakes that are none are refused with problems, and cost no line in the log."""

import asyncio
import logging

import pytest

from tests.support.problems import check_problem
from tests.support.service import Running

HEAD = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def shake(
    service: Running, head: str, then: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (small letters) and the rest of the answer to a handshake."""
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head.encode() + b"\r\n")
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        writer.write(then)
        rest = await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
    pairs = (line.split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), {name.lower(): value for name, value in pairs}, rest


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("Sec-WebSocket-Key", "Other"), 400),
        (("dGhlIHNhbXBsZSBub25jZQ==", "AA"), 400),
        (("Version: 13", "Version: 99"), 400),
        (("Host: ", "A: b\r\n" * 200 + "Host: "), 400),
        (("GET", "POST"), 400),
        (("/api/slide/batch/b/ws", "/healthz"), 404),
        (("/api/slide/batch/b/ws", "/"), 404),
        (("Host: localhost", "Host: evil.example"), 421),
    ],
)
async def test_what_is_no_handshake_is_refused_with_a_problem(
    service: Running, caplog: pytest.LogCaptureFixture, change: tuple[str, str], status: int
) -> None:
    head = HEAD.format(path="/api/slide/batch/b/ws")
    assert change[0] in head
    with caplog.at_level(logging.ERROR):
        answered, headers, body = await shake(service, head.replace(*change))
    assert answered == status
    problem = check_problem(
        answered,
        {"Content-Type": headers["content-type"], "X-Request-Id": headers["x-request-id"]},
        body,
    )
    assert problem["status"] == status
    assert caplog.messages == []


async def test_text_that_is_none_is_no_fault_of_ours(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    _, batch, _ = await service.post(
        "/slide/batch/generate", {"style_prompt": "", "slides": [{"title": "a"}]}
    )
    head = HEAD.format(path=f"/api/slide/batch/{batch['batch_id']}/ws")
    text, end = b"\x81\x82\0\0\0\0\xff\xfe", b"\x88\x82\0\0\0\0\x03\xe8"
    status, _, events = await shake(service, head, text + end)
    assert status == 101
    assert b"batch.finished" in events
    assert caplog.messages == []
