"""Small pictures in the terminal, and the bar: only where there is one."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from slideloom.cli.output import Manner, Output
from slideloom.cli.progress import reporting
from slideloom.cli.thumbnails import Way, find_way, show_sheet
from slideloom.client import AsyncClient
from tests.support.orders import deck
from tests.support.pictures import picture
from tests.support.service import Running


def terminal(**facts: object) -> Console:
    facts = {"force_terminal": True, "color_system": "truecolor", "width": 80} | facts
    return Console(file=io.StringIO(), **facts)  # type: ignore[arg-type]  # the case's own


@pytest.mark.parametrize(
    ("environ", "way"),
    [
        ({}, "blocks"),
        ({"KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"KITTY_WINDOW_ID": "1", "TMUX": "x"}, "blocks"),
    ],
)
def test_terminal_is_asked_for_what_it_can(environ: dict[str, str], way: Way) -> None:
    assert find_way(terminal(), environ) == way
    assert find_way(terminal(no_color=True), environ) is None
    assert find_way(terminal(force_terminal=False), environ) is None


def test_terminal_of_few_colours_gets_none() -> None:
    assert find_way(terminal(color_system="256"), {}) is None


@pytest.mark.parametrize("way", ["kitty", "iterm", "blocks"])
def test_sheet_shows_every_picture_within_the_width(tmp_path: Path, way: Way) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        path.write_bytes(picture())
    console = terminal()
    show_sheet(console, paths, way)
    drawn = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert drawn.startswith({"kitty": "\x1b_G", "iterm": "\x1b]1337", "blocks": "\x1b["}[way])
    if way == "blocks":
        assert all(0 < line.count("▀") <= 80 for line in drawn.splitlines() if line)


async def test_bar_is_drawn_on_a_terminal_and_gone_at_the_end(service: Running) -> None:
    output = Output(Manner())
    output.err = terminal()
    async with AsyncClient(service.url) as client:
        batch = await client.submit(deck(3))
        with reporting(output, await batch.status()) as reporter:
            async for event in batch.events():
                reporter.take(event)
    assert "3/3" in output.err.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
