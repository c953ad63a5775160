"""`Client`: the same in plain calls, from a thread of its own."""

import asyncio
import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from slideloom.client import Client, NotFound, WaitTimeout, load_deck
from slideloom.errors import ContentBlocked
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running


async def test_deck_is_made_in_plain_calls(service: Running, tmp_path: Path) -> None:
    def work() -> None:
        seen, threads = [], set()
        with Client(service.url) as client:
            batch = client.generate(slides=[{"title": "One"}, {"title": "Two"}], style_prompt="s")

            def note(slide: object) -> None:
                seen.append(slide)
                threads.add(threading.current_thread())

            assert batch.wait(on_slide=note, timeout=20).successful == 2
            assert len(seen) == 2
            assert threads == {threading.current_thread()}, "callbacks come to the caller"
            assert client.get(batch.id).status().status == "completed"
            assert list(batch.events()) == []
            assert next(event.id for event in batch.events(after=3)) == 4
            assert len(batch.save_all(tmp_path)) == 2
            assert batch.export(tmp_path / "d.pdf").path.exists()
            batch.regenerate(batch.status().results[0].slide_id)
            assert len(batch.wait().results[0].versions) == 2
            assert batch.restore(batch.status().results[0].slide_id, 1).status == "completed"
            assert client.list().batches[0].batch_id == batch.id
            assert client.ready().ready
            assert client.estimate(deck(2)).calls == 2
            with pytest.raises(NotFound):
                client.get("nothing")
        with pytest.raises(RuntimeError, match="closed"):
            client.list()

    await asyncio.to_thread(work)


@pytest.mark.slow
async def test_wait_and_events_end_in_time_and_the_batch_goes_on(
    service: Running, provider: ScriptedProvider
) -> None:
    provider._seconds = 0.6
    provider._script = iter([ContentBlocked("no")])

    def work() -> None:
        with Client(service.url) as client:
            batch = client.submit(deck(1))
            with pytest.raises(WaitTimeout):
                batch.wait(timeout=0.1)
            assert batch.wait().failed == 1
            batch.retry()
            assert batch.cancel().status == "failed"

    await asyncio.to_thread(work)


async def test_client_nobody_closes_leaves_no_thread(service: Running) -> None:
    def work() -> None:
        client = Client(service.url)
        client.ready()
        thread = client._thread._thread
        assert thread.is_alive()
        del client
        gc.collect()
        thread.join(5)
        assert not thread.is_alive()

    await asyncio.to_thread(work)


@pytest.mark.slow
def test_import_starts_nothing_heavy() -> None:
    heavy = ("typst", "lxml", "PIL", "pptx", "starlette", "uvicorn", "structlog", "slideloom.app")
    script = f"import sys, slideloom.client; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_deck_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"nowhere\.md cannot be read"):
        load_deck(tmp_path / "nowhere.md")
