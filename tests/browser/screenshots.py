"""`make screenshots`: the pictures of the page that the README shows."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image
from playwright.async_api import Browser

from slideloom.assembly import lanes
from slideloom.providers.base import Provider
from slideloom.settings import Settings
from tests.browser.decks import get, start
from tests.browser.studio import StudioProvider
from tests.support.browser import Reader, Theme, open_browser, reading
from tests.support.service import running_service

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_SIZE = (1360, 765)
_MORE: tuple[dict[str, str], ...] = (
    {
        "title": "A calendar in the sand",
        "content_text": "1 Spring tide\n2 Neap tide\n3 Spring again, two weeks later",
        "visual_desc": "a spiral of days drawn by the receding water",
    },
    {
        "title": "Six hours, six steps",
        "content_text": "Rule of twelfths: 1, 2, 3, 3, 2, 1",
        "visual_desc": "a bar chart of the water's rise, hour by hour",
    },
)
_LATE = ("Six hours, six steps", "Come back in six hours")


def _read_deck() -> dict[str, Any]:
    deck: dict[str, Any] = msgspec.json.decode((_ROOT / "static/example-en.json").read_bytes())
    cover, *pages, ending = deck["slides"]
    cover |= {"content_text": cover["content_text"].replace("six", "eight")}
    return deck | {"slides": [cover, *pages, *_MORE, ending], "max_workers": 8}


async def _shoot(reader: Reader, name: str) -> None:
    await reader.page.wait_for_function(
        "() => [...document.images].every((image) => image.complete)"
    )
    await reader.page.wait_for_timeout(300)
    path = _DOCS / name
    await reader.page.screenshot(path=path)
    with Image.open(path) as shot:  # a fifth of the size, and no eye sees it
        shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


async def _shoot_deck(browser: Browser, url: str, batch_id: str, studio: StudioProvider) -> None:
    place = f"{url}/#batch={batch_id}"
    shots: tuple[tuple[str, Theme], ...] = (("page.png", "light"), ("page-dark.png", "dark"))
    for name, theme in shots:
        async with reading(
            browser, place, theme=theme, size=_SIZE, device_scale_factor=1.5
        ) as reader:
            await reader.see(".frame.is-done", count=len(_read_deck()["slides"]) - len(_LATE))
            await _shoot(reader, name)
    studio.go.set()


async def main() -> None:
    """Make a deck, and photograph it on its way."""
    studios: list[StudioProvider] = []

    def open_studio(settings: Settings) -> Sequence[Provider]:
        del settings
        studios.append(StudioProvider(seconds=2.0, waits=_LATE, fails={}))
        return studios

    lanes.open_providers = open_studio
    with tempfile.TemporaryDirectory() as folder:
        async with running_service(Path(folder)) as service, open_browser() as browser:
            batch_id = await start(service.url, _read_deck(), wait=False)
            while (await get(service.url, f"/slide/batch/{batch_id}"))["progress"] < 0.5:
                await asyncio.sleep(0.2)
            await _shoot_deck(browser, service.url, batch_id, studios[0])


if __name__ == "__main__":
    asyncio.run(main())
