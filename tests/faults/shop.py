"""The real service before a paid provider whose bill can be read."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from msgspec import Struct

from slideloom.domain.images import inspect_picture
from tests.support.crowds import stretch
from tests.support.orders import deck
from tests.support.process import SLIDELOOM, Served, serve_environ, served
from tests.support.service import running_service
from tests.support.upstream import Bill, Plan, Upstream, read_stamp

_PAID: Final[dict[str, object]] = {
    "LLM_IMAGE_API_KEY": "sk-test",
    "LLM_IMAGE_API": "chat",
    "LANE_START": 50,
    "BACKOFF_BASE_SECONDS": 0.05,
    "STOP_GRACE_SECONDS": 1,
}
_POLL_S = 0.05
_REFUSE_S = 30.0


class Shop(Struct, frozen=True):
    """A service, and its provider in this process."""

    url: str
    folder: Path
    upstream: Upstream
    client: aiohttp.ClientSession
    service: Served | None = None
    """Its process, unless it runs in this one."""

    @property
    def process(self) -> subprocess.Popen[str]:
        """The service's own process."""
        assert self.service is not None
        return self.service.process

    @property
    def pid(self) -> int:
        """Of that process."""
        return self.process.pid

    @property
    def images(self) -> Path:
        """The picture folder."""
        return self.folder / "assets"

    @property
    def bill(self) -> Bill:
        """What the provider was asked, and charges."""
        return self.upstream.bill

    async def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and decoded body of a GET, or of a POST of `body`."""
        method = "GET" if body is None else "POST"
        url = self.url + path
        async with self.client.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def try_order(self, slides: int = 3, **changes: Any) -> tuple[int, Any]:
        """Order a deck; what is answered to that."""
        body = deck(slides, **{"cache": False, "max_workers": 10} | changes)
        return await self.ask("/api/slide/batch/generate", body, Prefer="respond-async")

    async def order(self, slides: int = 3, **changes: Any) -> str:
        """Order a deck; its batch's id."""
        status, answer = await self.try_order(slides, **changes)
        assert status == 202, answer.get("detail")
        return str(answer["batch_id"])

    async def order_single(self) -> tuple[int, Any]:
        """Order one slide and wait for it."""
        return await self.ask("/api/slide/regenerate", {"style_prompt": "", "visual_desc": "sky"})

    async def show(self, batch_id: str) -> Any:
        """The batch as it is."""
        status, answer = await self.ask(f"/api/slide/batch/{batch_id}")
        assert status == 200, answer.get("detail")
        return answer

    async def finish(self, batch_id: str, *, within_s: float = 60.0) -> Any:
        """The batch once it has ended."""
        async with asyncio.timeout(within_s * stretch()):
            while (answer := await self.show(batch_id))["status"] in {"pending", "running"}:
                await asyncio.sleep(_POLL_S)
        return answer

    async def retry(self, batch_id: str) -> Any:
        """Make again what is not done; the batch once that has ended."""
        status, answer = await self.ask(f"/api/slide/batch/{batch_id}/retry", {})
        assert status in {200, 202}, answer.get("detail")
        return await self.finish(batch_id)

    async def wait_calls(self, count: int) -> None:
        """Until that many calls have come to the provider."""
        async with asyncio.timeout(30):
            while len(self.bill.calls) < count:
                await asyncio.sleep(_POLL_S / 5)


@asynccontextmanager
async def open_shop(
    folder: Path, plan: Plan | None = None, **settings: object
) -> AsyncIterator[Shop]:
    """Serve out of `folder` as users do, paying an emulator that plays `plan`."""
    async with Upstream(plan) as upstream, aiohttp.ClientSession() as client:
        ours = {"IMAGE_OUTPUT_DIR": folder / "assets", **_PAID, **settings}
        with served(folder, LLM_IMAGE_API_BASE=upstream.base_url, **ours) as service:
            yield Shop(service.url, folder, upstream, client, service)


@asynccontextmanager
async def open_shop_here(
    folder: Path, plan: Plan | None = None, **settings: object
) -> AsyncIterator[Shop]:
    """The same service and provider, both in this process: there in no time."""
    async with Upstream(plan) as upstream:
        ours = {"LLM_IMAGE_API_BASE": upstream.base_url, **_PAID, **settings}
        async with running_service(folder, **ours) as running:
            yield Shop(running.url, folder, upstream, running.client)


Opens = Callable[..., AbstractAsyncContextManager[Shop]]
"""Either of them."""


def refuse_start(folder: Path, **settings: object) -> str:
    """The one line with which `serve` gives up, exit code 2."""
    ran = subprocess.run(
        [SLIDELOOM, "serve"],
        cwd=folder,
        env=serve_environ(**{"PORT": 0, "IMAGE_OUTPUT_DIR": "assets"} | settings),
        capture_output=True,
        text=True,
        timeout=_REFUSE_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1), ran.stderr
    return ran.stderr


def count_codes(answer: Any) -> dict[str, int]:
    """How many slides have ended in each way: `done`, or their error's code."""
    codes = [result["error_code"] or result["status"] for result in answer["results"]]
    return {code: codes.count(code) for code in codes}


def check_pictures(folder: Path, *answers: Any) -> None:
    """Every done slide's picture is there, whole, and its own; nothing half-written lies about."""
    urls = [one["image_url"] for answer in answers for one in answer["results"]]
    shown = {url.removeprefix("/assets/") for url in urls if url is not None}
    kept = {path.name for path in folder.glob("slide_*")}
    assert shown <= kept
    assert list(folder.glob(".part-*")) == []
    stamps = [_read_whole(folder / name) for name in kept]
    assert len(set(stamps)) == len(kept), "no call's picture is there twice"


def _read_whole(path: Path) -> tuple[int, str] | None:
    """Whose call and prompt a picture is of."""
    with path.open("rb") as file:
        inspect_picture(file)  # raises unless it is whole
    stamp = read_stamp(path.read_bytes())
    return None if stamp is None else (stamp.call, stamp.prompt_key)


def check_money(bill: Bill, *answers: Any) -> None:
    """Whatever was paid has a picture, or is told as possibly billed."""
    done = sum(answer["successful"] for answer in answers)
    told = sum(answer["possibly_billed"] for answer in answers)
    assert len(bill.billed) == done + told
