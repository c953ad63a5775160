"""Processes that cannot start, for want of their Redis."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import SLIDELOOM, serve_environ
from tests.support.redis_server import redis_server


@pytest.fixture(scope="module")
def refusing_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that wants another password."""
    with redis_server(tmp_path_factory.mktemp("redis"), requirepass="right") as server:
        yield server.url.replace("//", "//:wr0ng-pa55@")


@pytest.fixture(scope="module")
def dead_url() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"redis://127.0.0.1:{taken.getsockname()[1]}/0"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["dead", "refusing"])
async def test_redis_that_cannot_be_used_is_named_in_one_line(
    tmp_path: Path, which: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(f"{which}_url")
    for code, out, err in await asyncio.gather(
        *(run_to_end(name, tmp_path, url) for name in ("serve", "worker"))
    ):
        assert (code, out) == (2, "")
        assert err.startswith("slideloom: ")
        assert err.count("\n") == 1
        assert "127.0.0.1" in err
        assert "wr0ng-pa55" not in err


async def run_to_end(name: str, folder: Path, url: str) -> tuple[int | None, str, str]:
    """Its exit code, and what it said on both channels."""
    process = await asyncio.create_subprocess_exec(
        *(SLIDELOOM, name),
        cwd=folder,
        env=serve_environ(STORE=url, QUEUE=url, PORT=0),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
