"""The whole way of a deck through the page, with what goes wrong on it."""

import asyncio
import json
import re
import signal
import statistics
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.async_api import Browser, Route, expect

from tests.browser.conftest import model_settings
from tests.browser.decks import FAILS_ONCE, MARKDOWN, deck, get, post, start
from tests.support.browser import Reader, reading
from tests.support.process import Served, served
from tests.support.upstream import Plan, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def paste(reader: Reader, text: str) -> None:
    """Bring a deck through the paste form."""
    await reader.page.get_by_role("button", name="Paste text").click()
    await reader.page.get_by_label("The deck, as Markdown or JSON").fill(text)
    await reader.page.get_by_role("button", name="Read the deck").click()
    await reader.see(".compose")


def batch_in(reader: Reader) -> str:
    """The id in the address."""
    found = re.search(r"batch=([0-9a-f-]{36})", reader.page.url)
    assert found is not None
    return found[1]


async def list_batches(service: Served) -> list[str]:
    """All ids, newest first."""
    listed = await get(service.url, "/slide/batch?limit=200")
    return [one["batch_id"] for one in listed["batches"]]


async def test_deck_is_brought_edited_made_mended_compared_and_taken_home(
    browser: Browser, service: Served, upstream: Upstream
) -> None:
    async with reading(browser, service.url, accept_downloads=True) as reader:
        page = reader.page
        await paste(reader, MARKDOWN)
        await reader.see(".card", count=4)
        await page.get_by_role("button", name="Edit page 3: Delta").click()
        await page.get_by_label("Picture").fill(f"a wide delta {FAILS_ONCE}")
        await page.get_by_role("button", name="Done").click()
        await page.get_by_label("Night tech").check(force=True)
        await page.get_by_label("4:3").check(force=True)
        await page.get_by_label("Pages at the same time").fill("2")
        await reader.see(".estimate strong:has-text('$')")
        upstream.plan = Plan(latency_s=0.4)
        await page.get_by_role("button", name="Make 4 slides").dblclick()
        await expect(page).to_have_title(re.compile(r"/4\)"))
        await reader.see(".run .is-done img")
        await page.reload()  # in the middle
        await reader.see(".state-partly")
        await reader.see(".frame.is-done", count=3)
        assert len(reader.sent("/events")) == 2  # one stream each time the page was opened
        assert "refused this content" in await page.locator(".frame.is-error").inner_text()

        await page.get_by_role("button", name="Try again Page 3, Delta").click()
        await reader.see(".state-completed")
        await reader.see(".frame.is-done", count=4)
        batch_id = batch_in(reader)
        assert await list_batches(service) == [batch_id]
        assert len(upstream.bill.billed) == 4

        await page.locator(".card .frame").nth(1).click()
        await reader.see(".viewer .prompt:has-text('Source')")
        first = await page.locator(".viewer .alone img").get_attribute("src")
        await page.get_by_role("button", name="Make again").dblclick()
        await reader.see(".strip-button", count=2)
        assert len(upstream.bill.billed) == 5
        assert await page.locator(".viewer .alone img").get_attribute("src") != first
        await page.locator(".strip-button").first.click()
        await reader.see(".compare img", count=2)
        await page.get_by_role("button", name="Use this one").click()
        await reader.see(f".viewer .alone img[src='{first}']")
        await page.get_by_text("Log of this slide").click()
        await reader.see(".slide-log .attempts li", count=2)
        await reader.see(".slide-log h3:has-text('Slide 2, round 2')")
        await page.reload()
        await reader.see(f".viewer .alone img[src='{first}']")
        await page.keyboard.press("Escape")

        for name, magic in (("PowerPoint", b"PK"), ("PDF", b"%PDF"), ("the pictures", b"PK")):
            async with page.expect_download() as download:
                await page.get_by_role("link", name=re.compile(name)).click()
            path = await (await download.value).path()
            assert path.read_bytes().startswith(magic)

        await page.get_by_role("button", name="Earlier decks").click()
        await reader.see(".batch[aria-current='page']:has-text('Rivers')")


async def test_service_that_is_killed_in_the_middle_comes_back_into_the_same_view(
    browser: Browser, upstream: Upstream, tmp_path: Path
) -> None:
    settings = model_settings(upstream)
    with served(tmp_path, **settings) as first:
        port = first.url.rsplit(":", 1)[1].strip("/")
        batch_id = await start(first.url, deck(*"ABCD", max_workers=1), wait=False)
        while (await get(first.url, f"/slide/batch/{batch_id}"))["successful"] == 0:
            await asyncio.sleep(0.02)
        upstream.plan = Plan(latency_s=60)  # a call is under way however slow the browser is
        async with reading(browser, f"{first.url}/#batch={batch_id}") as reader:
            await reader.see(".frame.is-generating")
            first.process.send_signal(signal.SIGKILL)
            await reader.see(".banners [role=alert] .note:has-text('as soon as it is back')")
            upstream.plan = Plan(latency_s=0.15)
            with served(tmp_path, PORT=port, **settings):
                await reader.see(".banners [role=alert]:empty", count=1)
                await reader.see(".state-partly, .state-completed")
                upstream.plan = Plan()
                await reader.page.get_by_role("button", name="Make it again").click()
                await reader.see(".state-completed")
                await reader.see(".frame.is-done", count=4)
                await reader.see("main[data-live='true']")
                assert batch_in(reader) == batch_id
                await reader.page.goto("about:blank")  # else it complains of the stop


async def test_deck_that_is_stopped_says_so_and_goes_on_when_wanted(
    browser: Browser, service: Served, upstream: Upstream
) -> None:
    upstream.plan = Plan(latency_s=60)
    batch_id = await start(service.url, deck(*"ABC", max_workers=1), wait=False)
    async with reading(browser, f"{service.url}/#batch={batch_id}") as reader:
        await reader.see(".frame.is-generating")
        await reader.page.get_by_role("button", name="Stop").click()
        await reader.page.get_by_role("button", name="Keep going").click()
        await reader.see(".frame.is-generating", count=1)
        await reader.page.get_by_role("button", name="Stop").click()
        await reader.page.get_by_role("dialog").get_by_role("button", name="Stop").click()
        await reader.see(".state-cancelled")
        await reader.see(".frame.is-cancelled", count=3)
        assert "not made" in await reader.page.locator(".frame.is-cancelled").first.inner_text()
        await reader.see(".fact-bad, .note-bad, .is-error", count=0)
        upstream.plan = Plan()
        await reader.page.get_by_role("button", name="Make 3 slides").click()
        await reader.see(".state-completed")


async def test_refused_slide_is_reworded_in_its_deck_and_the_others_are_not_paid_again(
    browser: Browser, service: Served, upstream: Upstream
) -> None:
    body = deck("Sun", "Moon", fails=("Moon",))
    async with reading(browser, service.url) as reader:
        page = reader.page
        await paste(reader, json.dumps(body))
        await page.get_by_role("button", name="Make 2 slides").click()
        await reader.see(".state-partly")
        await page.locator(".card .frame").nth(1).click()
        await reader.see(".viewer .hint:has-text('come from the cache and cost nothing')")
        await page.get_by_role("dialog").get_by_role("link", name="Edit and make again").click()
        await page.get_by_label("Picture").fill("a crescent")
        await page.get_by_role("button", name="Done").click()
        await reader.see(".estimate:has-text('1 from the cache')")
        await page.get_by_role("button", name="Make 2 slides").click()
        await reader.see(".state-completed")
        assert len(upstream.bill.billed) == 2


async def test_second_tab_shows_the_same_and_sees_what_the_first_does(
    browser: Browser, service: Served
) -> None:
    batch_id = await start(service.url, deck("A", "B"))
    async with reading(browser, f"{service.url}/#batch={batch_id}&slide=2") as reader:
        await reader.see(".viewer")
        second = await reader.context.new_page()
        await second.goto(reader.page.url)
        await second.locator(".viewer").wait_for()
        await second.get_by_role("button", name="Make again").click()
        await reader.see(".strip-button", count=2)


async def test_broken_stream_is_made_up_for_by_asking_until_it_is_back(
    browser: Browser, service: Served, upstream: Upstream
) -> None:
    upstream.plan = Plan(latency_s=0.8)
    batch_id = await start(service.url, deck(*"ABCDEFGH", max_workers=1), wait=False)
    async with reading(browser, "about:blank") as reader:
        await reader.context.route("**/events?*", lambda route: route.abort())
        await reader.page.goto(f"{service.url}/#batch={batch_id}")
        reader.troubles.clear()  # about:blank was home
        await reader.see(".is-generating.frame")
        await reader.see(".card:nth-child(4) .is-done")
        assert await reader.page.locator("main").get_attribute("data-live") == "false"
        await reader.context.unroute("**/events?*")
        await reader.see("main[data-live='true']")
        await reader.see(".state-completed")
        reader.troubles.clear()


async def test_start_whose_answer_is_lost_is_sent_again_and_makes_one_batch(
    browser: Browser, service: Served, upstream: Upstream
) -> None:
    async with reading(browser, service.url) as reader:
        before = len(await list_batches(service))
        lost: list[str] = []

        async def lose(route: Route) -> None:
            lost.append(route.request.headers["idempotency-key"])
            if len(lost) == 1:
                await route.fetch()
                await route.abort()
            else:
                await route.continue_()

        await reader.context.route("**/generate", lose)
        await paste(reader, MARKDOWN)
        await reader.page.get_by_role("button", name="Make 4 slides").click()
        await reader.see(".state-completed")
        assert len(lost) == 2
        assert len(set(lost)) == 1
        assert len(await list_batches(service)) == before + 1
        assert len(upstream.bill.find("Rivers")) == 1


async def test_page_is_chinese_for_chinese_readers_and_whole_by_keyboard(
    browser: Browser, service: Served, upstream: Upstream
) -> None:
    async with reading(browser, service.url, lang="zh-CN") as reader:
        page = reader.page
        await reader.see("h1:has-text('一次画完')")
        await page.get_by_role("button", name="试试示例文稿").focus()
        await page.keyboard.press("Enter")
        await reader.see("h1:has-text('茶的时间')")
        await page.get_by_role("button", name="编辑第 2 页").focus()
        await page.keyboard.press("Enter")
        await page.get_by_label("画面").press_sequentially("[[fault:F05_content_policy]]")
        await page.keyboard.press("Escape")
        focused = await page.evaluate("document.activeElement.innerText")
        assert "编辑第 2 页" in focused
        await page.get_by_label("素纸").check(force=True)
        await page.get_by_role("button", name="English").click()
        await expect(page.get_by_label("Paper")).to_be_checked()
        await page.get_by_role("button", name="中文").click()
        await page.get_by_role("button", name="生成 6 页").focus()
        await page.keyboard.press("Enter")
        await reader.see(".state-partly:has-text('有缺页')")
        assert "服务商" in await page.locator(".frame.is-error").inner_text()
        await page.locator(".card .frame").first.focus()
        await page.keyboard.press("Enter")
        await reader.see(".viewer h3:has-text('茶的时间')")
        await page.keyboard.press("ArrowRight")
        await reader.see(".viewer .note-bad:has-text('服务商')")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="English").click()
        await reader.see(".state-partly:has-text('with gaps')")
        await reader.see(".frame.is-error:has-text('image provider')")
        await page.get_by_role("button", name="Dark colours").click()
        await page.reload()
        await reader.see(".state-partly:has-text('with gaps')")
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert {call.fault for call in upstream.bill.calls} == {None, "F05_content_policy"}


async def test_new_picture_is_shown_small_within_half_a_second_of_its_save(
    browser: Browser, service: Served
) -> None:
    batch_id = await start(service.url, deck(*"ABCD"))
    async with reading(browser, f"{service.url}/#batch={batch_id}") as reader:
        await reader.see("main[data-live='true']")
        await _wait_for_small_pictures(reader, 4)
        for n in (1, 2, 3):
            await post(service.url, f"/slide/batch/{batch_id}/slides/s{n}/regenerate")
        shown = await _wait_for_small_pictures(reader, 7)
        folder = service.folder / "static" / "assets"
        waits_s = [at_s - (folder / name).stat().st_mtime for name, at_s in shown[-3:]]
        assert min(waits_s) > 0
        assert statistics.median(waits_s) <= 0.5
        whole = [one.url for one in reader.requests if re.search(r"/assets/[^?]+$", one.url)]
        assert whole == []


async def _wait_for_small_pictures(reader: Reader, count: int) -> list[tuple[str, float]]:
    """Names of pictures, and when the page had their copies, on the wall clock."""
    found: list[tuple[str, float]] = []
    while len(found) < count:
        found = await reader.page.evaluate(
            """() => performance.getEntriesByType("resource")
              .filter(({ name }) => name.includes("?w="))
              .map(({ name, responseEnd }) => [name, performance.timeOrigin + responseEnd])"""
        )
        await asyncio.sleep(0.05)
    return [(Path(urlsplit(url).path).name, at_ms / 1000) for url, at_ms in found]


async def test_download_that_is_refused_says_why_on_the_page(
    browser: Browser, service: Served
) -> None:
    batch_id = await start(service.url, deck("A", "B"))
    async with reading(browser, f"{service.url}/#batch={batch_id}") as reader:
        await reader.see(".frame.is-done img", count=2)
        for picture in service.folder.rglob("slide_*"):
            if picture.suffix in {".png", ".jpg", ".webp"}:
                picture.unlink()
        place = reader.page.url
        for name in ("PowerPoint", "PDF", "the pictures"):
            await reader.page.get_by_role("link", name=re.compile(name)).click()
            await reader.see("[role=alert]:has-text('no finished picture to take home')")
        await reader.context.route("**/export.*", lambda route: route.fulfill(status=503, body=""))
        await reader.page.get_by_role("link", name=re.compile("PDF")).click()
        await reader.see("[role=alert]:has-text('The service answered 503')")
        await reader.context.unroute("**/export.*")
        await reader.context.route("**/export.*", lambda route: route.abort())
        await reader.page.get_by_role("link", name=re.compile("PDF")).click()
        await reader.see("[role=alert]:has-text('does not answer')")
        assert reader.page.url == place


async def test_page_without_anything_to_draw_is_told_before_it_is_paid_and_all_stays_in_sight(
    browser: Browser, service: Served
) -> None:
    async with reading(browser, service.url, size=(1280, 800)) as reader:
        await paste(reader, json.dumps([{"title": "long " * 60}, {"title": " "}]))
        await reader.see(".card:nth-child(2) .tag:has-text('nothing to draw')")
        await reader.see(".start-bar .warning:has-text('1 page has no title')")
        await reader.page.get_by_role("button", name="Edit page 2").click()
        await reader.page.get_by_label("Picture").fill("a river")
        await reader.page.get_by_role("button", name="Done").click()
        await reader.see(".tag, .warning", count=0)
        await expect(reader.page.get_by_role("button", name="Make 2")).to_be_in_viewport(ratio=1)
        await reader.page.get_by_text("More", exact=True).click()
        await expect(reader.page.get_by_text("every page is made")).to_be_in_viewport(ratio=1)
        # An estimate of what was typed before may still be on its way.
        async with reader.page.expect_request(
            lambda asked: (
                asked.url.endswith("/estimate")
                and json.loads(asked.post_data or "{}").get("cache") is False
            )
        ):
            await reader.page.get_by_label("Make everything anew").check()


async def test_file_that_is_dropped_is_read_with_its_fences_and_what_is_no_deck_is_refused(
    browser: Browser, service: Served
) -> None:
    fence = '```python\n# not a title\n---\n\n\nx = "![no](picture)"\n```'
    async with reading(browser, service.url) as reader:
        await reader.see(".dropzone")
        await reader.page.evaluate(
            """text => {
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File([text], "deck.md"));
              dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
            }""",
            MARKDOWN,
        )
        await reader.see(".card", count=4)
        read = """async text => {
          const { parseDeck } = await import("/static/deck.js");
          try { return parseDeck(text).pages.map((page) => [page.title, page.content_text]); }
          catch (error) { return error.message; }
        }"""
        texts: dict[str, object] = {
            f"# A\none\n{fence}\ntwo\n---\n# B\n~~~\n```\n---\n~~~": [
                ["A", f"one\n{fence}\ntwo"],
                ["B", "~~~\n```\n---\n~~~"],
            ],
            "```\ncode\n```": [["", "```\ncode\n```"]],
            "# A\n```words``` in a line\n---\n# B": [["A", "``words`` in a line"], ["B", ""]],
            "[1](https://example.org)\n---\nB": [["1", ""], ["B", ""]],
        } | dict.fromkeys(
            ('[{"a":1}]', "[1,2]", "[null]", '[["a"]]'), "Slide 1 is not an object with a title."
        )
        assert {text: await reader.page.evaluate(read, text) for text in texts} == texts


async def test_answer_that_breaks_off_is_asked_for_again(browser: Browser, service: Served) -> None:
    batch_id = await start(service.url, deck("One"))
    async with reading(browser, service.url) as reader:
        broken = iter(["{", "<html>portal</html>"])

        async def answer(route: Route) -> None:
            body = next(broken, None)
            await (route.continue_() if body is None else route.fulfill(body=body))

        await reader.context.route(f"**/slide/batch/{batch_id}", answer)
        await reader.page.evaluate("id => location.hash = `batch=${id}`", batch_id)
        await reader.see(".card", count=1)
        assert next(broken, None) is None


@pytest.mark.parametrize("name", ["active-count", "config/validate"])
async def test_address_that_names_no_deck_is_said_to(
    browser: Browser, service: Served, name: str
) -> None:
    async with reading(browser, f"{service.url}/#batch={quote(name, safe='')}") as reader:
        await reader.see(".run-missing")


@pytest.mark.parametrize(
    "kept",
    ['{"pages":[null]}', '{"pages":[{}],"style":"","ratio":"16:9","extras":{}}', '{"pages":[]}'],
)
async def test_draft_of_another_version_is_left_aside(
    browser: Browser, service: Served, kept: str
) -> None:
    async with reading(browser, service.url) as reader:
        await reader.page.evaluate("deck => localStorage.setItem('slideloom.deck', deck)", kept)
        await reader.page.reload()
        await reader.see(".intake")


async def test_texts_that_look_like_code_stay_texts(browser: Browser, service: Served) -> None:
    evil = (
        "<img src=x onerror='window.pwned=1'>",
        '"><script>window.pwned=1</script>',
        "${window.pwned=1}{{window.pwned=1}}",
        "javascript:window.pwned=1",
        "</title><svg onload=window.pwned=1>",
    )
    batch_id = await start(service.url, deck(*evil, fails=evil[3:]))
    async with reading(browser, f"{service.url}/#batch={batch_id}&slide=1") as reader:
        await reader.see(".viewer .prompt:has-text('onerror')")
        await reader.page.evaluate("location.hash = 'open=history'")
        await reader.see(".batch-title:has-text('onerror')")
        await reader.page.wait_for_timeout(100)
        assert await reader.page.evaluate("window.pwned") is None
        assert await reader.page.locator("#app img[src='x'], #app script").count() == 0
