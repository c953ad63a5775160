"""`slideloom check`: what it finds, in words, without paying."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slideloom.checkup import Finding, check_all
from slideloom.settings import Settings
from tests.support.process import SLIDELOOM, serve_environ
from tests.support.redis_server import redis_server
from tests.support.upstream import Plan, spawn_upstream

pytestmark = pytest.mark.slow
KEY = "sk-canary-0123456789"


def run_check(folder: Path, *options: str, **settings: object) -> tuple[int, str]:
    """Exit code and all output."""
    ran = subprocess.run(
        [SLIDELOOM, "check", *options],
        cwd=folder,
        env=serve_environ(**settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_fresh_folder_is_well_and_nothing_is_made_in_it(tmp_path: Path) -> None:
    code, said = run_check(tmp_path)
    assert code == 0, said
    assert "embedded renderer" in said
    assert list(tmp_path.iterdir()) == []


def test_who_could_make_decks_is_told_and_what_would_not_start_is_refused(tmp_path: Path) -> None:
    code, said = run_check(tmp_path, HOST="0.0.0.0")  # noqa: S104 - nothing is bound
    assert code == 1
    assert "set API_TOKENS, or start with --insecure" in said
    tokens = "alice:0123456789abcdef,bob:fedcba9876543210"
    code, said = run_check(tmp_path, HOST="0.0.0.0", API_TOKENS=tokens)  # noqa: S104
    assert (code, "tokens of alice, bob" in said) == (0, True)
    assert "0123456789abcdef" not in said


def test_bad_setting_and_full_disk_are_named(tmp_path: Path) -> None:
    assert run_check(tmp_path, PORT="x")[0] == 2
    code, said = run_check(tmp_path, MIN_FREE_MB=10**9)
    assert code == 1
    assert "wanted" in said


@pytest.mark.parametrize(
    ("api", "wrong_key", "exit_code"),
    # Where the list of models is public, a key says nothing by it.
    [("images", "none", 0), ("auto", "none", 0), ("gemini", "account", 4)],
)
async def test_key_is_tried_at_the_provider_without_paying(
    tmp_path: Path, api: str, wrong_key: str, exit_code: int
) -> None:
    async with spawn_upstream() as upstream:
        await upstream.reset(Plan(keys=(KEY,)))
        settings: dict[str, Any] = {
            "LLM_IMAGE_API": api,
            "LLM_IMAGE_API_BASE": upstream.base_url,
            "LLM_IMAGE_API_KEY": f"{KEY},sk-wrong-0123456789",
        }
        code, said = await asyncio.to_thread(run_check, tmp_path, "--json", **settings)
        report = await upstream.fetch_report()
    findings = {finding["part"]: finding for finding in json.loads(said)}
    assert code == exit_code, said
    assert findings["key 1 of 2"]["trouble"] == "none", findings
    assert findings["key 2 of 2"]["trouble"] == wrong_key
    assert KEY not in said
    assert report.bill.calls == []


def test_provider_that_is_not_there_is_exit_code_5(tmp_path: Path) -> None:
    code, said = run_check(
        tmp_path, LLM_IMAGE_API_KEY=KEY, LLM_IMAGE_API_BASE="http://127.0.0.1:9/v1"
    )
    assert code == 5, said
    assert "127.0.0.1:9" in said


# Redis servers.


async def redis_findings(settings: Settings) -> list[Finding]:
    found = [finding async for finding in check_all(settings, ())]
    return [finding for finding in found if finding.part in {"STORE", "QUEUE"}]


async def test_servers_are_reached_for_store_and_queue_and_doubts_are_told(tmp_path: Path) -> None:
    with redis_server(tmp_path, requirepass="hush", appendonly="no") as server:
        url = f"redis://:hush@127.0.0.1:{server.port}/0"
        found = await redis_findings(Settings(store=url, queue=url))
        wrong = await redis_findings(Settings(store=url.replace("hush", "wr0ng")))
    place = f"127.0.0.1:{server.port}"
    assert [(one.part, one.trouble) for one in found] == [
        ("STORE", "none"),
        ("STORE", "doubt"),
        ("QUEUE", "none"),
        ("QUEUE", "doubt"),
    ]
    assert re.fullmatch(rf"Redis [\d.]+ answers at {place}", found[0].words)
    assert "appendonly off" in found[1].words
    assert [one.trouble for one in wrong] == ["here"]
    assert f"Redis at {place} does not accept the user or password" in wrong[0].words
    assert not re.search("hush|wr0ng", repr(found + wrong))


def test_server_that_lets_us_not_in_is_told_in_words_without_the_password(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis", requirepass="open-sesame") as server:
        url = f"redis://:wr0ng-word@127.0.0.1:{server.port}/0"
        code, said = run_check(tmp_path, STORE=url, QUEUE=url, LC_ALL="zh_CN.UTF-8")
        assert code == 1, said
        assert f"NO  STORE：127.0.0.1:{server.port} 上的 Redis 不接受该用户或密码" in said
        assert "wr0ng" not in said
        url = url.replace("wr0ng-word", "open-sesame")
        code, said = run_check(tmp_path, STORE=url, QUEUE=url)
    assert code == 0, said
    assert "ok  QUEUE: Redis " in said
    assert "sesame" not in said


async def test_server_that_is_not_there_or_no_address_is_the_operators_trouble() -> None:
    away, odd = "redis://:hush@127.0.0.1:9/0", "http://:hush@there"
    found = await redis_findings(Settings(store=away, queue=odd))
    assert [(one.part, one.trouble) for one in found] == [("STORE", "here"), ("QUEUE", "here")]
    assert "Redis at 127.0.0.1:9 cannot be used" in found[0].words
    assert "is not like redis://" in found[1].words
    assert "hush" not in repr(found)


async def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "slideloom.stores.redis_link", raising=False)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    (found,) = await redis_findings(Settings(store="redis://there"))
    assert found.trouble == "here"
    assert found.words.endswith("is missing: install slideloom[cluster]")


async def test_without_store_and_queue_nothing_is_said_of_them() -> None:
    assert await redis_findings(Settings()) == []
