"""`slideloom generate` as people run it: a service of its own, Ctrl-C, kill -9, a paid provider."""

import asyncio
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import SLIDELOOM, serve_environ, served
from tests.support.upstream import Plan, spawn_upstream

pytestmark = pytest.mark.slow


def start(folder: Path, *arguments: object, **settings: object) -> subprocess.Popen[str]:
    """Start a command in `folder`, where no service runs at the default port."""
    environ = serve_environ(**{"PORT": 9} | settings)
    environ.pop("SLIDELOOM_URL", None)
    return subprocess.Popen(
        [SLIDELOOM, *map(str, arguments)],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def write_deck(folder: Path, count: int) -> None:
    slides = [{"id": f"s{n}", "title": f"T{n}"} for n in range(count)]
    (folder / "deck.json").write_text(json.dumps({"slides": slides, "style_prompt": "calm"}))


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").glob("slide_*"))


def test_without_a_service_one_is_started_with_folders_of_its_own(tmp_path: Path) -> None:
    write_deck(tmp_path, 2)
    with served(tmp_path):  # its folders, at another port than the default one
        code, out, err = finish(start(tmp_path, "generate", "deck.json", "-o", "out", "--json"))
    assert code == 0, err
    assert len(json.loads(out)["pictures"]) == 2
    assert "making the deck here" in err
    assert (tmp_path / "out" / ".slideloom" / "data").is_dir()


def test_deck_made_here_needs_none_of_the_servers_the_settings_name(tmp_path: Path) -> None:
    write_deck(tmp_path, 1)
    gone = "redis://127.0.0.1:9/0"
    arguments = ("generate", "deck.json", "-o", "out", "--json")
    code, out, err = finish(start(tmp_path, *arguments, STORE=gone, QUEUE=gone))
    assert code == 0, err
    assert len(json.loads(out)["pictures"]) == 1


def test_two_commands_on_one_folder_do_not_meet(tmp_path: Path) -> None:
    write_deck(tmp_path, 60)
    first = start(tmp_path, "generate", "deck.json", "-o", "out", "-q", "--workers", 1)
    while not pictures(tmp_path):
        time.sleep(0.05)
    code, out, _ = finish(start(tmp_path, "generate", "deck.json", "-o", "out", "--json"))
    assert code == 1
    assert "in use by another" in json.loads(out)["error"]["detail"]
    first.send_signal(signal.SIGINT)
    assert finish(first)[0] == 130


async def wait_calls(upstream: Any, count: int) -> None:
    while (await upstream.fetch_report()).call_count < count:
        await asyncio.sleep(0.02)


async def test_ctrl_c_lets_paid_calls_end_and_the_next_run_pays_only_for_the_rest(
    tmp_path: Path,
) -> None:
    write_deck(tmp_path, 6)
    async with spawn_upstream(Plan(latency_s=0.7)) as upstream:
        settings = {"LLM_IMAGE_API_KEY": "sk-test", "LLM_IMAGE_API_BASE": upstream.base_url}
        command = ("generate", "deck.json", "-o", "out", "--workers", 2)
        first = start(tmp_path, *command, "--json", **settings)
        await wait_calls(upstream, 3)
        first.send_signal(signal.SIGINT)
        code, out, err = await asyncio.to_thread(finish, first)
        assert (code, json.loads(out)["error"]["code"]) == (130, "interrupted")
        state = json.loads((tmp_path / "out/.slideloom.json").read_text())
        assert json.loads(out)["error"]["batch_id"] == state["batch_id"]
        assert 0 < err.index("calls under way get 30 s") < err.index("Stopped. What is made")
        assert "slideloom generate deck.json -o out --workers 2" in err
        assert (await upstream.fetch_report()).call_count < 6
        code, _, err = await asyncio.to_thread(finish, start(tmp_path, *command, **settings))
        assert code == 0, err
        report = await upstream.fetch_report()
    assert len(pictures(tmp_path)) == 6
    assert (report.call_count, report.distinct_prompt_count) == (6, 6)


@pytest.mark.parametrize("after_calls", [1, 4])
async def test_kill_costs_no_call_more_than_those_under_way(
    tmp_path: Path, after_calls: int
) -> None:
    write_deck(tmp_path, 5)
    async with spawn_upstream(Plan(latency_s=0.3)) as upstream:
        settings = {"LLM_IMAGE_API_KEY": "sk-test", "LLM_IMAGE_API_BASE": upstream.base_url}
        command = ("generate", "deck.json", "-o", "out", "--workers", 1, "--json")
        first = start(tmp_path, *command, **settings)
        await wait_calls(upstream, after_calls)
        first.kill()
        await asyncio.to_thread(finish, first)
        code, out, _ = await asyncio.to_thread(finish, start(tmp_path, *command, **settings))
        report = await upstream.fetch_report()
        assert report.distinct_prompt_count == report.call_count == 5
        codes = {slide["error_code"] for slide in json.loads(out)["results"]} - {None}
        assert codes <= {"interrupted"}, "what was cut off is paid again only on demand"
        assert code == (3 if codes else 0)
        again = start(tmp_path, *command, "--retry", **settings)
        assert (await asyncio.to_thread(finish, again))[0] == 0
    assert len(pictures(tmp_path)) == 5


async def test_ctrl_c_detaches_from_a_running_service_which_goes_on(tmp_path: Path) -> None:
    write_deck(tmp_path, 4)
    async with spawn_upstream(Plan(latency_s=0.5)) as upstream:
        settings = {"LLM_IMAGE_API_KEY": "sk-test", "LLM_IMAGE_API_BASE": upstream.base_url}
        with served(tmp_path, **settings) as service:
            command = ("generate", "deck.json", "-o", "out", "--server", service.url)
            first = start(tmp_path, *command)
            await wait_calls(upstream, 1)
            first.send_signal(signal.SIGINT)
            code, out, err = await asyncio.to_thread(finish, first)
            assert (code, out) == (130, "")
            assert "Detached" in err
            assert f"slideloom generate deck.json -o out --server {service.url}" in err
            # The folder knows where its deck is made.
            again = start(tmp_path, "generate", "deck.json", "-o", "out")
            code, _, err = await asyncio.to_thread(finish, again)
            assert code == 0, err
            assert (await upstream.fetch_report()).call_count == 4
        gone = start(tmp_path, "generate", "deck.json", "-o", "out", "--pdf", "--json")
        code, out, _ = await asyncio.to_thread(finish, gone)
    assert (code, json.loads(out)["error"]["code"]) == (5, "unreachable")
    assert len(pictures(tmp_path)) == 4


def test_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    ran = subprocess.run(  # noqa: S602 - the pipe is the case
        f"{SLIDELOOM} config show --json | true; {SLIDELOOM} config show | head -1",
        shell=True,
        cwd=tmp_path,
        env=serve_environ(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.startswith("HOST")
