"""Pictures in a folder."""

import asyncio
import os
import re
import threading
import time
from io import BufferedRandom
from pathlib import Path

import pytest

from slideloom.domain.images import FitMode, NotAPicture
from slideloom.domain.ratio import Ratio
from slideloom.errors import StorageFull, StoreError, StoreUnusable
from slideloom.stores import drafts
from slideloom.stores.files import FileImageStore
from slideloom.stores.pictures import shrink_reference
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
    draft = await store.open_draft(page_num=7)
    data = picture(kind)
    await draft.write(data[:100])
    await draft.write(memoryview(data)[100:])
    await draft.inspect()
    name = await draft.keep()
    await draft.discard()  # nothing any more
    assert re.fullmatch(rf"slide_007_[0-9a-f]{{32}}\.{extension}", name)
    assert (folder / name).read_bytes() == data
    assert [path.name for path in folder.glob("[!.]*")] == [name]
    await store.close()


async def test_picture_without_a_page_is_named_without_one(folder: Path) -> None:
    store = await open_store(folder)
    draft = await store.open_draft(page_num=None)
    await draft.write(picture())
    await draft.inspect()
    assert re.fullmatch(r"slide_[0-9a-f]{32}\.png", await draft.keep())
    await store.close()


async def test_discarded_draft_leaves_nothing(folder: Path) -> None:
    store = await open_store(folder)
    draft = await store.open_draft(page_num=1)
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
    real = store._drafts._open_part

    def slowly(path: Path) -> BufferedRandom:
        time.sleep(0.05)
        return real(path)

    monkeypatch.setattr(store._drafts, "_open_part", slowly)
    opening = asyncio.create_task(store.open_draft(page_num=1))
    await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await store.close()
    assert list(folder.glob(".part-*")) == []


async def test_rewound_draft_holds_only_what_came_after(folder: Path) -> None:
    store = await open_store(folder)
    draft = await store.open_draft(page_num=1)
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
    draft = await store.open_draft(page_num=1)
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    draft._part.writer._file = full  # type: ignore[attr-defined]
    with pytest.raises(StorageFull, match="space"):
        await draft.write(b"x" * 100_000)
    full.close()
    await draft.discard()
    await store.close()


async def draft_of(store: FileImageStore, data: bytes) -> drafts.FileDraft:
    draft = await store.open_draft(page_num=1)
    await draft.write(data)
    return draft


async def test_disk_that_fills_up_while_fitting_leaves_the_paid_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(folder)
    data = picture("PNG", (400, 400))
    draft = await draft_of(store, data)
    with monkeypatch.context() as patch, Path("/dev/full").open("wb", buffering=0) as full:
        patch.setattr(store._drafts, "_open_part", lambda _: full)
        with pytest.raises(StorageFull, match="space"):
            await draft.fit(Ratio(16, 9), "crop")
    assert (folder / await draft.keep()).read_bytes() == data
    assert list(folder.glob(".part-*")) == []
    await store.close()


@pytest.mark.slow
async def test_draft_cut_off_at_any_moment_of_fitting_is_whole(folder: Path) -> None:
    store = await open_store(folder)
    for tenths_of_ms in range(0, 100, 3):
        draft = await draft_of(store, picture("PNG", (400, 400)))
        fitting = asyncio.create_task(draft.fit(Ratio(16, 9), "crop"))
        await asyncio.sleep(tenths_of_ms / 10_000)
        fitting.cancel()
        await asyncio.gather(fitting, return_exceptions=True)
        facts = await draft.inspect()
        assert (facts.width_px, facts.height_px) in {(400, 400), (400, 225)}
        await draft.discard()
    await store.close()
    assert list(folder.glob(".part-*")) == []


@pytest.mark.parametrize(
    ("step", "nth"), [("_fit", 1), ("_inspect", 1), ("_inspect", 2), ("_remove", 1)]
)
async def test_draft_cut_off_in_a_slow_step_of_fitting_is_whole_and_leaves_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, nth: int
) -> None:
    store = await open_store(folder)
    draft = await draft_of(store, picture("PNG", (400, 400)))
    await draft.inspect()
    real, begun, calls = getattr(drafts, step), threading.Event(), 0

    def slowly(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth:
            begun.set()
            time.sleep(0.05)
        return real(*arguments)

    monkeypatch.setattr(drafts, step, slowly)
    fitting = asyncio.create_task(draft.fit(Ratio(16, 9), "crop"))
    await asyncio.to_thread(begun.wait)
    fitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fitting
    facts = await draft.inspect()
    assert (facts.width_px, facts.height_px) in {(400, 400), (400, 225)}
    await draft.discard()
    assert list(folder.glob(".part-*")) == []
    await store.close()


async def test_loop_runs_on_while_pictures_are_fitted_two_at_a_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(folder)
    under_way, most, guard = 0, 0, threading.Lock()

    def slowly(path: Path, _: Ratio, __: FitMode) -> bytes:
        nonlocal under_way, most
        with guard:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.03)
        with guard:
            under_way -= 1
        return path.read_bytes()

    monkeypatch.setattr(drafts, "_fit", slowly)
    made = [await draft_of(store, picture("PNG", (400, 400))) for _ in range(6)]
    fitting = asyncio.gather(*(draft.fit(Ratio(16, 9), "crop") for draft in made))
    turns = 0
    while not fitting.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert most == 2
    assert turns > 20
    await asyncio.gather(*(draft.discard() for draft in made))
    await store.close()


async def test_references_lie_hidden_and_half_written_ones_are_swept(folder: Path) -> None:
    store = await open_store(folder)
    name = await store.keep_reference(picture())
    assert [path.name for path in folder.glob("[!.]*")] == []
    references = folder / ".references"
    assert [path.name for path in references.iterdir()] == [name]
    await store.close()
    (references / ".part-0123").write_bytes(b"half")
    again = await open_store(folder)
    assert [path.name for path in references.iterdir()] == [name]
    assert await again.read_reference(name) == shrink_reference(picture())[1]
    await again.close()


async def test_reference_needs_the_room_that_a_picture_needs(folder: Path) -> None:
    store = await open_store(folder, min_free_mb=10**9)
    with pytest.raises(StorageFull, match="MB free"):
        await store.keep_reference(picture())
    await store.close()


async def test_reference_that_the_disk_does_not_take_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store = await open_store(folder)
    with monkeypatch.context() as patch:
        patch.setattr("slideloom.stores.references.publish", fail)
        with pytest.raises(StorageFull, match="space"):
            await store.keep_reference(picture())
    assert list((folder / ".references").iterdir()) == []
    name = await store.keep_reference(picture())
    assert await store.read_reference(name) == shrink_reference(picture())[1]
    await store.close()


async def test_picture_that_cannot_be_read_is_a_store_error(folder: Path) -> None:
    store = await open_store(folder)
    name = f"slide_001_{'a' * 32}.png"
    (folder / name).mkdir()
    with pytest.raises(StoreError, match="could not be read"):
        await store.read(name)
    assert await store.measure([name]) == {}
    await store.close()


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
async def test_what_is_no_plain_file_is_not_opened(folder: Path, tmp_path: Path, what: str) -> None:
    store = await open_store(folder)
    name = f"slide_001_{'a' * 32}.png"
    match what:
        case "link":
            (tmp_path / "outside.png").write_bytes(picture())
            (folder / name).symlink_to(tmp_path / "outside.png")
        case "pipe":
            os.mkfifo(folder / name)  # whoever opens one waits for its writer
        case _:
            (folder / name).mkdir()
    with pytest.raises(StoreError, match="could not be read"):
        await store.read(name)
    with pytest.raises(StoreError, match="could not be read"):
        await store.read_small(name, width_px=320)
    with pytest.raises(StoreError, match="could not be read"):
        list(store.read_pieces(name))
    assert await store.measure([name]) == {}
    assert await store.find_kept(f"slide_001_{'a' * 32}") is None
    await store.close()


async def test_picture_that_is_being_kept_when_its_slide_is_cut_off_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(folder)
    draft = await draft_of(store, picture())
    await draft.inspect()
    fsync = os.fsync

    def slowly(file: int) -> None:
        time.sleep(0.1)
        fsync(file)

    monkeypatch.setattr("slideloom.stores.drafts.os.fsync", slowly)
    keeping = asyncio.create_task(draft.keep())
    await asyncio.sleep(0.02)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    await draft.discard()
    await asyncio.sleep(0.5)
    assert await store.find_kept(draft.stem) is not None
    assert list(folder.glob(".part-*")) == []
    await store.close()


async def test_old_pictures_are_deleted_with_their_small_copies_and_nothing_else(
    folder: Path,
) -> None:
    store = await open_store(folder)
    names = []
    for page_num in (1, 2):
        draft = await store.open_draft(page_num=page_num)
        await draft.write(picture(size=(800, 450)))
        await draft.inspect()
        names.append(await draft.keep())
        await store.read_small(names[-1], width_px=320)
    (folder / "logo.png").write_bytes(b"not ours")
    for path in (folder / names[0], folder / "logo.png"):
        os.utime(path, (1000, 1000))
    assert await store.forget_old(before_s=2000) == 1
    assert {path.name for path in folder.glob("[!.]*")} == {names[1], "logo.png"}
    assert [path.name for path in folder.glob(".thumbnails/*")] == [f"{names[1]}.320.webp"]
    await store.close()


async def test_shared_folder_is_swept_by_the_first_and_of_old_drafts_by_every_later_one(
    folder: Path,
) -> None:
    folder.mkdir(exist_ok=True)
    (folder / ".part-crash").touch()
    first = await FileImageStore.open(folder, min_free_mb=0, shared=True)
    assert not (folder / ".part-crash").exists()
    old, young = folder / ".part-old", folder / ".part-young"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    second = await FileImageStore.open(folder, min_free_mb=0, shared=True)
    assert (old.exists(), young.exists()) == (False, True)
    with pytest.raises(StoreUnusable):
        await open_store(folder)
    await first.close()
    await second.close()
    await (await open_store(folder)).close()
    assert not young.exists()
