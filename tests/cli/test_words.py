"""What people read: plural and singular, both languages, nothing said by halves."""

import re
import string
from pathlib import Path

import pytest

from slideloom import cli
from slideloom.cli.serve import to_greeting
from slideloom.cli.tables import format_seconds
from slideloom.cli.words import _CHINESE, tell_count, translate
from slideloom.client import AsyncClient
from tests.cli.conftest import Run, run_here
from tests.support.orders import deck
from tests.support.service import Running

CODE = "".join(
    path.read_text("utf-8")
    for path in Path(cli.__file__).parent.glob("*.py")
    if path.name != "words.py"
)
STATES = {"pending", "running", "completed", "failed"}
"""Told by the service."""


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_sentence_is_said_somewhere_and_has_the_same_facts_in_both_languages() -> None:
    for english, chinese in _CHINESE.items():
        assert places(english) == places(chinese)
        assert english in CODE or english in STATES, english
    said = re.findall(r'\btell\(\s*"([^"]+)"', CODE)
    assert len(said) > 10
    assert [text for text in said if text not in _CHINESE] == []


def test_one_is_not_said_as_many() -> None:
    assert tell_count(1, "1 page", "{count} pages") == "1 page"
    assert tell_count(2, "1 page", "{count} pages") == "2 pages"
    assert [format_seconds(s) for s in (9, 60, 61)] == ["9.0 s", "1 min", "1 min 1 s"]


def test_service_says_at_its_start_what_was_left_open() -> None:
    def greet(resumed: int, cut_off: int) -> list[str]:
        return to_greeting(
            "http://x",
            provider="images",
            model="m",
            has_key=True,
            resumed_count=resumed,
            cut_off_count=cut_off,
        )

    assert greet(0, 0) == [
        "Slideloom is at http://x - stop it with Ctrl-C.",
        "Pictures come from m (images).",
    ]
    assert greet(1, 0)[2:] == ["Going on with 1 unfinished deck."]
    assert greet(3, 2)[2:] == [
        "Going on with 3 unfinished decks.",
        "2 slides were cut off and may have been billed.",
    ]


@pytest.mark.parametrize(
    ("finding", "chinese"),
    [
        ("data can be written, 7 MB free", "data 可写，剩余 7 MB"),
        (
            "x.org answers and lists 3 models, m among them; n and o not among them",
            "x.org 有应答，列出 3 个模型，其中有 m；其中没有 n and o",
        ),
        (
            "answers; whether it takes the key shows at the first picture",
            "answers；密钥是否有效要到第一张图才知道",
        ),
        ("m: $0.01 to $0.02 a picture", "m：每张 $0.01 至 $0.02"),
        ("Redis 7.0.15 answers at h:6379", "h:6379 上的 Redis 7.0.15 有应答"),
        (
            "Redis at h:6379 has appendfsync no, not always: an answered event may be lost",
            "h:6379 上的 Redis 的 appendfsync 为 no 而非 always：它崩溃时，已应答的事件可能丢失",
        ),
        (
            "Redis at h:1 does not let this user do what is needed with keys called p:*: GET",
            "h:1 上的 Redis 不允许该用户对名为 p:* 的键和频道进行所需的操作：GET",
        ),
        ("auth_failed: no such key", "auth_failed: no such key"),
    ],
)
def test_findings_are_chinese_where_the_locale_is(
    finding: str, chinese: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert translate(finding) == finding
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert translate(finding) == chinese


async def test_results_greeting_and_check_are_chinese_where_the_locale_is(
    run: Run, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(2))
        await batch.wait()
    assert "已完成  完成 2/2，" in (await run("status", batch.id)).out
    assert "（请求 " in (await run("status", "x")).err
    assert "已启动" in to_greeting("x", provider="local", model="", has_key=False)[0]
    assert "IMAGE_OUTPUT_DIR：static/assets 可写" in (await run("check")).out


@pytest.mark.parametrize("folder", ["/proc/x", "deck.md"])
def test_folder_that_cannot_be_is_one_sentence(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.chdir(tmp_path)
    Path("deck.md").write_text("# A")
    ran = run_here("generate", "deck.md", "-o", folder, "--server", "http://127.0.0.1:9")
    assert ran.code == 2
    assert ran.err.startswith(f"slideloom: Pictures cannot be saved in {folder}: ")
    assert "Errno" not in ran.err


async def test_file_that_cannot_be_written_is_one_sentence(run: Run, service: Running) -> None:
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(1))
        await batch.wait()
    ran = await run("export", batch.id, "/proc/deck.zip")
    assert (ran.code, "Errno" in ran.err) == (1, False)
    assert "cannot be read or written" in ran.err


async def test_price_line_names_what_comes_from_the_cache(run: Run) -> None:
    Path("deck.md").write_text("# A\n# B")
    assert (await run("generate", "deck.md", "-o", "one")).code == 0
    ran = await run("generate", "deck.md", "-o", "two", "--dry-run")
    assert ran.out.startswith("2 slides from scripted (")
    assert ", 2 from the cache, nothing to pay, about " in ran.out


async def test_cancelled_batch_is_called_so(run: Run, service: Running) -> None:
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(30, max_workers=1))
        await batch.cancel()
        await batch.wait()
    assert f"{batch.id}  cancelled  " in (await run("status", batch.id)).out
    assert f"{batch.id}\tcancelled\t" in (await run("status")).out
