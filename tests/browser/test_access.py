"""Axe finds nothing in any state, language or theme; and the page stays light."""

import gzip
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser

from tests.browser.decks import deck, post, start
from tests.support.browser import PHONE, Reader, Theme, reading
from tests.support.process import Served
from tests.support.upstream import Plan, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

_AXE = Path(__file__).parents[1] / "data" / "axe" / "axe.min.js"
_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_MAX_GZIPPED_BYTES = 60_000


async def find_violations(reader: Reader) -> list[str]:
    """What axe says against the page as it is now."""
    if not await reader.page.evaluate("typeof axe === 'object'"):
        await reader.page.evaluate(_AXE.read_text("utf-8"))
    found = await reader.page.evaluate(
        "rules => axe.run(document, { runOnly: rules, resultTypes: ['violations'] })",
        list(_RULES),
    )
    return [
        f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]
    ]


@pytest.mark.parametrize("lang", ["en-US", "zh-CN"])
async def test_axe_finds_nothing_in_any_state_and_theme(
    browser: Browser, service: Served, upstream: Upstream, lang: str
) -> None:
    finished = await start(service.url, deck("One", "Two"))
    failed = await start(service.url, deck("One", "Three", fails=("Three",)))
    upstream.plan = Plan(latency_s=60)
    running = await start(
        service.url, deck("One", "Two", "Four", "Five", max_workers=1), wait=False
    )
    states = {
        "": ".intake",
        f"batch={running}": ".frame.is-generating",
        f"batch={finished}": ".state-completed",
        f"batch={failed}": ".state-partly",
        f"batch={failed}&slide=2": ".viewer .note-bad",
        f"batch={failed}&open=log": ".records",
        "open=history": ".batch",
    }
    found: dict[tuple[str, Theme], list[str]] = {}
    async with reading(browser, service.url, lang=lang) as reader:
        for hash_, sign in states.items():
            await reader.page.evaluate("hash => { location.hash = hash }", hash_)
            await reader.see(sign)
            for theme in ("light", "dark"):
                await reader.page.emulate_media(color_scheme=theme)
                found[hash_, theme] = await find_violations(reader)
        await reader.page.evaluate("hash => { location.hash = hash }", f"batch={running}")
        await reader.page.locator(".run-title .button").click()
        await reader.see(".question")
        found["question", "dark"] = await find_violations(reader)
        await reader.page.keyboard.press("Escape")
        await reader.page.evaluate("location.hash = ''")
        await reader.page.locator(".ways button").nth(2).click()
        await reader.see(".compose .estimate strong")
        found["compose", "dark"] = await find_violations(reader)
        await reader.page.locator(".card .frame").first.click()
        await reader.see(".editor")
        found["editor", "dark"] = await find_violations(reader)
    await post(service.url, f"/slide/batch/{running}/cancel")
    assert {state: words for state, words in found.items() if words} == {}


async def test_axe_finds_nothing_on_a_phone(browser: Browser, service: Served) -> None:
    batch_id = await start(service.url, deck("One", "Two", fails=("Two",)))
    async with reading(browser, f"{service.url}/#batch={batch_id}", size=PHONE) as reader:
        await reader.see(".state-partly")
        assert await find_violations(reader) == []
        wide = "document.documentElement.scrollWidth > innerWidth"
        assert not await reader.page.evaluate(wide)


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
