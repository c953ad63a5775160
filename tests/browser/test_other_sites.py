"""What pages of other web sites can do to a service on the reader's own machine: nothing.

Chromium resolves evil.test to this machine, as a name does whose owner has it rebound.
Source: reliability §1.3 and R20.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from msgspec import Struct
from playwright.async_api import Browser, Page, Route

from slideloom.assembly import lanes
from tests.browser.decks import deck, get, post
from tests.support.browser import open_browser
from tests.support.parts import ScriptedProvider
from tests.support.pictures import picture, polyglot
from tests.support.service import Running, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = "evil.test"
FRONT_END = "http://localhost:5173"
"""One of the origins that ALLOWED_ORIGINS holds by default."""
BODY = json.dumps({"slides": [{"title": "paid by somebody else"}], "style_prompt": ""})

ATTACK = """async ([home, body, batch]) => {
  const tell = {};
  const note = async (name, way) => {
    try { tell[name] = String(await way()); } catch (error) { tell[name] = "error " + error; }
  };
  const generate = `${home}/api/slide/batch/generate`;
  const one = `${home}/api/slide/batch/${batch}`;
  const posts = [generate, `${home}/api/slide/generate`, `${one}/cancel`, `${one}/retry`,
    `${one}/slides/s1/regenerate`, `${home}/api/export/pptx`, `${home}/api/sign-in`,
    `${home}/api/sign-out`];
  const types = ["text/plain", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x"];
  for (const url of posts) {
    for (const type of types) {
      await note(`no-cors ${type} ${url}`, async () => (await fetch(url, {method: "POST",
        mode: "no-cors", credentials: "include", headers: {"Content-Type": type}, body})).type);
    }
    await note(`no-cors nothing ${url}`, async () => (await fetch(url, {method: "POST",
      mode: "no-cors", credentials: "include"})).type);
    await note(`cors JSON ${url}`, async () => (await fetch(url, {method: "POST",
      headers: {"Content-Type": "application/json"}, body})).text());
    await note(`cors text ${url}`, async () => (await fetch(url, {method: "POST", body})).text());
    await note(`beacon ${url}`, () => navigator.sendBeacon(url, body));
    await note(`beacon JSON ${url}`,
      () => navigator.sendBeacon(url, new Blob([body], {type: "application/json"})));
  }
  const paths = ["/api/slide/batch", `/api/slide/batch/${batch}`, "/metrics", "/readyz", "/"];
  for (const path of paths) {
    await note(`get ${path}`, async () => (await fetch(home + path)).text());
    await note(`get with cookies ${path}`,
      async () => (await fetch(home + path, {credentials: "include"})).text());
  }
  await note("events", () => new Promise((resolve, reject) => {
    const stream = new EventSource(`${home}/api/slide/batch/${batch}/events`);
    for (const name of ["message", "batch.started", "slide.done"]) {
      stream.addEventListener(name, event => resolve(event.data));
    }
    stream.onerror = () => { stream.close(); reject("no stream"); };
  }));
  await note("socket", () => new Promise((resolve, reject) => {
    const ws = `${home.replace("http", "ws")}/api/slide/batch/${batch}/ws`;
    const socket = new WebSocket(ws);
    socket.onmessage = event => resolve(event.data);
    socket.onerror = () => reject("no socket");
  }));
  for (const tag of ["script", "img"]) {
    await note(`${tag} of the API`, () => new Promise((resolve, reject) => {
      const one = document.createElement(tag);
      one.onload = () => resolve("loaded");
      one.onerror = () => reject("not loaded");
      one.src = `${home}/api/slide/batch/${batch}`;
      document.body.append(one);
    }));
  }
  return tell;
}"""
FORMS = """([home, body]) => {
  const encodings = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
  for (const path of ["/api/slide/batch/generate", "/api/slide/generate", "/api/export/pptx"]) {
    for (const enctype of encodings) {
      const frame = document.createElement("iframe");
      frame.name = `frame ${path} ${enctype}`;
      document.body.append(frame);
      const form = document.createElement("form");
      Object.assign(form, {method: "POST", action: home + path, enctype, target: frame.name});
      const field = document.createElement("input");
      field.name = body.slice(0, -1) + ', "x": "';  // `=` and the end come after it
      field.value = '"}';
      form.append(field);
      document.body.append(form);
      form.submit();
    }
  }
}"""
LOOK = """([url, tag]) => new Promise(resolve => {
  const one = document.createElement(tag);
  one.onload = () => resolve(`loaded ${one.naturalWidth ?? ""}`);
  one.onerror = () => resolve("not loaded");
  one.src = url;
  document.body.append(one);
})"""


class Home(Struct, frozen=True):
    """A service on this machine with one batch, and what must not change in it."""

    service: Running
    provider: ScriptedProvider
    batch_id: str
    image_url: str

    async def check(self, before: Any) -> None:
        """Nothing was made, changed, or paid."""
        assert await self.look() == before

    async def look(self) -> Any:
        """All batches, the one's state, and the calls to the provider."""
        batches = await get(self.service.url, "/slide/batch?limit=200")
        state = await get(self.service.url, f"/slide/batch/{self.batch_id}")
        return batches, state, len(self.provider.calls)

    def read_log(self) -> list[dict[str, Any]]:
        """The requests in the pipeline log."""
        self.service.services.log_writer.flush()
        text = next(self.service.folder.glob("logs/pipeline_*.log")).read_text()
        lines = [json.loads(line) for line in text.split("\n")[:-1]]
        return [line for line in lines if line["event"] == "request"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """The service."""
    provider = ScriptedProvider(seconds=0.0)
    patch = pytest.MonkeyPatch()
    patch.setattr(lanes, "open_providers", lambda _: [provider])
    folder: Path = tmp_path_factory.mktemp("home")
    async with running_service(folder) as service:
        made = await post(service.url, "/slide/batch/generate", deck("One"))
        yield Home(service, provider, made["batch_id"], made["results"][0]["image_url"])
    patch.undo()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def misled() -> AsyncIterator[Browser]:
    """A browser for which evil.test is this machine."""
    rules = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1"
    async with open_browser(rules, "--disable-features=LocalNetworkAccessChecks") as opened:
        yield opened


@asynccontextmanager
async def evil_site() -> AsyncIterator[str]:
    """A web site of somebody else's; its address."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(
            text="<!doctype html><title>evil</title><body>", content_type="text/html"
        )

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://{EVIL}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def open_evil(browser: Browser) -> AsyncIterator[Page]:
    """A page of the evil site, open in the browser."""
    async with evil_site() as url:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(url)
        yield page
        await context.close()


def count_posts(log: list[dict[str, Any]]) -> Counter[int]:
    return Counter(line["status"] for line in log if line["method"] == "POST")


async def test_page_under_a_rebound_name_can_neither_read_nor_send(
    misled: Browser, home: Home
) -> None:
    before, told_before = await home.look(), len(home.read_log())
    port = home.service.url.rpartition(":")[2]
    rebound = f"http://{EVIL}:{port}"
    context = await misled.new_context()
    page = await context.new_page()
    answer = await page.goto(rebound)
    assert answer is not None
    assert answer.status == 421
    assert "ALLOWED_HOSTS" in await answer.text()

    async def serve_evil(route: Route) -> None:  # what the name's owner sent before it was rebound
        await route.fulfill(body="<!doctype html><body>evil", content_type="text/html")

    await page.route(f"{rebound}/evil", serve_evil)
    await page.goto(f"{rebound}/evil")
    assert await page.evaluate("origin") == rebound
    told = await page.evaluate(ATTACK, [rebound, BODY, home.batch_id])
    readable = {way: text for way, text in told.items() if "wrong_host" in text}
    assert len(readable) >= 20  # it is its own origin: it reads that it is refused
    for way, text in told.items():
        assert home.image_url not in text, way
        assert home.batch_id not in text, way
        assert "error" in text or "wrong_host" in text or text in {"basic", "true"}, (way, text)
    log = home.read_log()[told_before:]
    assert {line["status"] for line in log if "active" not in line["path"]} <= {200, 421}
    assert count_posts(log).keys() == {421}
    assert count_posts(log)[421] >= 40
    await home.check(before)
    await context.close()


async def test_page_of_another_site_can_neither_read_nor_send(misled: Browser, home: Home) -> None:
    before, told_before = await home.look(), len(home.read_log())
    async with open_evil(misled) as page:
        told = await page.evaluate(ATTACK, [home.service.url, BODY, home.batch_id])
        await page.wait_for_timeout(300)  # beacons go when they like
    for way, text in told.items():
        assert text.startswith("error") or text in {"opaque", "true"}, (way, text)
    posts = count_posts(home.read_log()[told_before:])
    assert posts.keys() == {403}
    assert posts[403] >= 40
    await home.check(before)


async def test_form_of_another_site_makes_nothing(misled: Browser, home: Home) -> None:
    before, told_before = await home.look(), len(home.read_log())
    async with open_evil(misled) as page:
        await page.evaluate(FORMS, [home.service.url, BODY])
        for _ in range(100):
            posts = count_posts(home.read_log()[told_before:])
            if posts.total() >= 9:
                break
            await asyncio.sleep(0.1)
    assert posts == {403: 9}
    await home.check(before)


async def test_page_without_an_origin_can_neither_read_nor_send(
    misled: Browser, home: Home
) -> None:
    before, told_before = await home.look(), len(home.read_log())
    async with open_evil(misled) as page:
        await page.evaluate(
            "() => { const frame = document.createElement('iframe'); frame.name = 'boxed';"
            " frame.sandbox = 'allow-scripts allow-forms'; frame.srcdoc = '<body>boxed';"
            " document.body.append(frame); }"
        )
        await page.frame_locator("iframe").locator("body:has-text('boxed')").wait_for()
        frame = page.frame("boxed")
        assert frame is not None
        assert await frame.evaluate("origin") == "null"
        told = await frame.evaluate(ATTACK, [home.service.url, BODY, home.batch_id])
        await frame.evaluate(FORMS, [home.service.url, BODY])
        await page.wait_for_timeout(1000)
    for way, text in told.items():
        assert text.startswith("error") or text in {"opaque", "true"}, (way, text)
    posts = count_posts(home.read_log()[told_before:])
    assert posts.keys() == {403}
    assert posts[403] >= 49
    await home.check(before)


async def test_page_of_another_port_of_this_machine_is_another_site(
    misled: Browser, home: Home
) -> None:
    before, told_before = await home.look(), len(home.read_log())
    async with evil_site() as url:
        context = await misled.new_context()
        page = await context.new_page()
        await page.goto(url.replace(EVIL, "127.0.0.1"))
        told = await page.evaluate(ATTACK, [home.service.url, BODY, home.batch_id])
        await context.close()
    for way, text in told.items():
        assert text.startswith("error") or text in {"opaque", "true"}, (way, text)
    assert count_posts(home.read_log()[told_before:]).keys() == {403}
    await home.check(before)


async def test_page_of_a_configured_front_end_can_do_all(misled: Browser, home: Home) -> None:
    context = await misled.new_context()
    page = await context.new_page()

    async def serve(route: Route) -> None:
        await route.fulfill(body="<!doctype html><body>front", content_type="text/html")

    await page.route(f"{FRONT_END}/", serve)
    await page.goto(f"{FRONT_END}/")
    url = f"{home.service.url}/api/slide/batch"
    listed = await page.evaluate("async url => (await fetch(url)).json()", url)
    assert listed["batches"]
    made = await page.evaluate(
        "async ([url, body]) => (await fetch(url, {method: 'POST', body,"
        " headers: {'Content-Type': 'application/json', 'Idempotency-Key': 'k'}})).json()",
        [f"{url}/generate", BODY],
    )
    assert made["successful"] == 1
    await context.close()


async def test_other_sites_may_show_pictures_and_nothing_else(misled: Browser, home: Home) -> None:
    url = home.service.url
    async with open_evil(misled) as page:
        assert await page.evaluate(LOOK, [url + home.image_url, "img"]) == "loaded 160"
        assert await page.evaluate(LOOK, [f"{url}{home.image_url}?w=320", "img"]) != "not loaded"
        assert await page.evaluate(LOOK, [f"{url}/static/logo.svg", "img"]) == "not loaded"
        assert await page.evaluate(LOOK, [f"{url}/static/main.js", "script"]) == "not loaded"
        assert await page.evaluate(LOOK, [f"{url}/api/openapi.json", "script"]) == "not loaded"
        for path in ("/", "/api/docs", home.image_url, "/api/slide/batch"):
            await page.evaluate(LOOK, [url + path, "iframe"])
            assert all(frame.url != url + path for frame in page.frames), path


async def test_picture_that_is_a_page_too_runs_nothing(misled: Browser, home: Home) -> None:
    draft = await home.service.services.images.open_draft(page_num=1)
    await draft.write(polyglot(picture(), b"<!doctype html><script>window.hit = 1</script>"))
    await draft.inspect()
    url = f"{home.service.url}/assets/{await draft.keep()}"
    context = await misled.new_context()
    page = await context.new_page()
    await page.goto(url)
    assert await page.evaluate("[typeof hit, document.contentType, origin]") == [
        *("undefined", "image/png", "null")
    ]
    await context.close()
