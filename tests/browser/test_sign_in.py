"""A service with tokens, from the page: asked, told, let in, and out again."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.conftest import model_settings
from tests.browser.decks import deck, start
from tests.browser.test_access import find_violations
from tests.support.browser import PHONE, Reader, Theme, reading
from tests.support.process import Served, served
from tests.support.upstream import Plan, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALICE, BOB = "secret-of-alice-5e1f", "secret-of-bob-0c77"
AS_ALICE = f"Bearer {ALICE}"
WORDS = {
    "en-US": ("Sign in", "Token", "does not know this token", "Sign out", "Try the example"),
    "zh-CN": ("登录", "令牌", "不认识这个令牌", "退出登录", "示例"),
}


@pytest.fixture(scope="module")
def guarded(
    shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A served process that wants a token."""
    settings = model_settings(shared_upstream) | {"API_TOKENS": f"alice:{ALICE},bob:{BOB}"}
    with served(tmp_path_factory.mktemp("guarded"), **settings) as process:
        yield process


async def sign_in(page: Page, token: str) -> None:
    """By the keyboard alone: the field has the focus already."""
    await expect(page.locator("#token")).to_be_focused()
    await page.keyboard.type(token)
    await page.keyboard.press("Enter")


async def come_in(reader: Reader, token: str) -> None:
    """Sign in, and wait until that is taken."""
    await sign_in(reader.page, token)
    await reader.see("#token", count=0)


@pytest.mark.parametrize("lang", WORDS)
async def test_reader_is_asked_told_let_in_and_out_and_the_next_one_sees_nothing_of_it(
    browser: Browser, guarded: Served, upstream: Upstream, lang: str
) -> None:
    heading, label, wrong, out, example = WORDS[lang]
    async with reading(browser, guarded.url, lang=lang) as reader:
        page = reader.page
        await sign_in(page, "not-a-token")
        await reader.see(f".question [role=alert]:has-text('{wrong}')")
        await expect(page.get_by_label(label)).to_be_focused()
        await expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
        await page.get_by_label(label).fill(f" {ALICE} ")
        await page.get_by_role("button", name=heading, exact=True).last.click()
        await reader.see("#token", count=0)

        await page.get_by_role("button", name=example).click()
        await reader.see(".estimate strong")
        await page.locator(".start-bar .button-main").click()
        await reader.see(".state-completed")
        await reader.see(".frame.is-done img")
        assert len(upstream.bill.billed) > 0
        assert await page.evaluate("document.cookie") == "", "no script reads it"
        await page.evaluate("location.hash += '&open=history'")
        await reader.see(".batch")
        await page.keyboard.press("Escape")
        await reader.see(".batch", count=0)

        await page.get_by_role("button", name=out).click()
        await expect(page.locator("#token")).to_be_focused()
        await expect(page.locator(".intake")).to_be_visible()
        assert page.url == f"{guarded.url}/", "not where the other one was"
        await come_in(reader, BOB)
        await page.evaluate("location.hash = 'open=history'")
        await reader.see(".drawer p.soft")
        assert await page.locator(".batch").count() == 0
        await page.keyboard.press("Escape")
        await expect(page.locator(".intake .quiet-link")).to_have_count(0)

        await page.get_by_role("button", name=out).click()
        await come_in(reader, ALICE)
        await reader.see(".compose")  # what was put away for her is back
        assert await page.evaluate("document.body.innerHTML.includes('secret-of')") is False
        urls = [request.url for request in reader.requests]
        assert [url for url in urls if "secret-of" in url] == []


async def test_sign_in_that_has_run_out_costs_neither_the_draft_nor_the_deck_under_way(
    browser: Browser, guarded: Served, upstream: Upstream
) -> None:
    async with reading(browser, guarded.url) as reader:
        page = reader.page
        await come_in(reader, ALICE)
        await page.get_by_role("button", name="Try the example").click()
        await page.get_by_role("button", name="Edit page 2").click()
        await page.get_by_label("Title").fill("Words not to be lost")
        await reader.context.clear_cookies()
        async with page.expect_response("**/estimate") as estimate:
            await page.get_by_role("button", name="Done").click()
        assert (await estimate.value).status == 401
        await reader.see("#token", count=0)  # nobody is asked in the middle of a word
        await reader.see(".card:has-text('Words not to be lost')")
        upstream.plan = Plan(latency_s=1)
        await page.get_by_role("button", name=re.compile("Make [0-9]+ slides")).click()
        await come_in(reader, ALICE)  # and the deck is started
        await reader.see(".run .frame.is-generating")
        await reader.context.clear_cookies()
        await page.reload()  # in the middle
        await expect(page.locator("#token")).to_be_focused()
        await come_in(reader, ALICE)
        await reader.see(".state-completed")
        await reader.context.clear_cookies()
        async with page.expect_download():
            await page.get_by_role("link", name=re.compile("PDF")).click()
            await come_in(reader, ALICE)


async def test_not_now_leaves_the_page_usable_and_a_way_in(
    browser: Browser, guarded: Served, upstream: Upstream
) -> None:
    del upstream
    batch_id = await start(guarded.url, deck("One"), Authorization=AS_ALICE)
    async with reading(browser, f"{guarded.url}/#batch={batch_id}") as reader:
        await expect(reader.page.locator("#token")).to_be_focused()
        await reader.page.keyboard.press("Escape")
        await reader.see(".run [role=status]")
        await reader.page.get_by_role("button", name="Earlier decks").click()
        await expect(reader.page.locator("#token")).to_be_focused()
        await reader.page.get_by_role("button", name="Not now").click()
        await reader.see(".drawer [role=alert]:has-text('Sign in to go on')")
        await reader.page.keyboard.press("Escape")
        await reader.page.get_by_role("button", name="Sign in", exact=True).click()
        await come_in(reader, ALICE)
        await reader.see(".state-completed")  # what waited goes on


async def test_stream_that_breaks_after_the_sign_in_has_run_out_goes_on_once_it_is_renewed(
    browser: Browser, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.plan = Plan(latency_s=60)
    settings = model_settings(upstream) | {"API_TOKENS": f"alice:{ALICE}"}
    with served(tmp_path, **settings) as first:
        port = first.url.rsplit(":", 1)[1]
        body = deck("One", "Two", "Four", max_workers=1)
        batch_id = await start(first.url, body, wait=False, Authorization=AS_ALICE)
        async with reading(browser, f"{first.url}/#batch={batch_id}") as reader:
            await come_in(reader, ALICE)
            await reader.see("main[data-live='true'] .is-generating")
            await reader.context.clear_cookies()
            first.process.kill()
            first.process.wait()
            await reader.see(".banners [role=alert] .note")
            upstream.plan = Plan(latency_s=1)
            with served(tmp_path, PORT=port, **settings):
                await expect(reader.page.locator("#token")).to_be_focused()
                await reader.page.keyboard.press("Escape")
                await reader.see(".banners [role=alert] .note", count=0)
                await reader.page.get_by_role("button", name="Sign in", exact=True).click()
                await come_in(reader, ALICE)
                await reader.see("main[data-live='true']")
                await reader.see(".state-partly, .state-completed")


async def test_deck_of_another_token_is_one_that_is_not_known(
    browser: Browser, guarded: Served, upstream: Upstream
) -> None:
    del upstream
    batch_id = await start(guarded.url, deck("One"), Authorization=AS_ALICE)
    async with reading(browser, f"{guarded.url}/#batch={batch_id}") as reader:
        await come_in(reader, BOB)
        await reader.see(".run-missing:has-text('another token')")


async def test_who_signs_out_in_one_tab_is_out_in_the_other(
    browser: Browser, guarded: Served, upstream: Upstream
) -> None:
    del upstream
    batch_id = await start(guarded.url, deck("One"), Authorization=AS_ALICE)
    async with reading(browser, f"{guarded.url}/#batch={batch_id}") as reader:
        await come_in(reader, ALICE)
        await reader.see(".state-completed")
        beside = await reader.context.new_page()
        await beside.goto(guarded.url)
        await beside.get_by_role("button", name="Sign out").click()
        await expect(reader.page.locator("#token")).to_be_focused()
        await expect(reader.page.locator(".state-completed")).to_have_count(0)


async def test_api_viewer_sends_the_token_it_is_given(browser: Browser, guarded: Served) -> None:
    async with reading(browser, f"{guarded.url}/api/docs") as reader:
        await reader.page.locator("#auth input").fill(ALICE)
        await reader.page.locator("#auth").get_by_role("button", name="SET").click()
        call = reader.page.locator("[id='get-/api/slide/batch/active-count']")
        async with reader.page.expect_response("**/active-count") as answer:
            await call.get_by_role("button", name="TRY").click()
        assert (await answer.value).status == 200


async def test_service_without_tokens_is_asked_nothing_about_them(
    browser: Browser, service: Served
) -> None:
    async with reading(browser, service.url) as reader:
        await reader.see(".intake")
        await reader.page.wait_for_load_state("networkidle")
        assert reader.sent("/sign-in") == []
        for name in ("Sign in", "Sign out"):
            await expect(reader.page.get_by_role("button", name=name)).to_have_count(0)


@pytest.mark.parametrize(
    ("code", "words"), [("too_many_requests", "slow"), ("daily_cost_limit", "spent")]
)
async def test_limits_are_said_in_words_and_are_no_lost_connection(
    browser: Browser, service: Served, code: str, words: str
) -> None:
    async def refuse(route: Route) -> None:
        detail = {"code": code, "detail": f"It is {words}.", "status": 429}
        await route.fulfill(status=429, json=detail, headers={"Retry-After": "60"})

    batch_id = await start(service.url, deck("One", "Six", fails=("Six",)))
    async with reading(browser, f"{service.url}/#batch={batch_id}") as reader:
        await reader.see(".state-partly")
        await reader.context.route("**/retry", refuse)
        await reader.page.locator(".mark-button").click()
        await reader.see(f".caption [role=alert]:has-text('It is {words}.')")
        await reader.context.route(f"**/slide/batch/{batch_id}", refuse)
        await reader.page.reload()
        await reader.see(f".run [role=status]:has-text('It is {words}.')")
        assert await reader.page.locator(".banners [role=alert] .note").count() == 0


async def test_axe_finds_nothing_on_the_way_in_in_either_language_or_theme(
    browser: Browser, guarded: Served
) -> None:
    found: dict[tuple[str, Theme, str], list[str]] = {}
    for lang in WORDS:
        async with reading(browser, guarded.url, lang=lang) as reader:
            for theme in ("light", "dark"):
                await reader.page.emulate_media(color_scheme=theme)
                await reader.page.reload()
                await reader.see("#token")
                found[lang, theme, "asked"] = await find_violations(reader)
                await sign_in(reader.page, "wrong")
                await reader.see(".question [role=alert]")
                found[lang, theme, "told"] = await find_violations(reader)
                await reader.page.keyboard.press("Escape")
                await reader.see("#token", count=0)
                found[lang, theme, "out"] = await find_violations(reader)
                await reader.page.locator(".bar-button").last.click()
                await come_in(reader, ALICE)
                found[lang, theme, "in"] = await find_violations(reader)
                await reader.context.clear_cookies()
    assert len(found) == 16
    assert {state: words for state, words in found.items() if words} == {}


async def test_way_in_fits_a_phone(browser: Browser, guarded: Served) -> None:
    wide = "document.documentElement.scrollWidth > innerWidth"
    async with reading(browser, guarded.url, size=PHONE) as reader:
        await expect(reader.page.locator(".question .button-main")).to_be_in_viewport(ratio=1)
        await come_in(reader, ALICE)
        await expect(reader.page.get_by_role("button", name="Sign out")).to_be_visible()
        assert not await reader.page.evaluate(wide)
        assert await find_violations(reader) == []
