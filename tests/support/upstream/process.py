"""The emulator as a process of its own, so that a bench measures the client alone."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from tests.support.upstream.bill import Report
from tests.support.upstream.plan import Plan

_ROOT: Final = Path(__file__).parents[3]
"""The repository, from where `tests` can be imported."""
_STOP_S: Final = 5.0
"""How long the process may take to end before it is killed."""


class RemoteUpstream:
    """An emulator in another process, controlled over HTTP."""

    def __init__(self, base_url: str, session: aiohttp.ClientSession, pid: int) -> None:
        self.base_url = base_url
        self.origin = base_url.removesuffix("/api/v1")
        self.pid = pid
        self._session = session

    async def send_plan(self, plan: Plan) -> None:
        """Play something else from the next call on; the bill goes on."""
        await self._post("/__plan", msgspec.json.encode(plan))

    async def reset(self, plan: Plan | None = None) -> None:
        """Begin with an empty bill, and another plan if one is given."""
        await self._post("/__reset", b"" if plan is None else msgspec.json.encode(plan))

    async def fetch_report(self) -> Report:
        """The bill so far, with its sums."""
        async with self._session.get(self.origin + "/__bill") as response:
            return msgspec.json.decode(await response.read(), type=Report)

    async def _post(self, path: str, body: bytes) -> None:
        async with self._session.post(self.origin + path, data=body) as response:
            if response.status != 200:
                raise ValueError(await response.text())


@asynccontextmanager
async def spawn_upstream(
    plan: Plan | None = None, *, port: int = 0
) -> AsyncIterator[RemoteUpstream]:
    """Start an emulator process; it is stopped at the end, or when this process dies."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.upstream",
        "--port",
        str(port),
        "--plan",
        msgspec.json.encode(plan or Plan()).decode(),
        "--until-stdin-closes",
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Clients that hang up in the middle make asyncio's transports talk; nobody reads it here.
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        base_url = (await process.stdout.readline()).decode().strip()
        if not base_url:
            message = "the emulator did not start"
            raise RuntimeError(message)
        async with aiohttp.ClientSession() as session:
            yield RemoteUpstream(base_url, session, process.pid)
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
