"""Command tests call the real commands, in a thread, against the real service."""

import asyncio
import contextlib
import io
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from slideloom.cli import main
from tests.support.service import Running
from tests.web.conftest import provider, service

__all__ = ["provider", "service"]


class Ran(Struct, frozen=True):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return msgspec.json.decode(self.out)

    @property
    def json_lines(self) -> list[Any]:
        """The objects on stdout, one a line."""
        return [msgspec.json.decode(line) for line in self.out.splitlines()]


Run = Callable[..., Awaitable[Ran]]


def run_here(*arguments: object) -> Ran:
    """Run a command in this process; not on a thread with a running loop."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["slideloom", *map(str, arguments)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())


@pytest.fixture
def run(service: Running, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command against the service."""
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.setenv("SLIDELOOM_URL", service.url)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.chdir(service.folder)

    async def go(*arguments: object) -> Ran:
        return await asyncio.to_thread(run_here, *arguments)

    return go
