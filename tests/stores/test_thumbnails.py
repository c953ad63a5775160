"""Small copies of pictures: made once, few at a time, gone with their picture."""

import asyncio
import shutil
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slideloom.stores import files
from slideloom.stores.files import FileImageStore
from slideloom.stores.pictures import shrink_to_width
from tests.support.pictures import picture

WHOLE = picture(size=(1600, 900))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileImageStore]:
    opened = await FileImageStore.open(tmp_path, min_free_mb=0)
    yield opened
    await opened.close()


async def keep(store: FileImageStore, data: bytes = WHOLE) -> str:
    draft = await store.open_draft(page_num=1)
    await draft.write(data)
    await draft.inspect()
    return await draft.keep()


def copies(folder: Path) -> list[Path]:
    return sorted((folder / ".thumbnails").glob("*"))


class Shrinker:
    """Counts what is made, and how much of it at once."""

    def __init__(self) -> None:
        self.made = self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, data: bytes, width_px: int) -> bytes:
        with self._lock:
            self.made += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.005)
        with self._lock:
            self.at_once -= 1
        return shrink_to_width(data, width_px)


@pytest.fixture
def shrinker(monkeypatch: pytest.MonkeyPatch) -> Shrinker:
    counted = Shrinker()
    monkeypatch.setattr(files, "shrink_to_width", counted)
    return counted


async def test_many_at_once_are_made_two_at_a_time_and_each_once(
    store: FileImageStore, shrinker: Shrinker
) -> None:
    names = [await keep(store) for _ in range(8)]
    await asyncio.gather(*(store.read_small(name, width_px=320) for name in names))
    assert shrinker.most_at_once <= 2
    assert shrinker.made == len(names)
    await asyncio.gather(*(store.read_small(name, width_px=320) for name in names))
    assert shrinker.made == len(names)


async def test_twenty_readers_of_one_picture_cost_two_copies_at_most(
    store: FileImageStore, shrinker: Shrinker
) -> None:
    name = await keep(store)
    small = await asyncio.gather(*(store.read_small(name, width_px=320) for _ in range(20)))
    assert len(set(small)) == 1
    assert shrinker.made <= 2


async def test_loop_goes_on_while_copies_are_made(store: FileImageStore) -> None:
    names = [await keep(store, picture(size=(1376, 768))) for _ in range(6)]
    making = asyncio.gather(*(store.read_small(name, width_px=640) for name in names))
    turns = 0
    while not making.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert turns > len(names)
    await making


@pytest.mark.parametrize("torn", [b"", b"RIFF", None])
async def test_copy_a_power_cut_tore_is_made_again(
    store: FileImageStore, tmp_path: Path, torn: bytes | None
) -> None:
    name = await keep(store)
    small = await store.read_small(name, width_px=320)
    (path,) = copies(tmp_path)
    path.write_bytes(small[:-1] if torn is None else torn)
    assert await store.read_small(name, width_px=320) == small
    assert path.read_bytes() == small


async def test_next_start_removes_halves_and_copies_without_a_picture(tmp_path: Path) -> None:
    store = await FileImageStore.open(tmp_path, min_free_mb=0)
    stays, goes = await keep(store), await keep(store)
    for name in (stays, goes):
        for width_px in (320, 640):
            await store.read_small(name, width_px=width_px)
    await store.close()
    (tmp_path / ".thumbnails" / ".part-1").touch()
    (tmp_path / goes).unlink()
    await (await FileImageStore.open(tmp_path, min_free_mb=0)).close()
    assert [path.name for path in copies(tmp_path)] == [f"{stays}.{w}.webp" for w in (320, 640)]


async def test_copy_that_cannot_be_kept_is_shown_all_the_same(
    store: FileImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await keep(store)
    expected = await store.read_small(name, width_px=320)
    shutil.rmtree(tmp_path / ".thumbnails")
    monkeypatch.setattr(store, "_min_free_mb", 1 << 40)  # what room is left is for pictures
    assert await store.read_small(name, width_px=320) == expected
    assert copies(tmp_path) == []
