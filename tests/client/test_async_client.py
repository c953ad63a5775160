"""`AsyncClient`: each call against the real service, through connections that break."""

import asyncio
import os
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from slideloom.client import (
    AnswerLost,
    AsyncBatch,
    AsyncClient,
    BatchEvent,
    Busy,
    Conflict,
    Event,
    InvalidRequest,
    NotFound,
    ServiceFault,
    SlideRequest,
    SlideResult,
    UnexpectedAnswer,
    Unreachable,
    UnreadableDeck,
    WaitTimeout,
)
from slideloom.client.caller import Ask
from slideloom.client.records import BatchPage
from slideloom.errors import ContentBlocked, StoreError, UpstreamDown
from tests.support.fault_proxy import fault_proxy
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service


async def all_events(batch: AsyncBatch) -> list[Event]:
    return [event async for event in batch.events()]


async def test_deck_is_made_watched_and_saved(service: Running, tmp_path: Path) -> None:
    seen: list[SlideResult] = []
    async with AsyncClient(service.url) as client:
        assert (await client.ready()).provider == "scripted"
        batch = await client.generate(
            slides=[{"title": "One"}, SlideRequest(title="Two", page_num=7)],
            style_prompt="calm",
            max_workers=2,
        )
        status = await batch.wait(on_slide=seen.append, timeout=20)
        assert (status.status, status.successful) == ("completed", 2)
        assert sorted(slide.title for slide in seen) == ["One", "Two"]
        paths = await batch.save_all(tmp_path / "out")
        assert [path.name for path in paths] == ["slide_001.png", "slide_007.png"]
        assert all(path.stat().st_size > 0 for path in paths)
        (newest,) = (await client.list(limit=1)).batches
        assert newest.batch_id == batch.id
        assert (await (await client.get(batch.id)).status()).batch_id == batch.id


async def test_on_slide_is_awaited(service: Running) -> None:
    seen = []

    async def note(slide: SlideResult) -> None:
        await asyncio.sleep(0)
        seen.append(slide.slide_id)

    async with AsyncClient(service.url) as client:
        await (await client.submit(deck(3))).wait(on_slide=note)
    assert sorted(seen) == ["s1", "s2", "s3"]


async def test_events_have_every_number_once_and_end_with_the_batch(service: Running) -> None:
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(4))
        events = await all_events(batch)
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        assert events[-1].name == "batch.finished"
        assert await all_events(batch) == [], "nothing is told twice, and nobody waits for ever"
        again = await client.get(batch.id)
        assert await all_events(again) == events


async def test_events_after_a_retry_end_at_its_end_not_at_an_earlier_one(
    service: Running, provider: ScriptedProvider
) -> None:
    provider._script = iter([ContentBlocked("no"), ContentBlocked("no")])
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(2))
        first = await all_events(batch)
        status = await batch.retry()
        assert status.batch_id == batch.id
        second = await all_events(batch)
        assert second[0].id == first[-1].id + 1
        assert second[-1].name == "batch.finished"
        assert isinstance(second[-1], BatchEvent)
        assert second[-1].batch.successful == 2
        replayed = await all_events(await client.get(batch.id))
        assert replayed == first + second


@pytest.mark.slow
async def test_broken_connections_leave_no_gap_and_no_repeat(service: Running) -> None:
    dice = random.Random(5)
    async with fault_proxy(service.url) as proxy, AsyncClient(proxy.url) as client:
        batch = await client.submit(deck(40))
        cuts = 0

        def limit(request: bytes) -> int | None:
            nonlocal cuts
            if b"/events" not in request:
                return None
            cuts += 1
            return dice.randrange(400, 8000)

        proxy.limit = limit
        ids = [event.id async for event in batch.events()]
    assert ids == list(range(1, len(ids) + 1))
    assert cuts > 5


@pytest.mark.slow
async def test_service_that_restarts_is_come_back_to(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    provider._seconds = 0.02
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_service(tmp_path))
        async with fault_proxy(first.url) as proxy, AsyncClient(proxy.url) as client:
            batch = await client.submit(deck(10, max_workers=1))
            ids: list[int] = []
            async for event in batch.events():
                ids.append(event.id)
                if len(ids) == 8:
                    await stack.aclose()
                    second = await stack.enter_async_context(running_service(tmp_path))
                    proxy.target = second.url
            status = await batch.status()
    assert ids == list(range(1, len(ids) + 1))
    assert status.status == "completed"


@pytest.mark.parametrize("lost_answers", [1, 3])
@pytest.mark.slow
async def test_order_whose_answer_is_lost_is_carried_out_once(
    service: Running, provider: ScriptedProvider, lost_answers: int
) -> None:
    async with fault_proxy(service.url) as proxy, AsyncClient(proxy.url) as client:
        left = iter([40] * lost_answers)  # bytes: not even the headers
        proxy.limit = lambda _: next(left, None)
        batch = await client.submit(deck(2))
        await batch.wait()
        assert proxy.connections > lost_answers
        page = await client.list()
    assert [one.batch_id for one in page.batches] == [batch.id]
    assert len(provider.calls) == 2


async def test_same_key_gives_the_same_batch_and_no_key_gives_another(service: Running) -> None:
    async with AsyncClient(service.url) as client:
        one = await client.submit(deck(1), idempotency_key="mine")
        same = await client.submit(deck(1), idempotency_key="mine")
        other = await client.submit(deck(1))
        assert one.id == same.id != other.id
        with pytest.raises(InvalidRequest) as refusal:
            await client.submit(deck(2), idempotency_key="mine")
        assert refusal.value.code == "idempotency_key_reused"


async def test_paid_change_is_never_sent_twice(
    service: Running, provider: ScriptedProvider
) -> None:
    async with fault_proxy(service.url) as proxy, AsyncClient(proxy.url) as client:
        batch = await client.submit(deck(1))
        await batch.wait()
        proxy.limit = lambda _: 10
        with pytest.raises(AnswerLost, match="look at the status"):
            await batch.regenerate("s1")
        proxy.limit = lambda _: None
        status = await batch.wait()
        assert len(status.results[0].versions) == 2
    assert len(provider.calls) == 2


async def test_paid_change_the_database_does_not_take_down_is_not_asked_for_again(
    service: Running, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> int:
        message = "disk gone"
        raise StoreError(message)

    monkeypatch.setattr("slideloom.engine.batches._WISH_S", 0.02)
    monkeypatch.setattr("slideloom.engine.recorder._WRITE_PAUSES_S", (0.02,))
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(1))
        await batch.wait()
        with monkeypatch.context() as patch:
            patch.setattr(service.services.engine._store, "append", fail)
            with pytest.raises(AnswerLost, match="carried out"):
                await batch.regenerate("s1")
        status = await batch.wait()
        while len(status.results[0].versions) < 2:
            await asyncio.sleep(0.01)
            status = await batch.wait()
    assert len(provider.calls) == 2


@pytest.mark.parametrize("status", [502, 504])
async def test_paid_change_behind_a_proxy_that_gives_up_is_not_asked_for_again(status: int) -> None:
    asked = []

    async def give_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 %d Gone\r\nContent-Length: 0\r\n\r\n" % status)
        writer.close()

    async with await asyncio.start_server(give_up, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AsyncClient(url, patience_s=0.5) as client:
            batch = AsyncBatch(client._caller, "/batch", "b")
            with pytest.raises(AnswerLost, match=str(status)):
                await batch.retry()
            assert len(asked) == 1
            with pytest.raises(ServiceFault):
                await batch.status()
    assert len(asked) > 2, "to ask how it is costs nothing"


async def test_retry_regenerate_restore_and_cancel(
    service: Running, provider: ScriptedProvider
) -> None:
    provider._script = iter([ContentBlocked("no")])
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck() | {"slides": [{"id": "a/../b?", "title": "T"}]})
        assert (await batch.wait()).results[0].error_code == "content_blocked"
        with pytest.raises(Conflict, match="picture") as refusal:
            await batch.export("deck.pptx")
        assert refusal.value.code == "no_pictures"
        await batch.retry(["a/../b?"])
        assert (await batch.wait()).successful == 1
        await batch.regenerate("a/../b?")
        status = await batch.wait()
        assert [version.current for version in status.results[0].versions] == [False, True]
        status = await batch.restore("a/../b?", 1)
        assert [version.current for version in status.results[0].versions] == [True, False]
        with pytest.raises(NotFound):
            await batch.restore("a/../b?", 9)
        assert (await batch.cancel()).status == "completed"


async def test_cancelled_batch_ends_its_events(
    service: Running, provider: ScriptedProvider
) -> None:
    provider._seconds = 30.0
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(3))
        with pytest.raises(WaitTimeout, match="goes on"):
            await batch.wait(timeout=0.1)
        await batch.cancel()
        status = await batch.wait(timeout=10)
        assert status.cancelled
        assert {slide.error_code for slide in status.results} == {"cancelled"}


@pytest.mark.slow
async def test_export_is_whole_or_not_there(service: Running, tmp_path: Path) -> None:
    async with fault_proxy(service.url) as proxy, AsyncClient(proxy.url, patience_s=2) as client:
        batch = await client.submit(deck(3))
        await batch.wait()
        for kind, magic in (("pptx", b"PK"), ("pdf", b"%PDF"), ("zip", b"PK")):
            made = await batch.export(tmp_path / "new" / f"deck.{kind}")
            assert made.path.read_bytes().startswith(magic)
            assert made.missing == ()
        proxy.limit = lambda _: 900
        with pytest.raises(Unreachable):
            await batch.export(tmp_path / "broken.zip")
        proxy.limit = lambda _: None
        with pytest.raises(ValueError, match="must end in"):
            await batch.export("deck.docx")
    assert [path.name for path in tmp_path.glob("*.zip")] == []
    assert not list(tmp_path.glob(".*.part"))


async def test_missing_slides_of_an_export_are_named(
    service: Running, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider._script = iter([ContentBlocked("no")])
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(3, max_workers=1))
        await batch.wait()
        assert (await batch.export(tmp_path / "deck.zip")).missing == (1,)


async def test_save_all_again_fetches_only_what_is_not_there_whole(
    service: Running, tmp_path: Path
) -> None:
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(3))
        await batch.wait()
        paths = await batch.save_all(tmp_path)
        kept = [path.stat().st_ino for path in paths]
        paths[0].unlink()
        paths[1].write_bytes(paths[1].read_bytes()[:-1])
        await batch.save_all(tmp_path)
        assert [path.stat().st_ino == inode for path, inode in zip(paths, kept, strict=True)][2]
        assert all(path.read_bytes()[:4] == b"\x89PNG" for path in paths)
        assert paths[1].read_bytes().endswith(b"IEND\xaeB`\x82")
        os.utime(paths[2], (1, 1))
        await batch.save_all(tmp_path)
        assert paths[2].stat().st_mtime > 1, "another date: another picture"


async def test_estimate_pays_nothing(service: Running, provider: ScriptedProvider) -> None:
    async with AsyncClient(service.url) as client:
        estimate = await client.estimate(deck(4))
    assert (estimate.calls, provider.calls) == (4, [])


async def test_refusal_says_what_and_where_in_the_readers_language(service: Running) -> None:
    async with AsyncClient(service.url, language="zh") as client:
        with pytest.raises(InvalidRequest) as refusal:
            await client.submit({"slides": [], "style_prompt": ""})
        assert refusal.value.errors[0].loc == ("body", "slides")
        assert refusal.value.status == 422
        assert "至少" in refusal.value.detail
        assert refusal.value.request_id
        with pytest.raises(NotFound):
            await client.get("../nothing")
        with pytest.raises(UnreadableDeck):
            await client.submit({"slides": [{1j: 2}]})
        with pytest.raises(UnreadableDeck):
            await client.submit({"slides": [{"title": "\ud800"}]})


async def test_service_that_is_not_there_is_unreachable_after_a_while() -> None:
    async with AsyncClient("http://127.0.0.1:9", patience_s=0.5) as client:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
            await client.list()


async def test_other_servers_answers_are_unexpected(service: Running) -> None:
    async with AsyncClient(service.url) as client:
        with pytest.raises(UnexpectedAnswer):
            await client._caller.fetch(Ask(method="GET", path="/"), BatchPage)


async def test_stopping_service_is_asked_again_later_and_busy_in_the_end(
    service: Running,
) -> None:
    service.services.engine.stopping.set()
    async with AsyncClient(service.url, patience_s=0.2) as client:
        with pytest.raises(Busy) as refusal:
            await client.submit(deck(1))
    assert refusal.value.code == "stopping"
    assert refusal.value.problem.retry_after_s == 5


async def test_service_that_is_not_ready_says_why_at_once(service: Running) -> None:
    service.services.engine.stopping.set()
    async with AsyncClient(service.url) as client, asyncio.timeout(5):
        readiness = await client.ready()
    assert (readiness.ready, readiness.checks["engine"]) == (False, "stopping")


@pytest.mark.slow
async def test_transient_setbacks_are_told(service: Running, provider: ScriptedProvider) -> None:
    provider._script = iter([UpstreamDown("busy")])
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(1))
        names = [event.name async for event in batch.events()]
    assert "slide.retrying" in names
