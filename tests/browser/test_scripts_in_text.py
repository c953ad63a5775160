"""Scripts in every text that the page shows: none runs, and none becomes a part of the page.

Once as the service sends the page, with its content policy, and once without that policy, so that
the page's own code is proven and not what is behind it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from slideloom.assembly import lanes
from slideloom.errors import ContentBlocked, ProviderError
from slideloom.providers.base import Checked, Drawn, DrawOrder
from slideloom.stores.image_base import Draft
from tests.browser.decks import get, post, start
from tests.support.browser import Reader, reading
from tests.support.pictures import picture
from tests.support.scripts_in_text import SCRIPTS, find_hits, listen, visit
from tests.support.service import Running, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = " ".join(SCRIPTS)
WAITS, FAILS = "waits", "fails"
POLICY = pytest.mark.parametrize(
    "without_policy",
    [pytest.param(False, id="policy", marks=pytest.mark.long), pytest.param(True, id="no policy")],
)
"""Without it nothing else keeps a script from running: the harder case is the one in CI."""


class HostileProvider:
    """Whose every word is a script."""

    name = "images"
    model = SCRIPTS[8]
    bills = True

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        """See `Provider`."""
        words = order.slide.title
        if WAITS in order.slide.visual_desc:
            await asyncio.sleep(60)
        if FAILS in order.slide.visual_desc:
            raise self._fail(words)
        await draft.write(picture())
        return Drawn(
            provider=self.name,
            model=words,
            cost_usd=0.1,
            http_status=200,
            request_id=words,
            usage={words: words},
            revised_prompt=ALL,
        )

    @staticmethod
    def _fail(words: str) -> ProviderError:
        return ContentBlocked(f"{words} said {ALL}"[:500], provider_code=words, request_id=words)

    async def check(self, *models: str) -> Checked:
        """See `Provider`."""
        return Checked(" ".join(models))

    async def close(self) -> None:
        """Nothing is open."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A service whose provider is hostile."""
    patch = pytest.MonkeyPatch()
    patch.setattr(lanes, "open_providers", lambda _: [HostileProvider()])
    folder: Path = tmp_path_factory.mktemp("hostile")
    async with running_service(folder, BATCH_MAX_WORKERS=100, MAX_ATTEMPTS=1) as running:
        yield running
    patch.undo()


def build_deck(visual_desc: str = "", **more: Any) -> dict[str, Any]:
    """A slide for each script, in every text it has."""
    slides = [
        {
            "id": f"{number} {script}"[:128],
            "title": script,
            "content_text": f"{script}\n- {script}",
            "visual_desc": f"{script} {visual_desc}",
            "type": ("cover", "content", "ending")[number % 3],
        }
        for number, script in enumerate(SCRIPTS)
    ]
    deck = {"slides": slides, "style_prompt": ALL, "model": SCRIPTS[7], "max_workers": 100}
    return deck | more


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def batches(service: Running) -> dict[str, str]:
    """One that is done, one that failed, one that goes on and on."""
    made = {
        "done": await start(service.url, build_deck()),
        "failed": await start(service.url, build_deck(FAILS)),
        "running": await start(service.url, build_deck(WAITS), wait=False),
    }
    for script in SCRIPTS[:8]:  # for the list of earlier decks
        await start(service.url, {"slides": [{"title": script}], "style_prompt": script})
    return made


@contextlib.asynccontextmanager
async def hearing(browser: Browser, url: str, *, without_policy: bool) -> AsyncIterator[Reader]:
    """The page, with ears in it."""
    async with reading(browser, url, bypass_csp=without_policy) as reader:
        await listen(reader.context)
        await reader.page.reload()
        yield reader


async def check(reader: Reader, state: str) -> None:
    """Nothing ran, nothing was made of a text, no other host was asked."""
    assert [state, *await find_hits(reader.page)] == [state]
    assert reader.troubles == []


async def go(reader: Reader, place: str, sign: str) -> None:
    """Bring the page somewhere, and wait for its sign."""
    await reader.page.evaluate("place => { location.hash = place }", place)
    await reader.see(sign)


@POLICY
async def test_no_text_of_a_deck_runs_while_it_is_made_or_when_it_is_done(
    browser: Browser,
    service: Running,
    batches: dict[str, str],
    without_policy: bool,  # noqa: FBT001 - a case of the table
) -> None:
    async with hearing(browser, service.url, without_policy=without_policy) as reader:
        for state, sign in (
            ("running", ".frame.is-generating"),
            ("done", ".state-completed"),
            ("failed", ".state-failed"),
        ):
            await go(reader, f"batch={batches[state]}", sign)
            assert SCRIPTS[0] in await reader.page.locator("main").inner_text()
            await check(reader, state)
        for state in ("done", "failed"):
            place = f"batch={batches[state]}&slide="
            await go(reader, f"{place}1", ".viewer .prompt")
            every = [f"{place}{number}" for number in range(2, len(SCRIPTS) + 1)]
            assert await visit(reader.page, every, wait_ms=30) == []
            await reader.see(f".viewer h2:has-text('{len(SCRIPTS)}')")
            await reader.page.get_by_text("Log of this slide").click()
            await reader.see(".slide-log .attempts li")
            await check(reader, f"log of a slide of {state}")
            await go(reader, f"batch={batches[state]}&open=log", ".records")
            await reader.page.evaluate(
                "document.querySelectorAll('details').forEach(one => { one.open = true })"
            )
            await check(reader, f"log of {state}")


@POLICY
async def test_no_title_runs_in_the_list_of_earlier_decks(
    browser: Browser,
    service: Running,
    batches: dict[str, str],
    without_policy: bool,  # noqa: FBT001 - a case of the table
) -> None:
    del batches
    async with hearing(browser, service.url, without_policy=without_policy) as reader:
        await go(reader, "open=history", ".batch")
        assert "<img" in await reader.page.locator(".batches").inner_text()
        await check(reader, "history")


@POLICY
async def test_no_text_runs_in_the_editor(
    browser: Browser,
    service: Running,
    without_policy: bool,  # noqa: FBT001 - a case of the table
) -> None:
    async with hearing(browser, service.url, without_policy=without_policy) as reader:
        page = reader.page
        for name, text in (
            ("x.json", json.dumps(build_deck(extra={"__proto__": ALL}))),
            ("<img class=hit src=x onerror=hit()>.md", to_markdown()),
            ("x.json", "{" + ALL),  # cannot be read; the words say why
        ):
            await page.evaluate("location.hash = 'view=new'")
            upload: Any = {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
            await page.locator("input[type=file]").set_input_files(upload)
            await reader.see(".compose, .dropzone .note")
            await check(reader, f"editor of {name}")
        for number in (1, 8, 14, len(SCRIPTS)):
            await go(reader, f"page={number}", ".editor")
            await check(reader, f"page {number} in the editor")
            await page.keyboard.press("Escape")


def to_markdown() -> str:
    """A slide for each script."""
    return "\n\n".join(f"# {script}\n{script}\n- {script}\n" for script in SCRIPTS)


@POLICY
async def test_no_draft_that_a_browser_kept_runs(
    browser: Browser,
    service: Running,
    without_policy: bool,  # noqa: FBT001 - a case of the table
) -> None:
    async with hearing(browser, service.url, without_policy=without_policy) as reader:
        for draft in list_drafts():
            await reader.page.evaluate(
                "draft => { for (const name of ['deck', 'sent', 'theme', 'lang'])"
                " localStorage.setItem('slideloom.' + name, JSON.stringify(draft)) }",
                draft,
            )
            await reader.page.reload()
            await reader.see(".compose, .intake")
            await check(reader, f"draft {str(draft)[:60]}")
            places = ["page=1", "page=9", "view=new", ""]
            assert await visit(reader.page, places, wait_ms=60) == []


def list_drafts() -> Sequence[Any]:
    """What a browser may have kept for the page, by another version or another hand."""
    pages = [
        {**slide, "page_num": number, "leftOut": False, "key": ALL}
        for number, slide in enumerate(build_deck()["slides"], 1)
    ]
    whole = {
        "pages": pages,
        "style": ALL,
        "deckStyle": ALL,
        "ratio": SCRIPTS[9],
        "workers": 3,
        "budget": SCRIPTS[7],
        "coverLeads": True,
        "preset": SCRIPTS[13],
        "extras": {script: script for script in SCRIPTS},
        "batchId": SCRIPTS[8],
    }
    # What Preact takes for an element, once it has seen it twice.
    props = {"class": "hit", "src": "x", "dangerouslySetInnerHTML": {"__html": SCRIPTS[7]}}
    vnode = {"type": "p", "props": props, "key": None, "ref": None, "__b": 1}
    return (
        whole,
        *({**whole, name: vnode} for name in whole),
        *(
            {**whole, "pages": [{**pages[0], name: vnode}]}
            for name in ("id", "page_num", "type", "title", "content_text", "visual_desc")
        ),
        SCRIPTS[7],
        vnode,
        [vnode],
    )


@pytest.mark.long
@POLICY
async def test_nothing_in_the_address_runs(
    browser: Browser,
    service: Running,
    batches: dict[str, str],
    without_policy: bool,  # noqa: FBT001 - a case of the table
) -> None:
    done = f"batch={batches['done']}"
    starts = ("", "batch=", "view=", "open=", f"{done}&slide=", f"{done}&open=", "page=")
    places = [start + text for start in starts for text in SCRIPTS]
    places += map(quote, places[:: len(starts)])
    async with hearing(browser, service.url, without_policy=without_policy) as reader:
        assert await visit(reader.page, places, wait_ms=10) == []
        await reader.page.wait_for_timeout(500)
        await check(reader, "address")


@pytest.mark.long
@POLICY
async def test_nothing_the_api_viewer_is_shown_runs(
    browser: Browser,
    service: Running,
    without_policy: bool,  # noqa: FBT001 - a case of the table
) -> None:
    async with hearing(browser, f"{service.url}/api/docs", without_policy=without_policy) as reader:
        await reader.see("rapi-doc")
        for script in (SCRIPTS[7], SCRIPTS[46]):
            await reader.page.goto(f"{service.url}/api/docs?x={quote(script)}#{quote(script)}")
            await reader.see("rapi-doc")
            assert await reader.page.evaluate("hits") == []
        for script in SCRIPTS:
            await reader.page.evaluate("place => { location.hash = place }", script)
        await reader.page.wait_for_timeout(500)
        assert await reader.page.evaluate("hits") == []
        assert reader.troubles == []


async def test_script_that_ran_would_be_seen(browser: Browser, service: Running) -> None:
    async with hearing(browser, service.url, without_policy=True) as reader:
        await reader.page.evaluate(
            "text => { document.body.insertAdjacentHTML('beforeend', text) }", SCRIPTS[7]
        )
        await reader.page.wait_for_function("hits.length > 0")
        hits = await find_hits(reader.page)
        assert any(hit.startswith("script") for hit in hits)
        assert any(hit.startswith("element") for hit in hits)
        assert any(hit.startswith("attribute onerror") for hit in hits)
        reader.troubles.clear()


async def test_every_script_reaches_the_page_as_it_was_sent(
    service: Running, batches: dict[str, str]
) -> None:
    assert len(SCRIPTS) >= 50
    for batch_id in batches.values():
        told = await get(service.url, f"/slide/batch/{batch_id}")
        assert [slide["title"] for slide in told["results"]] == list(SCRIPTS)
    refused = await post(service.url, "/slide/batch/generate", {"slides": [{"title": 1}]})
    assert refused["code"] == "invalid_request"
