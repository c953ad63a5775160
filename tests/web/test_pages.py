"""Files over HTTP: the pictures, whole and small, and the page."""

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.support.pictures import picture
from tests.support.service import Running

WIDE = picture(size=(1600, 900))


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
