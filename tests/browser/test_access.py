"""Axe finds nothing in any state, language or theme; and the page stays light."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Route, expect

from tests.browser.decks import deck, post, start
from tests.support.browser import PHONE, Reader, Theme, reading
from tests.support.process import Served
from tests.support.upstream import Plan, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

_AXE = Path(__file__).parents[1] / "data" / "axe" / "axe.min.js"
_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_RULES_OF_COLOURS = ("color-contrast", "link-in-text-block")
"""What may be otherwise in another theme."""
_MAX_GZIPPED_BYTES = 60_000


async def find_violations(reader: Reader, *rules: str) -> list[str]:
    """What axe says against the page as it is now; `rules` alone, or all that matter."""
    if not await reader.page.evaluate("typeof axe === 'object'"):
        await reader.page.evaluate(_AXE.read_text("utf-8"))
    found = await reader.page.evaluate(
        "only => axe.run(document, { runOnly: only, resultTypes: ['violations'], preload: false })",
        list(rules or _RULES),
    )
    return [
        f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]
    ]


async def make_batches(service: Served, upstream: Upstream) -> list[str]:
    """Four batches: finished, with gaps, failed, and running on and on."""
    decks = deck("One", "Two"), deck("One", "Six", fails=("Six",)), deck("Six", fails=("Six",))
    ended = await asyncio.gather(*(start(service.url, one) for one in decks))
    upstream.plan = Plan(latency_s=60)
    running = deck("One", "Two", "Four", "Five", max_workers=1)
    return [*ended, await start(service.url, running, wait=False)]


async def each_state(reader: Reader, batches: list[str]) -> AsyncIterator[str]:
    """Bring the page into one state after another; its name, when it is there."""
    finished, gaps, failed, running = batches
    for state, (place, sign) in {
        "empty": ("", ".intake"),
        "running": (f"batch={running}", ".frame.is-generating"),
        "finished": (f"batch={finished}", ".state-completed"),
        "gaps": (f"batch={gaps}", ".state-partly"),
        "failed": (f"batch={failed}", ".state-failed"),
        "unknown": ("batch=none", ".run-missing"),
        "viewer": (f"batch={finished}&slide=1", ".viewer .alone img"),
        "viewer of a failure": (f"batch={gaps}&slide=2", ".viewer .note-bad"),
        "log": (f"batch={gaps}&open=log", ".records"),
        "history": ("open=history", ".batch"),
    }.items():
        await reader.page.evaluate("place => { location.hash = place }", place)
        await reader.see(sign)
        yield state
    for state, place, way, sign in (
        ("refused download", f"batch={finished}", ".take-away a", ".run-title .note"),
        ("stop question", f"batch={running}", ".run-title .button", ".question"),
        ("paste form", "view=new", ".ways button >> nth=1", ".paste"),
        ("deck", "", ".paste button >> nth=1, .ways button >> nth=2", ".compose .estimate strong"),
        ("page editor", "", ".card .frame >> nth=0", ".editor"),
    ):
        await reader.page.evaluate("place => { location.hash = place }", place)
        for selector in way.split(", "):
            await reader.page.locator(selector).first.click()
        await reader.see(sign)
        yield state
        await reader.page.keyboard.press("Escape")


async def _refuse(route: Route) -> None:
    await route.fulfill(status=409, json={"detail": "There is no finished picture to take home."})


async def find_all_violations(
    browser: Browser, service: Served, batches: list[str], lang: str
) -> dict[tuple[str, str, Theme], list[str]]:
    """What axe says in one language: of each state and theme."""
    found: dict[tuple[str, str, Theme], list[str]] = {}
    async with reading(browser, service.url, lang=lang) as reader:
        await reader.context.route("**/export.pptx", _refuse)
        async for state in each_state(reader, batches):
            await reader.page.emulate_media(color_scheme="light")
            found[lang, state, "light"] = await find_violations(reader)
            await reader.page.emulate_media(color_scheme="dark")
            found[lang, state, "dark"] = await find_violations(reader, *_RULES_OF_COLOURS)
    return found


async def test_axe_finds_nothing_in_any_state_language_and_theme(
    browser: Browser, service: Served, upstream: Upstream
) -> None:
    batches = await make_batches(service, upstream)
    found: dict[tuple[str, str, Theme], list[str]] = {}
    for lang in ("en-US", "zh-CN"):
        found |= await find_all_violations(browser, service, batches, lang)
    await post(service.url, f"/slide/batch/{batches[-1]}/cancel")
    assert len(found) == 15 * 2 * 2
    assert {state: words for state, words in found.items() if words} == {}


async def test_axe_finds_nothing_on_a_phone(browser: Browser, service: Served) -> None:
    batch_id = await start(service.url, deck("One", "Two", fails=("Two",)))
    async with reading(browser, f"{service.url}/#batch={batch_id}", size=PHONE) as reader:
        await reader.see(".state-partly")
        assert await reader.page.get_by_role("link", name="Edit and make again").count() == 0
        assert await find_violations(reader) == []
        wide = "document.documentElement.scrollWidth > innerWidth"
        assert not await reader.page.evaluate(wide)


async def _answer_short(route: Route) -> None:
    spec = await (await route.fetch()).json()
    paths = ("/api/slide/batch/config/validate", "/api/slide/batch/generate")
    await route.fulfill(json=spec | {"paths": {path: spec["paths"][path] for path in paths}})


async def test_api_viewer_begins_with_decks_and_has_its_buttons_in_sight_on_a_phone(
    browser: Browser, service: Served
) -> None:
    async with reading(browser, "about:blank", size=PHONE) as reader:
        await reader.context.route("**/openapi.json", _answer_short)
        await reader.page.goto(f"{service.url}/api/docs")
        generate = reader.page.locator("[part~='section-operation']").first
        for name in ("CLEAR", "TRY"):
            button = generate.get_by_role("button", name=name)
            await button.scroll_into_view_if_needed()
            await expect(button).to_be_in_viewport(ratio=1)
        assert "/api/slide/batch/generate" in await generate.inner_text()
        reader.troubles.clear()  # about:blank was home


async def test_page_loads_at_most_60_kb_of_code_and_style_from_one_host(
    browser: Browser, service: Served
) -> None:
    async with reading(browser, service.url) as reader:
        await reader.page.wait_for_load_state("networkidle")
        weight = 0
        for request in reader.requests:
            path = urlsplit(request.url).path
            answer = await request.response()
            assert answer is not None
            assert answer.status == 200, path
            if path.endswith((".js", ".css")):
                weight += len(gzip.compress(await answer.body(), 9))
        assert 10_000 < weight <= _MAX_GZIPPED_BYTES
        policy = (await reader.sent("/")[0].response()).headers["content-security-policy"]  # type: ignore[union-attr]  # it was answered
        assert "unsafe" not in policy
