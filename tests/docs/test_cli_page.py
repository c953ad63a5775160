"""The command line's page names every command, option and exit code."""

import re
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App

from slideloom.cli.commands import app
from slideloom.cli.exits import Exit

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text(encoding="utf-8")


def commands(under: App, way: str = "slideloom") -> Iterator[tuple[str, App]]:
    """Every command that does something, by what is typed."""
    for name in under:
        if not name.startswith("-"):
            command = under[name]
            if command.default_command is None:
                yield from commands(command, f"{way} {name}")
            else:
                yield f"{way} {name}", command


def options(command: App) -> set[str]:
    """Its options, as typed."""
    names = (name for one in command.assemble_argument_collection() for name in one.names)
    return {name for name in names if name.startswith("-")}


def test_every_command_stands_in_the_page() -> None:
    assert [way for way, _ in commands(app) if f"| `{way}" not in PAGE] == []
    assert len(list(commands(app))) == 10


def test_every_option_stands_in_the_page_with_its_commands() -> None:
    rows = re.findall(r"^\| (`-.+?) \| (.+?) \|", PAGE, re.MULTILINE)
    told = {
        (name, way)
        for names, ways in rows
        for name in re.findall(r"`(-[\w-]+)`", names)
        for way in (ALL_BUT_SERVERS if ways == "all but serve and worker" else ways.split(", "))
    }
    there = {
        (name, way.removeprefix("slideloom "))
        for way, command in commands(app)
        for name in options(command)
    }
    assert there ^ told == set()


def test_every_exit_code_stands_in_the_page() -> None:
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(int(code)) for code in Exit]


def test_every_command_has_its_line_in_the_list() -> None:
    assert [way for way, command in commands(app) if not command.help] == []


ALL_BUT_SERVERS = [
    way.removeprefix("slideloom ")
    for way, _ in commands(app)
    if way not in {"slideloom serve", "slideloom worker"}
]
