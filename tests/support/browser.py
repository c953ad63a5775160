"""Chromium as readers use it: pages of the service, and everything that went wrong in them."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DESKTOP, PHONE = (1440, 900), (390, 844)
PATIENCE_MS = 20_000
"""Until something shows up; machines that test are busy."""
_EXPECTED = ("net::ERR_", "Failed to load resource")
"""Console errors of requests that a test itself breaks."""

Theme = Literal["light", "dark"]


class Reader(msgspec.Struct, frozen=True):
    """Somebody at a page, and what must not have happened there."""

    page: Page
    context: BrowserContext
    troubles: list[str]
    """Errors of scripts, breaches of the content policy, requests to other hosts."""
    requests: list[Request]
    """All that were sent, by every page of the context."""

    async def see(self, selector: str, *, count: int | None = None) -> None:
        """Wait until it is there; with `count`, exactly so often."""
        found = self.page.locator(selector)
        if count is None:
            await found.first.wait_for(timeout=PATIENCE_MS)
            return
        await self.page.wait_for_function(
            "([selector, count]) => document.querySelectorAll(selector).length === count",
            arg=[selector, count],
            timeout=PATIENCE_MS,
        )

    def sent(self, path_end: str) -> list[Request]:
        """The requests whose path ends so."""
        return [one for one in self.requests if urlsplit(one.url).path.endswith(path_end)]


@contextlib.asynccontextmanager
async def open_browser(*flags: str) -> AsyncIterator[Browser]:
    """A Chromium of the system's, without a screen; `flags` are its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*_FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def reading(
    browser: Browser,
    url: str,
    *,
    lang: str = "en-US",
    theme: Theme = "light",
    size: tuple[int, int] = DESKTOP,
    **more: Any,
) -> AsyncIterator[Reader]:
    """Open the page as somebody new; at the end nothing must have gone wrong."""
    width, height = size
    context = await browser.new_context(
        locale=lang,
        color_scheme=theme,
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
        **more,
    )
    troubles: list[str] = []
    requests: list[Request] = []
    home = urlsplit(url).netloc

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(word in message.text for word in _EXPECTED):
            troubles.append(message.text)

    def follow(request: Request) -> None:
        requests.append(request)
        if urlsplit(request.url).netloc not in {home, ""}:
            troubles.append(f"another host: {request.url}")

    context.on("console", hear)
    context.on("weberror", lambda error: troubles.append(str(error.error)))
    context.on("request", follow)
    try:
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(url)
        yield Reader(page, context, troubles, requests)
        assert troubles == []
    finally:
        await context.close()
