"""`slideloom check`: what it finds, in words, without paying."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import SLIDELOOM, serve_environ
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
