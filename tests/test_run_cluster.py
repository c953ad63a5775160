"""`make run-cluster`: the script behind it, as an operator runs it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.process import SLIDELOOM, serve_environ

SCRIPT = Path(__file__).parents[1] / "docs" / "operations" / "run-cluster.sh"
TOOLS = Path(__file__).parent / "support" / "tools.sh"
pytestmark = pytest.mark.slow


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["sh", str(SCRIPT)],
        cwd=tmp_path,
        env=serve_environ(PORT=port, SLIDELOOM=SLIDELOOM),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert said.count("Slideloom makes decks off the queue") == 2
    assert "Traceback" not in said


def test_one_service_two_workers_and_redis_make_a_deck_and_stop_in_order(
    url: str, tmp_path: Path
) -> None:
    until_s = time.monotonic() + 30
    while True:
        try:
            assert requests.get(f"{url}/readyz", timeout=5).status_code == 200
            break
        except requests.ConnectionError:
            assert time.monotonic() < until_s
            time.sleep(0.2)
    deck = {"slides": [{"title": f"page {number}"} for number in range(4)], "style_prompt": "calm"}
    answer = requests.post(f"{url}/api/slide/batch/generate", json=deck, timeout=60).json()
    assert (answer["successful"], answer["failed"]) == (4, 0)
    picture = requests.get(url + answer["results"][0]["image_url"], timeout=5)
    assert picture.headers["Content-Type"].startswith("image/")
    second = run_script(tmp_path, PORT=0)
    assert second.returncode == 1
    assert second.stdout == (
        "make run-cluster runs in this folder already, or what it started has not ended\n"
    )
    assert requests.get(f"{url}/readyz", timeout=5).status_code == 200


def test_port_that_is_taken_ends_all_with_a_word_and_a_code(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_script(tmp_path, PORT=taken.getsockname()[1])
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr
    assert ended.stdout.count("has ended: stopping the others") == 1


def test_command_that_only_is_asked_for_and_cannot_be_installed_is_named(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "SLIDELOOM_ONLY": "redis-server"}
    for name in ("id", "true"):
        (tmp_path / name).symlink_to("/bin/true")  # `id -u` says nothing: no root
    asked = subprocess.run(
        ["/bin/sh", str(TOOLS)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 1
    assert asked.stdout == "redis-server is needed; install it first\n"
    assert not (tmp_path / ".venv").exists()


def run_script(folder: Path, **settings: object) -> "subprocess.CompletedProcess[str]":
    """Run it to its end."""
    return subprocess.run(
        ["sh", str(SCRIPT)],
        cwd=folder,
        env=serve_environ(SLIDELOOM=SLIDELOOM, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
