"""Bytes that are hardly HTTP: one answer each, nothing smuggled, and honest requests go on."""

import asyncio
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.support.raw import Answer, Line, line_to, request
from tests.support.raw_corpus import REFUSED, SERVED
from tests.support.service import Running

_QUIET_S = 0.05


@pytest.fixture
def served_paths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The path of every request that a handler was asked for."""
    paths: list[str] = []
    start = HttpToolsProtocol._start_asgi_task

    def note(self: HttpToolsProtocol, cycle: Any, app: Any) -> None:
        paths.append(cycle.scope["path"])
        start(self, cycle, app)

    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", note)
    return paths


def in_bytes(sent: bytes) -> list[bytes]:
    """Each byte alone."""
    return [bytes([byte]) for byte in sent]


def verdict(answers: list[Answer], line: Line) -> tuple[list[int], str | None, bool]:
    """The statuses, the last answer's code, whether the connection was closed."""
    statuses = [answer.status for answer in answers]
    code = answers[-1].problem["code"] if statuses and statuses[-1] == 400 else None
    return statuses, code, line.is_closed


async def is_well(service: Running) -> bool:
    """Whether it answers on a connection of its own, which is kept."""
    return (await service.get("/healthz"))[0] == 200


@pytest.mark.parametrize("in_pieces", [False, True], ids=["at once", "byte by byte"])
async def test_what_is_no_request_is_refused_once_and_nothing_behind_it_is_served(
    service: Running, served_paths: list[str], *, in_pieces: bool
) -> None:
    got = {}
    for name, sent in REFUSED.items():
        async with line_to(service.url) as line:
            pieces = in_bytes(sent) if in_pieces else [sent]
            got[name] = verdict(await line.exchange(*pieces, quiet_s=1), line)
        assert await is_well(service), name
    assert got == dict.fromkeys(REFUSED, ([400], "invalid_request", True))
    assert "/evil" not in served_paths


async def test_what_is_no_request_ends_a_connection_that_was_kept(
    service: Running, served_paths: list[str]
) -> None:
    got = {}
    for name, sent in REFUSED.items():
        async with line_to(service.url) as line:
            await line.send(request())
            assert (await line.answer()).status == 200
            await line.send(sent)
            got[name] = verdict(await line.answers(quiet_s=1), line)
    assert got == dict.fromkeys(REFUSED, ([400], "invalid_request", True))
    assert "/evil" not in served_paths


async def test_honest_request_before_what_is_none_is_answered_and_is_the_last(
    service: Running, served_paths: list[str]
) -> None:
    got = {}
    for name, sent in REFUSED.items():
        async with line_to(service.url) as line:
            await line.send(request() + sent)
            statuses, _, is_closed = verdict(await line.answers(quiet_s=1), line)
            got[name] = (statuses[:1], set(statuses[1:]) <= {400}, len(statuses) <= 2, is_closed)
    assert got == dict.fromkeys(REFUSED, ([200], True, True, True))
    assert "/evil" not in served_paths


@pytest.mark.parametrize("in_pieces", [False, True], ids=["at once", "byte by byte"])
async def test_odd_requests_in_good_order_are_taken_as_what_they_are(
    service: Running, served_paths: list[str], *, in_pieces: bool
) -> None:
    got = {}
    for name, (sent, statuses) in SERVED.items():
        async with line_to(service.url) as line, asyncio.TaskGroup() as group:
            group.create_task(line.send(*(in_bytes(sent) if in_pieces else [sent])))
            told = [await line.answer() for _ in statuses]
            told += await line.answers(quiet_s=_QUIET_S)
            got[name] = tuple(one.status for one in told)
        assert await is_well(service), name
    assert got == {name: statuses for name, (_, statuses) in SERVED.items()}
    assert "/evil" not in served_paths


async def test_rubbish_on_many_connections_at_once_leaves_the_service_well(
    service: Running, served_paths: list[str]
) -> None:
    async def throw(sent: bytes) -> int:
        async with line_to(service.url) as line:
            await line.send(sent)
            return len(await line.answers(quiet_s=_QUIET_S))

    cut = [sent[:at] for sent in REFUSED.values() for at in range(0, len(sent), 13)]
    for start in range(0, len(cut), 100):
        told = await asyncio.gather(*map(throw, cut[start : start + 100]))
        assert max(told) <= 1
        assert await is_well(service)
    assert "/evil" not in served_paths
