"""Live events over server-sent events and WebSocket."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from slideloom.errors import StoreError
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running

SEED = 5


async def begin(service: Running, slides: int = 3, **changes: Any) -> str:
    """A batch under way."""
    headers = {"Prefer": "respond-async"}
    _, body, _ = await service.post(
        "/slide/batch/generate", deck(slides, **changes), headers=headers
    )
    return str(body["batch_id"])


def address(service: Running, batch_id: str, end: str = "events") -> str:
    return f"{service.url}/api/slide/batch/{batch_id}/{end}"


async def frames(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    """The fields of each event that has an id."""
    frame: dict[str, str] = {}
    async for line in answer.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            frame[name] = value
            continue
        if "id" in frame:
            yield frame
        frame = {}


async def follow(
    service: Running, batch_id: str, *, after: int = 0, most: int | None = None
) -> list[tuple[int, str]]:
    """Number and name of each event up to the batch's end, or the first `most`."""
    headers = {"Last-Event-ID": str(after)} if after else {}
    seen = []
    async with service.client.get(address(service, batch_id), headers=headers) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        async for frame in frames(answer):
            seen.append((int(frame["id"]), frame["event"]))
            if frame["event"] == "batch.finished" or len(seen) == most:
                break
    return seen


async def test_reader_is_told_everything_in_order(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 0.05
    seen = await follow(service, await begin(service, 4))
    assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
    names = [name for _, name in seen]
    assert (names[0], names[-1]) == ("batch.started", "batch.finished")
    assert (names.count("slide.started"), names.count("slide.done")) == (4, 4)
    assert names.count("batch.progress") == 4


async def test_data_is_the_slides_result_item(service: Running) -> None:
    batch_id = await begin(service, 1)
    _, status, _ = await service.get(f"/api/slide/batch/{batch_id}")
    async with service.client.get(address(service, batch_id)) as answer:
        async for frame in frames(answer):
            if frame["event"] == "slide.done":
                data = msgspec.json.decode(frame["data"])
                break
    _, status, _ = await service.get(f"/api/slide/batch/{batch_id}")
    assert data == {"batch_id": batch_id, **status["results"][0]}


async def test_reader_that_comes_back_again_and_again_sees_no_gap_and_no_repeat(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 0.01
    dice = random.Random(SEED)
    batch_id = await begin(service, 30, max_workers=3)
    seen: list[tuple[int, str]] = []
    while not seen or seen[-1][1] != "batch.finished":
        seen += await follow(service, batch_id, after=len(seen), most=dice.randint(1, 5))
    assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
    assert seen == await follow(service, batch_id)


async def test_websocket_tells_the_same(service: Running) -> None:
    batch_id = await begin(service, 3)
    by_stream = await follow(service, batch_id)
    async with service.client.ws_connect(address(service, batch_id, "ws?after=2")) as socket:
        told: list[dict[str, Any]] = []
        while not told or told[-1]["event"] != "batch.finished":
            told.append(msgspec.json.decode((await socket.receive_str()).encode()))
    assert [(one["id"], one["event"]) for one in told] == by_stream[2:]
    assert {one["data"]["batch_id"] for one in told} == {batch_id}


async def test_whatever_a_reader_says_over_websocket_it_is_told_on(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 0.1
    batch_id = await begin(service, 1)
    async with service.client.ws_connect(address(service, batch_id, "ws")) as socket:
        await socket.send_bytes(b"\0")
        await socket.send_str("hello")
        names: list[str] = []
        while not names or names[-1] != "batch.finished":
            names.append(msgspec.json.decode((await socket.receive_str()).encode())["event"])
    assert names[0] == "batch.started"


async def test_who_asks_for_the_head_alone_is_not_kept_waiting(service: Running) -> None:
    url = URL(address(service, await begin(service, 1)))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    for path in (url.path, "/healthz"):  # on one connection: the second answer waits for the first
        writer.write(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    async with asyncio.timeout(5):
        heads = [await reader.readuntil(b"\r\n\r\n") for _ in range(2)]
    writer.close()
    assert b"text/event-stream" in heads[0]
    assert b"application/json" in heads[1]


@pytest.mark.parametrize(("end", "code"), [("ws", 4404), ("ws?after=x", 4422)])
async def test_websocket_says_why_it_will_not(service: Running, end: str, code: int) -> None:
    async with service.client.ws_connect(address(service, "nope", end)) as socket:
        await socket.receive()
        assert socket.close_code == code


async def test_unknown_batch_and_odd_numbers_are_problems(service: Running) -> None:
    assert (await service.get("/api/slide/batch/nope/events"))[0] == 404
    batch_id = await begin(service, 1)
    status, body, _ = await service.get(
        f"/api/slide/batch/{batch_id}/events", headers={"Last-Event-ID": "1e3"}
    )
    assert (status, body["code"]) == (422, "invalid_request")
    assert body["errors"][0]["loc"] == ["header", "Last-Event-ID"]
    _, body, _ = await service.get(f"/api/slide/batch/{batch_id}/events?after=-1")
    assert body["errors"][0]["loc"] == ["query", "after"]


async def test_quiet_stream_is_kept_alive(
    provider: ScriptedProvider, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slideloom.web.events._KEEP_ALIVE_S", 0.02)
    provider._seconds = 5
    async with service.client.get(address(service, await begin(service, 1))) as answer:
        lines = [await answer.content.readline() for _ in range(16)]
    assert lines[0] == b"retry: 2000\n"
    assert lines.count(b": here\n") >= 2


async def test_reader_that_leaves_is_forgotten(
    provider: ScriptedProvider, service: Running
) -> None:
    provider._seconds = 5
    batch_id = await begin(service, 1)
    await follow(service, batch_id, most=2)  # its slide is being made: all is begun
    before = len(asyncio.all_tasks())
    answers = [await service.client.get(address(service, batch_id)) for _ in range(20)]
    for answer in answers:
        await answer.content.readline()
    assert len(asyncio.all_tasks()) > before
    for answer in answers:
        answer.close()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if len(asyncio.all_tasks()) <= before:
            break
    assert len(asyncio.all_tasks()) <= before


async def test_websocket_tells_trouble_from_a_batch_that_is_not_there(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(batch_id: str) -> None:
        raise StoreError(batch_id)

    monkeypatch.setattr(service.services.engine, "get", fail)
    async with service.client.ws_connect(address(service, "any", "ws")) as socket:
        await socket.receive()
        assert socket.close_code == 1013


async def test_stop_ends_every_stream(provider: ScriptedProvider, service: Running) -> None:
    provider._seconds = 60
    batch_id = await begin(service, 1)
    async with (
        service.client.get(address(service, batch_id)) as answer,
        service.client.ws_connect(address(service, batch_id, "ws?after=9")) as socket,
    ):
        async for frame in frames(answer):
            if frame["event"] == "slide.started":
                break
        await service.services.engine.stop(grace_s=0)
        assert await asyncio.wait_for(answer.read(), 5) is not None
        await asyncio.wait_for(socket.receive(), 5)
        assert socket.close_code == 1012
