"""The client's token: where it is sent, where never, and what is said when it is not taken."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from slideloom.client import (
    AsyncBatch,
    AsyncClient,
    Busy,
    Client,
    ClientError,
    DailyLimit,
    NotFound,
    NotSignedIn,
    UnexpectedAnswer,
)
from tests.support.fault_proxy import fault_proxy
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service

TOKEN = "canary-5e1f0c77"  # noqa: S105 - nobody's
SHOWN = f"authorization: bearer {TOKEN}"


def problem(status: int, code: str, *headers: str) -> bytes:
    """An error answer as the service gives it."""
    body = msgspec.json.encode({"status": status, "code": code, "detail": f"it is {code}"})
    lines = (
        f"HTTP/1.1 {status} No",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that gives these answers, then the last one for ever; its address, and what came."""
    left, came = list(answers), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            came.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", came


def batch_of(client: AsyncClient) -> AsyncBatch:
    return AsyncBatch(client._caller, client._batches, "any")


async def test_every_request_shows_the_token_and_no_address_holds_it(
    service: Running, tmp_path: Path
) -> None:
    heads: list[str] = []

    def note(request: bytes) -> None:
        if request.partition(b" ")[0] in {b"GET", b"POST", b"HEAD"}:
            heads.append(request.partition(b"\r\n\r\n")[0].decode())

    async with fault_proxy(service.url) as proxy, AsyncClient(proxy.url, token=TOKEN) as client:
        proxy.limit = note
        batch = await client.submit(deck(2))
        await batch.wait()
        await batch.save_all(tmp_path)
        paths = await batch.save_all(tmp_path)
        paths[0].write_bytes(b"cut off")
        await (await client.get(batch.id)).save_all(tmp_path)
        await batch.export(tmp_path / "deck.zip")
        await client.list()
        await client.ready()
        await client.estimate(deck(1))
        await batch.regenerate("s1")
    lines = [head.splitlines()[0] for head in heads]
    for part in ("/events ", "/assets/", "HEAD ", "export.zip", "regenerate", "?limit="):
        assert any(part in line for line in lines), part
    assert [head for head in heads if SHOWN not in head.lower()] == []
    assert [line for line in lines if TOKEN in line] == []


async def test_token_is_that_of_the_environment_unless_one_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIDELOOM_TOKEN", f" {TOKEN}\n")
    async with answering(problem(404, "not_found")) as (url, came):

        async def ask(**options: object) -> str:
            async with AsyncClient(url, **options) as client:  # type: ignore[arg-type]
                with pytest.raises(Exception, match="not_found"):
                    await client.get("x")
            return came[-1].lower()

        assert SHOWN in await ask()
        assert SHOWN + "2" in await ask(token=TOKEN + "2")
        assert "authorization" not in await ask(token="")
        own = await ask(headers={"authorization": "Basic eDp5"})
        assert own.count("authorization") == 1, "whoever sets it has the word"


async def test_token_follows_no_redirect_and_no_picture_to_another_host(
    service: Running, tmp_path: Path
) -> None:
    async with AsyncClient(service.url) as client:
        status = await (await client.submit(deck(1))).wait()
    async with answering(problem(404, "not_found")) as (other, strayed):
        host = other.removeprefix("http://")
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {other}/x\r\nContent-Length: 0\r\n\r\n".encode()
        async with answering(moved) as (url, _), AsyncClient(url, token=TOKEN) as client:
            with pytest.raises(Exception, match="307"):
                await client.get("x")
        for image in (f"{other}/p.png", f"@{host}/p.png", f".{host}/p.png", f"//{host}/p.png"):
            results = (replace(status.results[0], image_url=image),)
            body = msgspec.json.encode(replace(status, results=results))
            whole = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            async with answering(whole) as (url, came):
                async with AsyncClient(url, token=TOKEN) as client:
                    if image.startswith("/"):
                        await batch_of(client).save_all(tmp_path)  # a path of its own, then
                        continue
                    with pytest.raises(UnexpectedAnswer, match="no address of its own"):
                        await batch_of(client).save_all(tmp_path)
                assert len(came) == 1
    assert strayed == []


async def test_refusal_of_a_token_is_an_error_of_its_own_at_once() -> None:
    answer = problem(401, "unauthorized", "WWW-Authenticate: Bearer")
    async with answering(answer) as (url, came):
        async with AsyncClient(url, token="") as client:
            with pytest.raises(NotSignedIn, match="wants a token: set SLIDELOOM_TOKEN") as refusal:
                await client.submit(deck(1))
            assert (refusal.value.code, refusal.value.status) == ("unauthorized", 401)
            with pytest.raises(NotSignedIn):
                await anext(batch_of(client).events())
        async with AsyncClient(url, token=TOKEN) as client:
            with pytest.raises(NotSignedIn, match="does not take this token") as refusal:
                await batch_of(client).export("deck.zip")
    assert refusal.value.detail == "it is unauthorized"
    assert len(came) == 3


async def test_day_whose_money_is_spent_takes_no_order(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with (
        running_service(tmp_path, MAX_COST_PER_DAY=0) as service,
        AsyncClient(service.url) as client,
    ):
        with pytest.raises(DailyLimit, match="MAX_COST_PER_DAY") as refusal:
            await client.submit(deck(1))
    assert 0 < (refusal.value.problem.retry_after_s or 0) <= 86_400
    assert provider.calls == []


@pytest.mark.slow
async def test_each_token_makes_and_sees_decks_of_its_own(tmp_path: Path) -> None:
    pairs = f"alice:{TOKEN}-of-alice,bob:{TOKEN}-of-bob"
    async with (
        running_service(tmp_path, API_TOKENS=pairs, RATE_LIMIT="40/second") as service,
        AsyncClient(service.url, token=f"{TOKEN}-of-alice") as alice,
        AsyncClient(service.url, token=f"{TOKEN}-of-bob") as bob,
        AsyncClient(service.url, token=TOKEN) as stranger,
    ):
        batch = await alice.submit(deck(2), idempotency_key="mine")
        assert (await batch.wait()).successful == 2
        assert len(await batch.save_all(tmp_path / "pictures")) == 2
        assert (await batch.export(tmp_path / "deck.zip")).missing == ()
        with pytest.raises(NotFound):
            await bob.get(batch.id)
        assert (await bob.list()).batches == ()
        assert (await bob.submit(deck(2), idempotency_key="mine")).id != batch.id
        for _ in range(60):  # more than a second takes; the rest is waited for
            assert (await alice.list()).batches[0].batch_id == batch.id
        assert (await stranger.ready()).ready
        with pytest.raises(NotSignedIn, match="not take this token"):
            await stranger.get(batch.id)


async def test_plain_client_has_the_token_too() -> None:
    async with answering(problem(401, "unauthorized")) as (url, came):

        def work() -> None:
            with Client(url, token=TOKEN) as client, pytest.raises(NotSignedIn):
                client.list()

        await asyncio.to_thread(work)
    assert SHOWN in came[0].lower()


async def test_too_many_requests_are_waited_for_as_long_as_the_service_wants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits_s = []
    told: list[tuple[float, str]] = []

    def tell(seconds: float, error: ClientError) -> None:
        told.append((seconds, error.code))

    async def note(delay_s: float) -> None:
        waits_s.append(delay_s)

    monkeypatch.setattr("slideloom.client.pauses.asyncio.sleep", note)
    limited = problem(429, "too_many_requests", "Retry-After: 7")
    async with answering(limited, problem(404, "not_found")) as (url, came):
        async with AsyncClient(url, token=TOKEN, on_wait=tell) as client:
            with pytest.raises(Exception, match="not_found"):
                await client.get("x")
        assert (waits_s, len(came)) == ([7], 2)
        assert told == [(7, "too_many_requests")]
    async with answering(problem(429, "too_many_requests", "Retry-After: 3600")) as (url, came):
        async with AsyncClient(url) as client:
            with pytest.raises(Busy):
                await client.get("x")
        assert len(came) == 1


async def test_daily_limit_is_told_at_once_whatever_it_says_of_coming_back() -> None:
    async with answering(problem(429, "daily_cost_limit", "Retry-After: 1")) as (url, came):
        client = AsyncClient(url)
        with pytest.raises(DailyLimit, match="it is daily_cost_limit") as refusal:
            await client.submit(deck(1))
        await client.close()
    assert refusal.value.problem.retry_after_s == 1
    assert len(came) == 1


async def test_token_is_in_no_repr_error_or_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    async with answering(problem(401, "unauthorized"), b"HTTP/1.1 200 OK\r\n\r\n<html>") as (
        url,
        _,
    ):
        for address in (url, url, "http://127.0.0.1:9", "http://no host", "http://x:y"):
            async with AsyncClient(address, token=TOKEN, patience_s=0) as client:
                told.append(repr(client) + repr(client._caller))
                try:
                    await client.list()
                except Exception as error:  # noqa: BLE001 - whatever it is, the token is not in it
                    told.append("".join(traceback.format_exception(error)))
    with Client(url, token=TOKEN) as plain:
        told.append(repr(plain))
    assert len(told) == 11
    assert TOKEN not in "".join(told) + caplog.text


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "schlüssel", "\x00"])
async def test_token_that_cannot_be_sent_is_refused_unseen(token: str) -> None:
    with pytest.raises(ValueError, match="token holds") as refusal:
        AsyncClient(token=token)
    assert token not in str(refusal.value)


async def test_token_beside_a_login_in_the_address_is_refused() -> None:
    with pytest.raises(ValueError, match='give token=""') as refusal:
        AsyncClient("http://me:secret@localhost", token=TOKEN)
    assert "secret" not in str(refusal.value)
    assert AsyncClient("http://me:secret@localhost", token="")
