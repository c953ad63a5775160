"""Pictures in a folder."""

import asyncio
import re
import time
from io import BufferedWriter
from pathlib import Path

import pytest

from slideloom.domain.images import NotAPicture
from slideloom.errors import StorageFull
from slideloom.stores.files import FileImageStore
from tests.support.pictures import picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "assets"


async def open_store(folder: Path, min_free_mb: int = 0) -> FileImageStore:
    return await FileImageStore.open(folder, min_free_mb=min_free_mb)


@pytest.mark.parametrize(("kind", "extension"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")])
async def test_kept_picture_has_its_true_extension_and_nothing_of_the_user_in_its_name(
    folder: Path, kind: str, extension: str
) -> None:
    store = await open_store(folder)
    draft = await store.open_draft()
    data = picture(kind)
    await draft.write(data[:100])
    await draft.write(memoryview(data)[100:])
    await draft.inspect()
    name = await draft.keep(page_num=7)
    await draft.discard()  # nothing any more
    assert re.fullmatch(rf"slide_007_[0-9a-f]{{32}}\.{extension}", name)
    assert (folder / name).read_bytes() == data
    assert [path.name for path in folder.glob("[!.]*")] == [name]
    await store.close()


async def test_picture_without_a_page_is_named_without_one(folder: Path) -> None:
    store = await open_store(folder)
    draft = await store.open_draft()
    await draft.write(picture())
    await draft.inspect()
    assert re.fullmatch(r"slide_[0-9a-f]{32}\.png", await draft.keep(page_num=None))
    await store.close()


async def test_discarded_draft_leaves_nothing(folder: Path) -> None:
    store = await open_store(folder)
    draft = await store.open_draft()
    await draft.write(b"half a pic")
    with pytest.raises(NotAPicture):
        await draft.inspect()
    await draft.discard()
    assert list(folder.glob("[!.]*")) == list(folder.glob(".part-*")) == []
    await store.close()


async def test_draft_cut_off_while_it_is_opened_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(folder)
    real = store._open_part

    def slowly(path: Path) -> BufferedWriter:
        time.sleep(0.05)
        return real(path)

    monkeypatch.setattr(store, "_open_part", slowly)
    opening = asyncio.create_task(store.open_draft())
    await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await store.close()
    assert list(folder.glob(".part-*")) == []


async def test_rewound_draft_holds_only_what_came_after(folder: Path) -> None:
    store = await open_store(folder)
    draft = await store.open_draft()
    await draft.write(b"a draft picture that is longer than the final one" * 99)
    await draft.rewind()
    await draft.write(picture())
    assert (await draft.inspect()).size_bytes == len(picture())
    await draft.discard()
    await store.close()


async def test_half_written_pictures_of_a_crash_are_swept_at_the_start(folder: Path) -> None:
    folder.mkdir()
    (folder / ".part-0123").write_bytes(b"half")
    (folder / "slide_001_aa.png").write_bytes(b"whole")
    await (await open_store(folder)).close()
    assert [path.name for path in folder.glob("[!.]*")] == ["slide_001_aa.png"]
    assert list(folder.glob(".part-*")) == []


async def test_too_little_room_is_said_before_anything_is_ordered(folder: Path) -> None:
    store = await open_store(folder, min_free_mb=10**9)
    with pytest.raises(StorageFull, match="MB free"):
        await store.check_space()
    await store.close()


async def test_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFull):
        await open_store(tmp_path / "file" / "assets")


async def test_full_device_is_storage_full(folder: Path) -> None:
    store = await open_store(folder)
    draft = await store.open_draft()
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    draft._writer._file = full  # type: ignore[attr-defined]
    with pytest.raises(StorageFull, match="space"):
        await draft.write(b"x" * 100_000)
    full.close()
    await draft.discard()
    await store.close()
