"""Every command against a running service: what it prints, and how it ends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from slideloom.cli.reach import default_url
from slideloom.client import AsyncClient
from slideloom.errors import AuthFailed, ContentBlocked
from tests.cli.conftest import Run, run_here
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service

MARKDOWN = "# Hello\n\n- one\n\n# Why\n\n![a river](x.png)\n\n# Thanks\n"


@pytest.fixture
def deck_file(service: Running) -> Path:
    path = service.folder / "talk.md"
    path.write_text(MARKDOWN)
    return path


async def test_deck_becomes_pictures_and_files_in_a_folder(
    run: Run, deck_file: Path, provider: ScriptedProvider
) -> None:
    ran = await run("generate", deck_file, "--style", "calm", "--pptx", "--pdf", "--zip")
    assert ran.code == 0, ran
    folder = deck_file.parent / "talk"
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    pictures = {"slide_001.png", "slide_002.png", "slide_003.png"}
    assert names == pictures | {"talk.pptx", "talk.pdf", "talk.zip"}
    assert "3 pictures are in talk" in ran.out
    assert "✓" in ran.err
    assert "✓" not in ran.out, "progress is on stderr only"
    assert {call.ratio.width for call in provider.calls} == {16}
    assert "calm" in provider.calls[0].prompt


async def test_second_run_pays_nothing_and_fetches_nothing(
    run: Run, deck_file: Path, provider: ScriptedProvider
) -> None:
    first = await run("generate", deck_file, "-o", "out", "--no-cache", "--json")
    inodes = [path.stat().st_ino for path in Path("out").glob("*.png")]
    second = await run("generate", deck_file, "-o", "out", "--no-cache", "--json", "-q")
    assert first.json["batch_id"] == second.json["batch_id"]
    assert [path.stat().st_ino for path in Path("out").glob("*.png")] == inodes
    assert len(provider.calls) == 3
    assert second.err == ""
    other = await run("generate", deck_file, "-o", "new", "--no-cache", "--json")
    assert other.json["batch_id"] != first.json["batch_id"]


async def test_run_cut_off_before_the_answer_finds_its_batch_by_the_key(
    run: Run, deck_file: Path, provider: ScriptedProvider
) -> None:
    first = await run("generate", deck_file, "-o", "out", "--json")
    state = json.loads(Path("out/.slideloom.json").read_text())
    Path("out/.slideloom.json").write_text(json.dumps(state | {"batch_id": None, "pictures": None}))
    again = await run("generate", deck_file, "-o", "out", "--json")
    assert again.json["batch_id"] == first.json["batch_id"]
    Path("out/.slideloom.json").unlink()
    again = await run("generate", deck_file, "-o", "out", "--json")
    assert again.json["batch_id"] != first.json["batch_id"]
    assert len(provider.calls) == 3, "another order, made from the cache"


async def test_deck_that_is_whole_at_home_is_not_ordered_again_when_its_record_is_gone(
    run: Run, deck_file: Path, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slideloom.cli.reach._FIRST_CONTACT_S", 0.1)
    await run("generate", deck_file, "-o", "out")
    state = json.loads(Path("out/.slideloom.json").read_text())
    Path("out/.slideloom.json").write_text(json.dumps(state | {"batch_id": "gone"}))
    ran = await run("generate", deck_file, "-o", "out", "--json")
    assert (ran.code, ran.json["status"], len(ran.json["pictures"])) == (0, "completed", 3)
    ran = await run("generate", deck_file, "-o", "out", "--pdf", "--server", "127.0.0.1:9")
    assert ran.code == 5
    state["server"] = "http://127.0.0.1:9"
    Path("out/.slideloom.json").write_text(json.dumps(state))
    monkeypatch.delenv("SLIDELOOM_URL")
    assert (await run("generate", deck_file, "-o", "out")).code == 0, "nobody is needed for that"
    assert (await run("generate", deck_file, "-o", "out", "--pdf")).code == 5
    assert len(provider.calls) == 3


async def test_failed_slides_are_made_again_only_when_that_is_wanted(
    run: Run, deck_file: Path, provider: ScriptedProvider
) -> None:
    provider._script = iter([ContentBlocked("no")])
    ran = await run("generate", deck_file, "-o", "out", "--workers", 1)
    assert ran.code == 3
    assert "content_blocked" in ran.err
    assert "--retry" in ran.err
    ran = await run("generate", deck_file, "-o", "out", "--workers", 1)
    assert ran.code == 3
    assert not {"✓", "✗"} & set(ran.err), "what is old is not told as if it happened now"
    assert len(provider.calls) == 3
    ran = await run("generate", deck_file, "-o", "out", "--workers", 1, "--retry")
    assert ran.code == 0
    assert (ran.err.count("✓"), ran.err.count("✗")) == (1, 0)
    assert len(provider.calls) == 4
    assert len(list(Path("out").glob("*.png"))) == 3


async def test_retry_is_not_named_where_only_money_was_short(run: Run, deck_file: Path) -> None:
    ran = await run("generate", deck_file, "--workers", 1, "--max-cost", 0.05)
    assert ran.code == 3
    assert "Raise max_cost_usd" in ran.err
    assert "--retry" not in ran.err


async def test_dry_run_says_the_price_and_pays_nothing(
    run: Run, deck_file: Path, provider: ScriptedProvider
) -> None:
    ran = await run("generate", deck_file, "--dry-run", "--json")
    assert (ran.code, ran.json["calls"], provider.calls) == (0, 3, [])
    assert not Path("talk").exists()
    assert "3 slides from scripted" in (await run("generate", deck_file, "--dry-run")).out


async def test_options_are_those_of_the_request(run: Run, provider: ScriptedProvider) -> None:
    Path("deck.json").write_text(json.dumps(deck(2, aspect_ratio="1:1", model="from-deck")))
    options = ("--ratio", "4:3", "--model", "other", "--max-cost", "5", "--workers", "2")
    ran = await run("generate", "deck.json", *options, "--json")
    assert ran.code == 0
    assert ran.json["aspect_ratio"] == "4:3"
    assert ran.json["max_workers"] == 2
    assert {call.model for call in provider.calls} == {"other"}


@pytest.mark.parametrize("amount", ["nan", "inf"])
async def test_limit_that_is_no_amount_is_not_taken_for_no_limit(
    run: Run, deck_file: Path, provider: ScriptedProvider, amount: str
) -> None:
    ran = await run("generate", deck_file, "--max-cost", amount, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "usage")
    assert provider.calls == []


async def test_damaged_memory_of_a_folder_is_none(run: Run, deck_file: Path) -> None:
    Path("out").mkdir()
    Path("out/.slideloom.json").write_bytes(b'{"unknown":' + b"[" * 100_000)
    assert (await run("generate", deck_file, "-o", "out")).code == 0


async def test_password_of_an_address_is_not_shown(run: Run) -> None:
    ran = await run("status", "--json", "--server", "http://someone:pa55word@127.0.0.1:9")
    assert ran.code == 5
    assert "pa55word" not in ran.out + ran.err


async def test_status_is_a_list_or_one_batch(run: Run, service: Running) -> None:
    assert "no batches" in (await run("status")).err
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(2))
        await batch.wait()
    listed = await run("status", "--limit", 5, "--json")
    assert [one["batch_id"] for one in listed.json["batches"]] == [batch.id]
    assert batch.id in (await run("status")).out
    shown = await run("status", batch.id)
    assert "s1\tdone" in shown.out
    assert "2/2 done" in shown.out
    assert (await run("status", batch.id, "--json")).json["successful"] == 2


async def test_titles_cannot_move_the_cursor(run: Run, service: Running) -> None:
    async with AsyncClient(service.url) as client:
        batch = await client.generate(slides=[{"title": "\x1b[31mred\n[bold]x"}])
        await batch.wait()
    shown = await run("status", batch.id)
    assert "\x1b" not in shown.out
    assert "[bold]x" in shown.out


async def test_watch_gives_each_event_as_a_line(run: Run, service: Running) -> None:
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(2))
    ran = await run("watch", batch.id, "--json")
    assert ran.code == 0
    assert [line["id"] for line in ran.json_lines] == list(range(1, len(ran.json_lines) + 1))
    assert ran.json_lines[-1]["event"] == "batch.finished"
    assert ran.json_lines[0]["data"]["batch_id"] == batch.id
    plain = await run("watch", batch.id)
    assert "2/2 done" in plain.out
    assert "page 1  Title 1" in plain.err


async def test_events_as_lines_are_those_of_the_service(
    run: Run, service: Running, provider: ScriptedProvider
) -> None:
    provider._script = iter([ContentBlocked("no")])
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(1))
        await batch.wait()
    lines = (await run("watch", batch.id, "--json")).json_lines
    async with service.client.ws_connect(f"{service.url}/api/slide/batch/{batch.id}/ws") as socket:
        assert [await socket.receive_json() for _ in lines] == lines


async def test_retry_cancel_and_export(
    run: Run, service: Running, provider: ScriptedProvider
) -> None:
    provider._script = iter([ContentBlocked("no"), ContentBlocked("no")])
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(2))
        await batch.wait()
    refused = await run("export", batch.id, "deck.pptx", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "no_pictures")
    one = await run("retry", batch.id, "--slide", "s2", "--wait", "--json")
    assert (one.code, one.json["successful"]) == (3, 1)
    assert ("✓" in one.err, "✗" in one.err) == (True, False), "only what is new"
    one = await run("retry", batch.id, "--slide", "s2")
    assert (one.code, "what was named is done" in one.err) == (0, True)
    made = await run("export", batch.id, "deck.zip")
    assert made.out == "deck.zip\n"
    assert "Without page 1," in made.err
    assert (await run("retry", batch.id, "--wait")).code == 0
    for more in ((), ("--wait",)):
        again = await run("retry", batch.id, *more)
        assert again.code == 0
        assert again.err == "Nothing to make again: every slide is done.\n"
    assert (await run("export", batch.id, "deck.pdf", "--json")).json["missing"] == []
    assert "It had already ended." in (await run("cancel", batch.id)).err
    assert (await run("cancel", batch.id, "--json")).json["status"] == "completed"
    refused = await run("export", batch.id, "deck.doc", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (2, "usage")


async def test_account_trouble_has_its_own_exit_code(
    run: Run, deck_file: Path, provider: ScriptedProvider
) -> None:
    provider._script = iter([AuthFailed("no")] * 3)
    ran = await run("generate", deck_file)
    assert ran.code == 4
    assert ran.err.count("refused the API key") == 1
    assert "3 slides: The image provider refused the API key" in ran.err
    assert ran.err.index("slideloom check") < ran.err.index("--retry")


@pytest.mark.slow
async def test_time_that_is_up_is_exit_code_5_and_the_batch_goes_on(
    run: Run, deck_file: Path, service: Running, provider: ScriptedProvider
) -> None:
    provider._seconds = 1.0
    ran = await run("generate", deck_file, "--timeout", "0.2", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (5, "wait_timeout")
    assert "slideloom generate" in ran.err, "how to come back to it"
    async with AsyncClient(service.url) as client:
        (batch,) = (await client.list()).batches
        assert batch.status == "running"
    assert (await run("watch", batch.batch_id, "--timeout", "0.05")).code == 5
    assert (await run("generate", deck_file, "-q")).code == 0
    assert len(provider.calls) == 3


@pytest.mark.parametrize("place", ["slideloom.cli.batches.reach", "cyclopts.App.__call__"])
async def test_ctrl_c_is_exit_code_130_and_one_json_object(
    run: Run, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupt)
    ran = await run("status", "--json")
    assert (ran.code, ran.json["error"]["code"], ran.err) == (130, "interrupted", "")
    assert (await run("status")).out == ""


async def test_ctrl_c_after_the_answer_adds_nothing_to_it(
    run: Run, deck_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("slideloom.cli.generate.put_slides", interrupt)
    ran = await run("generate", deck_file, "--json")
    assert (ran.code, ran.json["status"]) == (130, "completed")


async def test_what_is_not_there_is_exit_code_1(run: Run) -> None:
    for command in (("status", "x"), ("watch", "x"), ("cancel", "x"), ("export", "x", "a.pdf")):
        ran = await run(*command, "--json")
        assert (ran.code, ran.json["error"]["code"]) == (1, "not_found")
        assert ran.json["error"]["request_id"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nonsense",), 2),
        (("generate",), 2),
        (("status", "--limit", "many"), 2),
        (("generate", "nowhere.md"), 1),
        (("status", "--server", "http://127.0.0.1:9"), 5),
        (("--help",), 0),
        (("--version",), 0),
    ],
)
def test_every_end_has_its_code(
    arguments: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.setattr("slideloom.cli.reach._FIRST_CONTACT_S", 0.1)
    assert run_here(*arguments).code == code
    if code:
        assert run_here(*arguments, "--json").json["error"]["detail"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--ratio", "banana"),
        ("--ratio", ""),
        ("--workers", "0"),
        ("--max-cost", "-1"),
        ("--max-cost", "nan"),
        ("--timeout", "-1"),
    ],
)
def test_wrong_option_is_named_before_anything_is_read(
    option: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [])
    ran = run_here("generate", "nowhere.md", f"{option}={value}", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "usage")
    assert option in ran.json["error"]["detail"]
    assert "body" not in ran.json["error"]["detail"]


def test_chinese_where_the_locale_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    monkeypatch.setattr("slideloom.cli.reach._FIRST_CONTACT_S", 0.1)
    assert "没有 Slideloom 服务" in run_here("status", "--server", "http://127.0.0.1:9").err


async def test_prefix_of_the_api_is_that_of_the_settings(
    provider: ScriptedProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del provider
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("API_PREFIX=/v1\n")
    async with running_service(tmp_path, API_PREFIX="/v1") as service:
        ran = await asyncio.to_thread(run_here, "status", "--server", service.url, "--json")
    assert (ran.code, ran.json["batches"]) == (0, [])


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ("", "http://localhost:8000"),
        ("HOST=0.0.0.0\nPORT=81", "http://localhost:81"),
        ("HOST=192.0.2.7", "http://192.0.2.7:8000"),
        ("HOST=fe80::1", "http://[fe80::1]:8000"),
        ("HOST=192.0.2.7\nPORT=x", "http://localhost:8000"),
    ],
)
def test_service_is_looked_for_where_the_settings_have_it_listen(
    settings: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(settings)
    assert default_url() == url


@pytest.mark.parametrize("arguments", [("status", "x"), ("check",), ("generate", "deck.md")])
def test_ctrl_c_is_told_to_programs_too(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", [])
    monkeypatch.delenv("SLIDELOOM_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("slideloom.cli.check.load_settings", interrupt)
    monkeypatch.setattr("slideloom.cli.reach.load_settings", interrupt)
    (tmp_path / "deck.md").write_text(MARKDOWN)
    ran = run_here(*arguments, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (130, "interrupted")
    assert run_here(*arguments).out == ""


async def test_server_that_is_none_of_ours_is_not_taken_for_one(run: Run, service: Running) -> None:
    ran = await run("status", "--server", f"{service.url}/api", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "not_found")


def test_config_tells_each_value_and_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [])
    (tmp_path / ".env").write_text("BATCH_MAX_WORKERS=7\nLLM_API_KEY=sk-canary-0123456789,short\n")
    monkeypatch.setenv("LLM_TIMEOUT_SECONDS", "90")
    monkeypatch.setenv("LLM_API_BASE", "https://me:p@secret@example.org/v1")
    monkeypatch.setenv("BATCH_MAX_WORKRS", "8")
    ran = run_here("config", "show", "--port", "9000", "--json")
    assert ran.code == 0
    found: dict[str, Any] = {one["name"]: one for one in ran.json["settings"]}
    assert (found["PORT"]["value"], found["PORT"]["source"]) == (9000, "command line")
    assert (found["BATCH_MAX_WORKERS"]["value"], found["BATCH_MAX_WORKERS"]["source"]) == (
        7,
        ".env",
    )
    assert found["SLIDE_TIMEOUT_SECONDS"]["source"] == "environment (LLM_TIMEOUT_SECONDS)"
    assert found["LLM_API_KEY"]["value"] == "••••6789,••••"
    assert found["HOST"]["source"] == "default"
    assert "did you mean BATCH_MAX_WORKERS" in ran.json["warnings"][0]
    shown = run_here("config", "show").out
    assert not any(secret in shown + ran.out for secret in ("canary", "short", "secret"))
    monkeypatch.setenv("PORT", "x")
    assert run_here("config", "show").code == 2
