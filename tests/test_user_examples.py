"""The user's own text: its examples run as they are written there."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import Served, served

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data"
TEXT = (DATA / "user-api.md").read_text(encoding="utf-8")


def example(language: str, containing: str) -> str:
    """The one code block of `language` with those words in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    (found,) = (block for block in blocks if containing in block)
    return str(found)


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """On port 8000, which is the one in the user's text."""
    if not port_is_free(8000) and not os.environ.get("CI"):
        pytest.skip("port 8000 is in use, and the user's examples name it")
    with served(tmp_path_factory.mktemp("served"), PORT=8000) as running:
        yield running


def test_python_example_runs_word_for_word(service: Served) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", example("python", "requests.post")],
        cwd=service.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "成功: 1, 失败: 0" in ran.stdout
    assert "进度: 100.0%" in ran.stdout
    assert "状态: completed" in ran.stdout


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_javascript_example_runs_with_only_a_base_url_put_before_its_paths(
    service: Served,
) -> None:
    script = f"""
        const plain = globalThis.fetch;
        globalThis.fetch = (path, options) => plain({service.url!r} + path, options);
        {example("javascript", "batchGenerateSlides")}
        const slides = [{{ id: "a", title: "一" }}, {{ id: "b", title: "Two" }}];
        batchGenerateSlides(slides, "现代科技风格，蓝色调")
          .then((result) => pollBatchStatus(result.batch_id))
          .then((status) => console.log(JSON.stringify(status)));
    """
    ran = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    status = json.loads(ran.stdout)
    assert (status["status"], status["successful"]) == ("completed", 2)


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ("batch_generate_complete", r'"success_rate": 100\b'),
        ("slide_completed", r"Average: \d+\.?\d* seconds"),
    ],
)
def test_log_pipelines_print_their_numbers(service: Served, event: str, wanted: str) -> None:
    deck = json.dumps({"slides": [{"title": event}], "style_prompt": "batch_generate_complete"})
    call = urllib.request.Request(  # noqa: S310 - our own service
        f"{service.url}/api/slide/batch/generate",
        deck.encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(call).read()  # noqa: S310 - our own service
    block = example("bash", event)
    (pipeline,) = re.findall(rf'grep "{event}".*?(?=\n\n|\Z)', block, re.DOTALL)
    ran = subprocess.run(
        ["bash", "-c", "set -o pipefail; " + pipeline],
        cwd=service.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(wanted, ran.stdout)
    assert "null" not in ran.stdout
