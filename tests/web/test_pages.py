"""Files over HTTP: the pictures, whole and small, and the page."""

import io
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from slideloom.domain.images import NotAPicture
from slideloom.web.page_files import PageFiles
from tests.support.pictures import picture, polyglot
from tests.support.service import Running

WIDE = picture(size=(1600, 900))
POLYGLOT = polyglot(WIDE)


async def keep(service: Running, data: bytes = WIDE) -> str:
    """A kept picture's address."""
    draft = await service.services.images.open_draft(page_num=1)
    await draft.write(data)
    await draft.inspect()
    return f"/assets/{await draft.keep()}"


def thumbnails(service: Running) -> list[Path]:
    return sorted((service.folder / "assets" / ".thumbnails").glob("*"))


@pytest.mark.parametrize(("width", "size"), [(320, (320, 180)), (640, (640, 360)), (1280, None)])
async def test_picture_comes_small_as_webp(
    service: Running, width: int, size: tuple[int, int] | None
) -> None:
    url = await keep(service)
    for _ in range(2):  # made, then found
        async with service.client.get(f"{service.url}{url}?w={width}") as answer:
            assert (answer.status, answer.content_type) == (200, "image/webp")
            small = Image.open(io.BytesIO(await answer.read()))
            assert small.size == (size or (1280, 720))
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(thumbnails(service)) == 1


@pytest.mark.parametrize("query", ["", "?w=", "?w=100", "?w=0640", "?w=-640", "?w=640x", "?x=640"])
async def test_any_other_width_is_ignored(service: Running, query: str) -> None:
    url = await keep(service)
    async with service.client.get(f"{service.url}{url}{query}") as answer:
        assert (answer.status, await answer.read()) == (200, WIDE)
        assert answer.content_type == "image/png"
    assert thumbnails(service) == []


async def test_whole_picture_answers_as_before(service: Running) -> None:
    address = service.url + await keep(service)
    async with service.client.get(address, headers={"Range": "bytes=0-7"}) as answer:
        assert (answer.status, await answer.read()) == (206, WIDE[:8])
    async with service.client.get(address) as answer:
        etag = answer.headers["ETag"]
    async with service.client.get(address, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
    for url in (address, f"{address}?w=320"):
        async with service.client.head(url) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
            assert int(answer.headers["Content-Length"]) > 0
        async with service.client.post(url) as answer:
            assert answer.status == 405


async def test_what_cannot_be_made_small_comes_as_it_is(service: Running) -> None:
    torn = bytearray(picture("JPEG", (64, 36)))
    start = torn.index(b"\xff\xda")
    torn[start + 2 : start + 4] = b"\x00\x00"  # its header and end are whole, its pixels are not
    url = await keep(service, bytes(torn))
    async with service.client.get(f"{service.url}{url}?w=320") as answer:
        assert (answer.status, await answer.read()) == (200, bytes(torn))


async def test_small_copy_is_not_served_when_its_picture_is_gone(service: Running) -> None:
    url = await keep(service)
    async with service.client.get(f"{service.url}{url}?w=320") as answer:
        assert answer.status == 200
    (service.folder / url.removeprefix("/")).unlink()
    for query in ("", "?w=320", "?w=640"):
        assert (await service.get(url + query))[0] == 404
    assert (await service.get(f"/assets/.thumbnails/{thumbnails(service)[0].name}"))[0] == 404
    assert (await service.get(f"/assets/slide_{'0' * 32}.png?w=320"))[0] == 404


async def read_page(service: Running, lang: str) -> str:
    async with service.client.get(service.url, headers={"Accept-Language": lang}) as answer:
        assert "Accept-Language" in answer.headers["Vary"]
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["Content-Encoding"] == "gzip"
        return await answer.text()


async def test_page_names_its_files_by_a_version_that_may_be_kept_for_good(
    service: Running,
) -> None:
    urls = re.findall(r'"(/static/[^"]+\.(?:js|css))"', await read_page(service, "en"))
    assert len(urls) > 20
    assert {url.split("/")[2][:2] for url in urls} == {"v-"}
    for url in urls:
        async with service.client.get(service.url + url) as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_file_asked_for_by_name_or_by_an_old_version_is_asked_for_again(
    service: Running,
) -> None:
    await read_page(service, "en")
    for url in ("/static/main.js", "/static/v-0123456789ab/main.js"):
        async with service.client.get(service.url + url) as answer:
            assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
    for url in ("/static/v-0123456789ab/assets/x.png", "/static/v-0123456789ab/", "/static/"):
        assert (await service.get(url))[0] == 404


@pytest.mark.parametrize(
    ("lang", "tag", "other"), [("en", "en", "zh"), ("zh-TW,zh", "zh-CN", "en")]
)
async def test_page_speaks_and_loads_the_readers_language_alone(
    service: Running, lang: str, tag: str, other: str
) -> None:
    text = await read_page(service, lang)
    assert f'<html lang="{tag}">' in text
    assert f"/words-{tag[:2]}.js" in text
    assert f"/words-{other}.js" not in text


async def test_version_changes_with_any_file_and_compressed_bytes_follow(tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    files = [tmp_path / "a.js", tmp_path / "b.css", tmp_path / "vendor" / "c.js"]
    for path in files:
        path.write_text("x" * 2000)
    page_files = PageFiles(tmp_path)
    page = '<link href="/static/a.js"><img src="/static/logo.svg">'
    named = await page_files.name_version(page)
    assert re.fullmatch(
        r'<link href="/static/v-[0-9a-f]{12}/a.js"><img src="/static/logo.svg">', named
    )
    assert await page_files.name_version(page) == named
    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", b"gzip")]}
    for path in files:
        name = str(path.relative_to(tmp_path))
        first = await page_files.get_response(name, scope)
        assert (await page_files.get_response(name, scope)).body is first.body
        path.write_text("y" * 3000)
        os.utime(path, ns=(0, 0))
        assert (await page_files.get_response(name, scope)).body != first.body
        assert await page_files.name_version(page) != named
        named = await page_files.name_version(page)


@pytest.mark.parametrize("headers", [{"Accept-Encoding": "br"}, {"Range": "bytes=0-99"}])
async def test_who_takes_nothing_compressed_gets_it_as_it_is(
    service: Running, headers: dict[str, str]
) -> None:
    async with service.client.get(f"{service.url}/static/page.css", headers=headers) as answer:
        assert "Content-Encoding" not in answer.headers
        assert (await answer.read()).startswith(b"/* Tokens")
        assert "Accept-Encoding" in answer.headers["Vary"]


# Pictures to keep, and what only looks like one.


@pytest.mark.parametrize("query", ["download=1", "w=640&download=1", "download=1&w=100"])
async def test_picture_is_offered_for_download_when_that_is_asked(
    service: Running, query: str
) -> None:
    url = await keep(service)
    whole, is_small = url.rpartition("/")[2], "w=640" in query
    name = whole.replace(".png", ".webp") if is_small else whole
    async with service.client.get(f"{service.url}{url}?{query}") as answer:
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert answer.content_type == ("image/webp" if is_small else "image/png")
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert is_small or await answer.read() == WIDE
    async with service.client.get(
        f"{service.url}{url}?{query}", headers={"Range": "bytes=0-7"}
    ) as answer:
        assert answer.status in {200, 206}
        assert answer.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "query", ["", "?download=", "?download=0", "?download=true", "?Download=1"]
)
async def test_picture_is_shown_when_no_download_is_asked(service: Running, query: str) -> None:
    url = await keep(service)
    async with service.client.get(f"{service.url}{url}{query}") as answer:
        assert answer.status == 200
        assert "Content-Disposition" not in answer.headers
    async with service.client.get(f"{service.url}/assets/no.png?download=1") as answer:
        assert answer.status == 404
        assert "Content-Disposition" not in answer.headers


async def test_picture_that_is_a_page_too_is_served_as_a_picture(service: Running) -> None:
    url = await keep(service, POLYGLOT)
    for query in ("", "?download=1", "?w=9"):
        async with service.client.get(f"{service.url}{url}{query}") as answer:
            assert await answer.read() == POLYGLOT
            assert answer.headers["Content-Type"] == "image/png"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    async with service.client.get(f"{service.url}{url}?w=320") as answer:
        assert b"<script>" not in await answer.read()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
NOT_PICTURES = {
    "SVG": SVG,
    "SVG behind a prolog": b'<?xml version="1.0"?>' + SVG,
    "page": b"<!doctype html><script>alert(1)</script>",
    "picture with a page behind its end": WIDE + b"<script>alert(1)</script>",
    "page with a picture in it": b"<script>/*" + WIDE + b"*/alert(1)</script>",
    "GIF that is a script": b"GIF89a/*" + b"\0" * 20 + b"*/=alert(1)",
    "PDF": b"%PDF-1.7\n%%EOF",
}


@pytest.mark.parametrize("kind", NOT_PICTURES)
async def test_what_is_no_png_jpeg_or_webp_is_neither_kept_nor_served(
    service: Running, kind: str
) -> None:
    draft = await service.services.images.open_draft(page_num=1)
    await draft.write(NOT_PICTURES[kind])
    with pytest.raises(NotAPicture):
        await draft.inspect()
    await draft.discard()
    for ending in ("svg", "html", "png.svg", "gif"):
        name = f"slide_001_{'a' * 32}.{ending}"
        (service.folder / "assets" / name).write_bytes(NOT_PICTURES[kind])
        assert (await service.get(f"/assets/{name}"))[0] == 404
