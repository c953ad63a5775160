"""`slideloom serve`: starts with one clear line, stops without losing anything."""

import asyncio
import json
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from slideloom.cli.serve import refuse_exposed
from slideloom.settings import load_settings
from tests.support.orders import deck
from tests.support.process import SLIDELOOM, Served, serve_environ, served
from tests.support.upstream import Plan, spawn_upstream

pytestmark = pytest.mark.slow


def call(service: Served, path: str, body: Any = None) -> Any:
    """The decoded answer of our own service."""
    request = urllib.request.Request(  # noqa: S310
        service.url + path,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json", "Prefer": "respond-async"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.loads(answer.read())


def refused(service: Served, path: str, body: Any = None) -> int:
    """The status with which our own service refuses."""
    with pytest.raises(urllib.error.HTTPError) as refusal:
        call(service, path, body)
    refusal.value.close()
    return refusal.value.code


def refuse(folder: Path, **settings: object) -> str:
    """The one line with which `serve` gives up, exit code 2."""
    ran = subprocess.run(
        [SLIDELOOM, "serve"],
        cwd=folder,
        env=serve_environ(**{"PORT": 0} | settings),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1, ran.stderr
    return ran.stderr


def test_start_says_where_and_that_no_key_is_set(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        assert service.greeting.startswith("Slideloom is at http://localhost:")
        assert service.process.stdout is not None
        assert "EMBEDDED RENDERER" in service.process.stdout.readline()
        assert call(service, "/readyz")["provider"] == "local"
    assert service.process.returncode == 0
    assert (tmp_path / "data" / "slideloom.sqlite3").exists()
    assert list((tmp_path / "logs").glob("pipeline_*.log"))


def test_listening_beyond_this_machine_takes_tokens_or_a_word(tmp_path: Path) -> None:
    words = refuse(tmp_path, HOST="0.0.0.0")  # noqa: S104 - it is refused
    assert "set API_TOKENS, or start with --insecure" in words
    assert not (tmp_path / "data").exists()
    for more in ({"API_TOKENS": "a:0123456789abcdef"}, {"INSECURE": "1"}):
        settings, _ = load_settings({"HOST": "0.0.0.0", **more})  # noqa: S104 - nothing is bound
        refuse_exposed(settings)


def test_env_file_in_the_working_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BATCH_MAX_WORKERS=7\nDATA_DIR=elsewhere\n")
    with served(tmp_path) as service:
        advice = call(service, "/api/slide/batch/config/validate")
    assert advice["current_config"]["batch_max_workers"] == 7
    assert (tmp_path / "elsewhere").is_dir()


def test_second_start_finds_what_the_first_made(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        batch_id = call(service, "/api/slide/batch/generate", deck(2))["batch_id"]
        while call(service, "/api/slide/batch/active-count")["active_batches"]:
            time.sleep(0.05)
        first = call(service, f"/api/slide/batch/{batch_id}")
    with served(tmp_path) as service:
        assert call(service, f"/api/slide/batch/{batch_id}") == first


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_batch_cut_off_by_a_stop_goes_on_at_the_next_start(
    tmp_path: Path, how: signal.Signals
) -> None:
    with served(tmp_path, STOP_GRACE_SECONDS=0, BATCH_MAX_WORKERS=1) as service:
        batch_id = call(service, "/api/slide/batch/generate", deck(60))["batch_id"]
        while call(service, f"/api/slide/batch/{batch_id}")["completed_slides"] < 2:
            time.sleep(0.02)
        service.process.send_signal(how)
        service.process.wait(timeout=20)
        assert (service.process.returncode == 0) == (how != signal.SIGKILL)
    before = {path.name for path in (tmp_path / "static" / "assets").glob("slide_*")}
    assert 2 <= len(before) < 60
    with served(tmp_path) as service:
        while call(service, "/api/slide/batch/active-count")["active_batches"]:
            time.sleep(0.05)
        status = call(service, f"/api/slide/batch/{batch_id}")
    assert (status["status"], status["successful"]) == ("completed", 60)
    kept = {path.name for path in (tmp_path / "static" / "assets").iterdir()}
    shown = {result["image_url"].removeprefix("/assets/") for result in status["results"]}
    assert before <= shown <= kept, "nothing made before the stop is made again"
    assert not any(name.startswith(".part-") for name in kept)


async def test_second_signal_stops_now_and_what_was_under_way_follows_the_setting(
    tmp_path: Path,
) -> None:
    async with spawn_upstream(Plan(latency_s=30)) as upstream:
        settings = {"LLM_IMAGE_API_KEY": "sk-test", "LLM_IMAGE_API_BASE": upstream.base_url}
        with served(tmp_path, **settings, BATCH_MAX_WORKERS=2) as service:
            batch_id = call(service, "/api/slide/batch/generate", deck(5))["batch_id"]
            while (await upstream.fetch_report()).call_count < 2:
                await asyncio.sleep(0.02)
            service.process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.5)
            assert service.process.poll() is None, "calls under way get their grace"
            assert refused(service, "/readyz") == 503
            assert refused(service, "/api/slide/batch/generate", deck(1)) == 503
            service.process.send_signal(signal.SIGINT)
            assert service.process.wait(timeout=10) == 0
        await upstream.send_plan(Plan())
        with served(tmp_path, **settings) as service:
            assert service.process.stdout is not None
            lines = [service.process.stdout.readline() for _ in range(3)]
            assert lines[1:] == [
                "Going on with 1 unfinished deck.\n",
                "2 slides were cut off and may have been billed.\n",
            ]
            while call(service, "/api/slide/batch/active-count")["active_batches"]:
                await asyncio.sleep(0.05)
            status = call(service, f"/api/slide/batch/{batch_id}")
    codes = [result["error_code"] for result in status["results"]]
    assert codes == ["interrupted", "interrupted", None, None, None]
    assert (status["possibly_billed"], status["successful"]) == (2, 3)


def test_second_service_on_the_same_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        assert "in use by another" in refuse(tmp_path, PORT=0)
        assert call(service, "/readyz")["ready"] is True


def test_wrong_setting_is_one_line(tmp_path: Path) -> None:
    assert "BATCH_MAX_WORKERS='many'" in refuse(tmp_path, BATCH_MAX_WORKERS="many")


def test_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in refuse(tmp_path, PORT=port)


def test_database_of_a_newer_version_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    db = sqlite3.connect(tmp_path / "data" / "slideloom.sqlite3")
    db.execute("pragma user_version = 99")
    db.close()
    assert "newer version" in refuse(tmp_path)


def test_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    assert "LOG_DIR=taken" in refuse(tmp_path, LOG_DIR="taken")
    assert "IMAGE_OUTPUT_DIR=taken/x" in refuse(tmp_path, IMAGE_OUTPUT_DIR="taken/x")
