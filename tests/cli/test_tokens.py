"""Tokens on the command line: where they come from, where they go, what is said without one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from slideloom.cli.generate import _same_command
from slideloom.cli.output import Manner
from slideloom.cli.reach import is_near
from tests.cli.conftest import Ran, Run, run_here
from tests.support.service import running_service

TOKEN = "canary-5e1f0c77"  # noqa: S105 - nobody's
READY = msgspec.json.encode({"ready": True, "provider": "p", "model": "m", "checks": {}})


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIDELOOM_TOKEN", raising=False)


@asynccontextmanager
async def refusing(
    status: int, code: str, *, until: int = 99
) -> AsyncIterator[tuple[str, list[str]]]:
    """A service that is ready, and refuses everything; its address, and what came.

    From request number `until` on it is because there is no such thing.
    """
    came: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append((await reader.readuntil(b"\r\n\r\n")).decode())
        is_probe = " /readyz " in came[-1]
        now, why = (status, code) if len(came) < until else (404, "not_found")
        refusal = msgspec.json.encode({"status": now, "code": why, "detail": f"it is {why}"})
        body, line = (READY, "200 OK") if is_probe else (refusal, f"{now} No")
        head = f"HTTP/1.1 {line}\r\nContent-Length: {len(body)}\r\nRetry-After: 90\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", came


async def ask(url: str, *options: str) -> Ran:
    return await asyncio.to_thread(run_here, "status", "--server", url, *options)


async def test_token_is_the_options_else_the_environments_else_that_of_the_env_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    def shown() -> str:
        return next(line for line in came[-1].splitlines() if "Authorization" in line)

    async with refusing(401, "unauthorized") as (url, came):
        Path(".env").write_text("SLIDELOOM_TOKEN=of-the-file\n")
        await ask(url)
        assert shown() == "Authorization: Bearer of-the-file"
        monkeypatch.setenv("SLIDELOOM_TOKEN", "of-the-environment")
        await ask(url)
        assert shown() == "Authorization: Bearer of-the-environment"
        await ask(url, "--token", "of-the-option")
        assert shown() == "Authorization: Bearer of-the-option"


async def test_whoever_listens_where_nobody_was_named_is_shown_no_token_before_it_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLIDELOOM_URL", raising=False)
    monkeypatch.setenv("SLIDELOOM_TOKEN", TOKEN)
    async with refusing(401, "unauthorized") as (url, came):
        Path(".env").write_text(f"PORT={url.rpartition(':')[2]}\n")
        assert (await asyncio.to_thread(run_here, "status")).code == 4
    assert [TOKEN in request for request in came] == [False, True]


@pytest.mark.parametrize(
    ("locale", "without", "wrong"),
    [("C.UTF-8", "wants a token", "does not take th"), ("zh_CN.UTF-8", "需要令牌", "不接受")],
)
async def test_refused_token_is_exit_4_and_says_what_to_set(
    locale: str, without: str, wrong: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", locale)
    async with refusing(401, "unauthorized") as (url, _):
        ran = await ask(url)
        assert ran.code == 4
        assert without in ran.err
        assert "SLIDELOOM_TOKEN" in ran.err
        ran = await ask(url, "--token", TOKEN, "--json")
        assert (ran.code, ran.json["error"]["code"]) == (4, "unauthorized")
        assert wrong in ran.json["error"]["detail"]
        assert "--token" in ran.err
        assert TOKEN not in ran.out + ran.err
        monkeypatch.setenv("SLIDELOOM_TOKEN", TOKEN)
        ran = await ask(url)
        assert wrong in ran.err
        assert "SLIDELOOM_TOKEN" in ran.err


async def test_day_whose_money_is_spent_is_exit_4_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    async with refusing(429, "daily_cost_limit") as (url, came):
        ran = await ask(url)
        assert (ran.code, len(came)) == (4, 2)
        assert "it is daily_cost_limit" in ran.err


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("C.UTF-8", "Waiting 90 s: it is too_many_requests\n"),
        ("zh_CN.UTF-8", "等待 90 秒：it is too_many_requests\n"),
    ],
)
async def test_long_wait_is_told_once_on_stderr_unless_quiet_is_wanted(
    locale: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", locale)

    async def pass_at_once(_: float) -> None:
        """As if it were over."""

    async with refusing(429, "too_many_requests", until=4) as (url, came):
        monkeypatch.setattr("slideloom.client.pauses.asyncio.sleep", pass_at_once)
        ran = await ask(url, "--json")
        assert len(came) == 4
        assert ran.err.startswith(words)
        assert ran.err.count("90") == 1
        assert ran.json["error"]["code"] == "not_found"
        came.clear()
        assert words not in (await ask(url, "-q")).err


@pytest.mark.slow
async def test_deck_is_made_and_shown_with_the_token_that_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [])
    Path("deck.md").write_text("# A")
    pairs = f"alice:{TOKEN}-of-alice,bob:{TOKEN}-of-bob"
    async with running_service(tmp_path, API_TOKENS=pairs) as service:
        monkeypatch.setenv("SLIDELOOM_URL", service.url)

        async def run(*arguments: object) -> Ran:
            return await asyncio.to_thread(run_here, *arguments, "--json")

        monkeypatch.setenv("SLIDELOOM_TOKEN", f"{TOKEN}-of-alice")
        made = await run("generate", "deck.md", "--pdf")
        assert (made.code, len(made.json["pictures"])) == (0, 1), made
        batch_id = made.json["batch_id"]
        assert (await run("status", batch_id)).code == 0
        assert (await run("watch", batch_id)).code == 0
        monkeypatch.setenv("SLIDELOOM_TOKEN", f"{TOKEN}-of-bob")
        assert (await run("status", batch_id)).json["error"]["code"] == "not_found"
        assert (await run("status")).json["batches"] == []
        monkeypatch.setenv("SLIDELOOM_TOKEN", "wrong")
        for command in ("status", "watch", "retry", "cancel"):
            assert (await run(command, batch_id)).code == 4, command
        assert (await run("export", batch_id, "deck.zip")).code == 4
        assert (await run("generate", "deck.md")).code == 4


@pytest.mark.slow
def test_service_of_the_commands_own_wants_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.delenv("SLIDELOOM_URL", raising=False)
    Path("deck.md").write_text("# A")
    Path(".env").write_text(f"API_TOKENS=alice:{TOKEN}\nPORT=9\nLLM_IMAGE_API=local\n")
    ran = run_here("generate", "deck.md", "--json")
    assert (ran.code, ran.json["successful"]) == (0, 1), ran


async def test_folder_of_somebody_else_gets_no_token_sent_where_it_says(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slideloom.cli.reach._FIRST_CONTACT_S", 0.1)
    Path("deck.md").write_text("# A")
    await run("generate", "deck.md", "-o", "out")
    state = json.loads(Path("out/.slideloom.json").read_text())
    monkeypatch.delenv("SLIDELOOM_URL")
    monkeypatch.setenv("SLIDELOOM_TOKEN", TOKEN)
    async with refusing(401, "unauthorized") as (url, came):
        Path("out/.slideloom.json").write_text(json.dumps(state | {"server": url}))
        with monkeypatch.context() as patch:
            patch.setattr("slideloom.cli.generate.is_near", lambda _: False)
            ran = await run("generate", "deck.md", "-o", "out")
            assert ran.code == 4
            assert f"No token for {url}" in ran.err
            assert TOKEN not in "".join(came)
            await run("generate", "deck.md", "-o", "out", "--server", url)
            assert TOKEN in came[-1], "its user names it"
        await run("generate", "deck.md", "-o", "out")
        assert TOKEN in came[-1], "it is this machine's"


@pytest.mark.parametrize(
    ("server", "is_ours"),
    [
        ("http://localhost:9000", True),
        ("[::1]:9000", True),
        ("http://service.example.org:8000", False),
        ("http://localhost.example.org", False),
        ("http://localhost@example.org", False),
    ],
)
def test_service_is_near_when_it_is_this_machines(server: str, *, is_ours: bool) -> None:
    assert is_near(server) is is_ours


def test_what_is_printed_to_be_typed_again_holds_no_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "sys.argv", ["slideloom", "generate", "a", "--token", TOKEN, f"--token={TOKEN}", "-q"]
    )
    assert _same_command("--retry") == "slideloom generate a -q --retry"


def test_token_is_in_no_repr_of_the_options() -> None:
    assert TOKEN not in repr(Manner(token=TOKEN))


def test_help_names_the_variable_and_shows_no_value_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIDELOOM_TOKEN", TOKEN)
    ran = run_here("status", "--help")
    assert "SLIDELOOM_TOKEN" in ran.out
    assert TOKEN not in ran.out
