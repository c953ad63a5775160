"""Every image store keeps the same promises: one test file for all of them."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from slideloom.domain.images import FitMode, NotAPicture, inspect_picture
from slideloom.domain.ratio import Ratio
from slideloom.errors import StoreError
from slideloom.stores.files import FileImageStore
from slideloom.stores.image_base import ImageStore
from slideloom.stores.objects import ObjectImageStore
from slideloom.stores.pictures import shrink_reference
from tests.support.parts import MemoryImageStore
from tests.support.pictures import encode, picture

WIDE = Ratio(16, 9)


@pytest.fixture(params=["files", "memory", pytest.param("objects", marks=pytest.mark.slow)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ImageStore]:
    if request.param == "memory":
        yield MemoryImageStore()
    elif request.param == "objects":
        place = request.getfixturevalue("shared_bucket").take_place()
        objects = await ObjectImageStore.open(place, tmp_path, min_free_mb=0)
        yield objects
        await objects.close()
    else:
        files = await FileImageStore.open(tmp_path / "assets", min_free_mb=0)
        yield files
        await files.close()


async def keep(store: ImageStore, data: bytes) -> str:
    draft = await store.open_draft(page_num=1)
    await draft.write(data)
    await draft.inspect()
    return await draft.keep()


async def test_kept_picture_can_be_read(store: ImageStore) -> None:
    assert await store.read(await keep(store, picture())) == picture()


async def test_kept_picture_can_be_read_small(store: ImageStore) -> None:
    name = await keep(store, picture(size=(800, 450)))
    small = inspect_picture(io.BytesIO(await store.read_small(name, width_px=320)))
    assert (small.type, small.width_px, small.height_px) == ("webp", 320, 180)


async def test_kept_picture_comes_in_pieces_too(store: ImageStore) -> None:
    data = encode(Image.new("RGB", (1000, 800)), compress_level=0)
    assert len(data) > 2_000_000
    name = await keep(store, data)
    assert await asyncio.to_thread(lambda: b"".join(store.read_pieces(name))) == data


async def test_kept_picture_is_found_by_its_stem(store: ImageStore) -> None:
    draft = await store.open_draft(page_num=None)
    await draft.write(picture())
    assert await store.find_kept(draft.stem) is None
    facts = await draft.inspect()
    name = await draft.keep()
    assert await store.find_kept(draft.stem) == (name, facts)
    assert await store.find_kept("../secret") is None


async def test_kept_pictures_are_told_from_others(store: ImageStore) -> None:
    kept = {await keep(store, picture()) for _ in range(3)}
    gone = f"slide_001_{'f' * 32}.png"
    found = await store.measure([*kept, gone, "", "..", "/etc/passwd"])
    assert found == {name: len(await store.read(name)) for name in kept}
    assert await store.measure([]) == {}


@pytest.mark.parametrize(
    "name",
    [f"slide_001_{'f' * 32}.png", "", ".", "../secret", "/etc/passwd", "slide_001_\0.png"],
)
async def test_what_is_not_kept_cannot_be_read(store: ImageStore, name: str) -> None:
    with pytest.raises(StoreError):
        await store.read(name)
    with pytest.raises(StoreError):
        await store.read_small(name, width_px=320)
    with pytest.raises(StoreError):
        await store.read_reference(name)


async def test_reference_is_kept_under_the_hash_of_its_bytes(store: ImageStore) -> None:
    data = picture("WEBP")
    _, small = shrink_reference(data)
    names = await asyncio.gather(*(store.keep_reference(data) for _ in range(5)))
    assert set(names) == {f"ref_{hashlib.sha256(small).hexdigest()}.jpg"}
    assert await store.keep_reference(data) == names[0]
    assert await store.read_reference(names[0]) == small
    image = await keep(store, data)
    assert await store.read_as_reference(image) == small


async def test_pictures_and_references_are_not_mixed_up(store: ImageStore) -> None:
    image, reference = await keep(store, picture()), await store.keep_reference(picture())
    assert set(await store.measure([image, reference])) == {image}
    with pytest.raises(StoreError):
        await store.read(reference)
    with pytest.raises(StoreError):
        await store.read_reference(image)


async def test_what_is_no_picture_is_no_reference(store: ImageStore) -> None:
    broken = picture().replace(b"IDAT", b"IDAT\xff\xff", 1)
    for data in (b"<svg/>", broken):
        with pytest.raises(NotAPicture):
            await store.keep_reference(data)
    with pytest.raises(NotAPicture):
        await store.keep_reference(b"<svg/>")


@pytest.mark.parametrize(("mode", "size"), [("crop", (400, 225)), ("pad", (711, 400))])
async def test_fitted_draft_is_kept_as_it_was_fitted(
    store: ImageStore, mode: FitMode, size: tuple[int, int]
) -> None:
    draft = await store.open_draft(page_num=1)
    await draft.write(picture("PNG", (400, 400)))
    facts = await draft.fit(WIDE, mode)
    assert (facts.type, facts.width_px, facts.height_px) == ("png", *size)
    data = await store.read(await draft.keep())
    assert len(data) == facts.size_bytes
    again = await store.open_draft(page_num=1)
    await again.write(data)
    assert await again.inspect() == facts
    await again.discard()


async def test_draft_that_fits_stays_as_it_is(store: ImageStore) -> None:
    data = picture("PNG", (1376, 768))
    draft = await store.open_draft(page_num=1)
    await draft.write(data)
    assert (await draft.fit(WIDE, "crop")).width_px == 1376
    assert await store.read(await draft.keep()) == data


async def test_draft_that_is_no_picture_is_not_fitted(store: ImageStore) -> None:
    draft = await store.open_draft(page_num=1)
    await draft.write(picture()[:-20])
    with pytest.raises(NotAPicture):
        await draft.fit(WIDE, "crop")
    await draft.discard()
