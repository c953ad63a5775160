"""Pictures in object storage: what is more than every image store promises."""

import asyncio
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slideloom.errors import StorageFull, StoreError
from slideloom.stores.object_link import ObjectLink, ObjectPlace
from slideloom.stores.objects import ObjectImageStore
from tests.support.buckets import (
    KEY,
    SECRET,
    BucketServer,
    list_names,
    refusing_server,
)
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.pictures import picture

pytestmark = pytest.mark.slow
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def place(shared_bucket: BucketServer) -> ObjectPlace:
    return shared_bucket.take_place()


@pytest.fixture
async def store(place: ObjectPlace, tmp_path: Path) -> AsyncIterator[ObjectImageStore]:
    opened = await open_store(place, tmp_path)
    yield opened
    await opened.close()


async def open_store(place: ObjectPlace, folder: Path, min_free_mb: int = 0) -> ObjectImageStore:
    return await ObjectImageStore.open(place, folder, min_free_mb=min_free_mb)


async def keep(store: ObjectImageStore, data: bytes | None = None) -> str:
    draft = await store.open_draft(page_num=7)
    await draft.write(data or picture())
    await draft.inspect()
    return await draft.keep()


def files(folder: Path) -> list[str]:
    """What lies in the folder, locks apart."""
    return [path.name for path in folder.rglob("*") if path.is_file() and "lock" not in path.name]


@pytest.mark.parametrize(
    ("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
async def test_kept_picture_is_an_object_of_its_type_that_never_changes_and_no_file(
    place: ObjectPlace, store: ObjectImageStore, tmp_path: Path, kind: str, media_type: str
) -> None:
    name = await keep(store, picture(kind))
    assert list_names(place) == [name]
    attributes = ObjectLink(place)._reader.get(name).attributes
    assert attributes["Content-Type"] == media_type
    assert attributes["Cache-Control"] == "public, max-age=31536000, immutable"
    assert files(tmp_path) == []


async def test_discarded_draft_leaves_nothing(
    place: ObjectPlace, store: ObjectImageStore, tmp_path: Path
) -> None:
    draft = await store.open_draft(page_num=1)
    await draft.write(b"half a pic")
    await draft.discard()
    assert (files(tmp_path), list_names(place)) == ([], [])


async def test_what_is_put_twice_stays_as_it_was(place: ObjectPlace) -> None:
    link = ObjectLink(place)
    for data in (b"first", b"second"):
        link.put("x", data, media_type="image/png")
    assert link.find("x") == b"first"


async def test_picture_that_is_being_uploaded_when_its_slide_is_cut_off_is_kept(
    store: ObjectImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, begun = store._link.put, threading.Event()

    def slowly(name: str, data: bytes, *, media_type: str) -> None:
        begun.set()
        time.sleep(0.1)
        put(name, data, media_type=media_type)

    monkeypatch.setattr(store._link, "put", slowly)
    draft = await store.open_draft(page_num=1)
    await draft.write(picture())
    facts = await draft.inspect()
    keeping = asyncio.create_task(draft.keep())
    await asyncio.to_thread(begun.wait)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    await draft.discard()
    async with asyncio.timeout(5):
        while (found := await store.find_kept(draft.stem)) is None or files(tmp_path):
            await asyncio.sleep(0.02)
    assert found[1] == facts


async def test_another_process_finds_what_a_crash_left_unrecorded(
    place: ObjectPlace, store: ObjectImageStore, tmp_path: Path
) -> None:
    name = await keep(store, picture("WEBP"))
    stem, link = f"slide_{uuid.uuid4().hex}", ObjectLink(place)
    link.put(f"{stem}.png", b"no picture", media_type="image/png")
    other = await open_store(place, tmp_path / "other")
    found = await other.find_kept(name.removesuffix(".webp"))
    assert found is not None
    assert found[0] == name
    assert await other.find_kept(stem) is None
    await other.close()


async def test_drafts_of_a_dead_process_are_swept_and_those_of_a_living_one_are_not(
    place: ObjectPlace, store: ObjectImageStore, tmp_path: Path
) -> None:
    dead = tmp_path / ".uploads" / "0123"
    dead.mkdir()
    (dead / ".part-0").write_bytes(b"half")
    draft = await store.open_draft(page_num=1)
    await draft.write(picture())
    await draft.inspect()
    other = await open_store(place, tmp_path)
    assert not dead.exists()
    assert await store.read(await draft.keep()) == picture()
    await other.close()


async def test_nothing_is_left_in_the_folder_after_an_orderly_end(
    place: ObjectPlace, tmp_path: Path
) -> None:
    store = await open_store(place, tmp_path)
    await keep(store)
    await store.close()
    assert [path.name for path in (tmp_path / ".uploads").iterdir()] == [".slideloom.lock"]


async def test_small_copy_is_made_once_and_kept_beside_the_pictures(
    place: ObjectPlace, store: ObjectImageStore
) -> None:
    name = await keep(store, picture(size=(800, 450)))
    smalls = await asyncio.gather(*(store.read_small(name, width_px=320) for _ in range(3)))
    assert set(smalls) == {await store.read_small(name, width_px=320)}
    assert list_names(place) == [f".thumbnails/{name}.320.webp", name]
    ObjectLink(place).delete([name])
    with pytest.raises(StoreError, match="no picture"):  # a copy does not outlive its picture
        await store.read_small(name, width_px=320)


async def test_old_pictures_go_with_their_small_copies_and_nothing_else(
    place: ObjectPlace, store: ObjectImageStore
) -> None:
    name, reference = await keep(store), await store.keep_reference(picture())
    await store.read_small(name, width_px=320)
    ObjectLink(place).put("logo.png", b"not ours", media_type="image/png")
    assert await store.forget_old(before_s=time.time() - 3600) == 0
    assert len(list_names(place)) == 4
    assert await store.forget_old(before_s=time.time() + 3600) == 1
    assert list_names(place) == [f".references/{reference}", "logo.png"]


async def test_two_places_of_a_bucket_know_nothing_of_each_other(
    shared_bucket: BucketServer, store: ObjectImageStore, tmp_path: Path
) -> None:
    name = await keep(store)
    other = await open_store(shared_bucket.take_place(), tmp_path)
    assert await other.measure([name]) == {}
    with pytest.raises(StoreError):
        await other.read(name)
    await other.close()


async def test_many_pictures_are_measured_a_few_at_a_time(
    store: ObjectImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {await keep(store) for _ in range(3)}
    gone = {f"slide_{number:032x}.png" for number in range(40)}
    find_size, under_way, most, guard = store._link.find_size, 0, 0, threading.Lock()

    def count(name: str) -> int | None:
        nonlocal under_way, most
        with guard:
            under_way += 1
            most = max(most, under_way)
        try:
            return find_size(name)
        finally:
            with guard:
                under_way -= 1

    monkeypatch.setattr(store._link, "find_size", count)
    assert set(await store.measure(kept | gone)) == kept
    assert 1 < most <= 8


async def test_folder_without_room_is_said_before_anything_is_ordered(
    place: ObjectPlace, tmp_path: Path
) -> None:
    store = await open_store(place, tmp_path, min_free_mb=10**9)
    for ask in (store.check_space(), store.open_draft(page_num=1), store.keep_reference(b"")):
        with pytest.raises(StorageFull, match="MB free"):
            await ask
    await store.close()


@pytest.fixture
async def proxy(shared_bucket: BucketServer) -> AsyncIterator[FaultProxy]:
    """In front of the bucket's server."""
    async with fault_proxy(shared_bucket.url) as made:
        yield made


def send_to(proxy: FaultProxy, url: str) -> None:
    """From now on all that comes there."""
    proxy.target = url
    proxy.cut()


async def test_bucket_that_is_away_is_noticed_by_one_for_all_and_used_when_it_is_back(
    shared_bucket: BucketServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    store = await open_store(shared_bucket.take_place(endpoint_url=proxy.url), tmp_path)
    await store.check_space()
    send_to(proxy, NOWHERE)
    store._proof.doubt()
    before = proxy.connections
    tries = (store.open_draft(page_num=n) for n in range(1, 51))
    failures = await asyncio.gather(*tries, return_exceptions=True)
    assert {str(failure) for failure in failures} == {
        "object storage takes no picture: it cannot be reached"
    }
    assert all(isinstance(failure, StorageFull) for failure in failures)
    assert proxy.connections - before < 10, "not each asked"
    assert files(tmp_path) == []
    send_to(proxy, shared_bucket.url)
    store._proof._bad_until_s = 0.0  # as if three seconds had passed
    assert await store.read(await keep(store)) == picture()
    await store.close()


async def test_picture_that_is_not_taken_is_storage_full_and_asks_for_a_probe(
    shared_bucket: BucketServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    store = await open_store(shared_bucket.take_place(endpoint_url=proxy.url), tmp_path)
    draft = await store.open_draft(page_num=1)
    await draft.write(picture())
    await draft.inspect()
    async with refusing_server(403, "AccessDenied") as refuses:
        send_to(proxy, refuses)
        with pytest.raises(StorageFull, match="may not do this there"):
            await draft.keep()
        await draft.discard()
        with pytest.raises(StorageFull, match="may not do this there"):
            await store.check_space()
    assert files(tmp_path) == []
    await store.close()


async def test_short_outage_loses_no_picture_that_is_on_its_way(
    shared_bucket: BucketServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    store = await open_store(shared_bucket.take_place(endpoint_url=proxy.url), tmp_path)
    draft = await store.open_draft(page_num=1)
    await draft.write(picture())
    await draft.inspect()
    send_to(proxy, NOWHERE)
    keeping = asyncio.create_task(draft.keep())
    await asyncio.sleep(0.5)
    send_to(proxy, shared_bucket.url)
    assert await store.read(await keeping) == picture()
    await store.close()


async def test_bucket_that_cannot_be_read_is_a_store_error(
    shared_bucket: BucketServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    store = await open_store(shared_bucket.take_place(endpoint_url=proxy.url), tmp_path)
    name = await keep(store)
    async with refusing_server(403, "AccessDenied") as refuses:
        send_to(proxy, refuses)
        for ask in (
            store.read(name),
            store.read_small(name, width_px=320),
            store.measure([name]),
            store.find_piece(name, start=0),
            store.find_kept(name.removesuffix(".png")),
            store.forget_old(before_s=0),
            asyncio.to_thread(lambda: list(store.read_pieces(name))),
        ):
            with pytest.raises(StoreError, match="may not do this there"):
                await ask
    await store.close()


async def test_storage_that_never_answers_is_given_up_soon_though_every_thread_waits_for_it(
    shared_bucket: BucketServer, proxy: FaultProxy, tmp_path: Path
) -> None:
    store = await open_store(shared_bucket.take_place(endpoint_url=proxy.url), tmp_path)
    name = await keep(store)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        send_to(proxy, f"http://127.0.0.1:{silent.getsockname()[1]}")
        reading = [asyncio.create_task(store.read(name)) for _ in range(20)]
        await asyncio.sleep(0.1)
        store._proof.doubt()
        begun_s = time.monotonic()
        with pytest.raises(StorageFull, match="it cannot be reached"):
            await store.check_space()
        assert time.monotonic() - begun_s < 12
    send_to(proxy, NOWHERE)
    await asyncio.gather(*reading, return_exceptions=True)
    await store.close()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "NoSuchBucket", "there is no such bucket"),
        (403, "AccessDenied", "the key may not do this there"),
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID is not known there"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY does not fit"),
        (301, "PermanentRedirect", "another region; set AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "another region; set AWS_REGION"),
        (403, "QuotaExceeded", "quota is used up"),
        (507, "XMinioStorageFull", "it answers 507 XMinioStorageFull"),
        (403, "", "the key may not do this there"),
    ],
)
async def test_refusal_is_told_in_words_that_name_no_key(
    status: int, code: str, words: str
) -> None:
    async with refusing_server(status, code) as url:
        place = ObjectPlace(
            bucket="b", endpoint_url=url, access_key_id=KEY, secret_access_key=SECRET
        )
        with pytest.raises(StorageFull, match=words) as refusal:
            await asyncio.to_thread(ObjectLink(place).probe)
    assert KEY not in str(refusal.value)
    assert SECRET not in "".join(map(str, (refusal.value, refusal.value.__cause__)))


async def test_place_that_cannot_be_is_told() -> None:
    place = ObjectPlace(bucket="b", endpoint_url="ftp://x", access_key_id="a")
    with pytest.raises(StorageFull, match="object storage"):
        await asyncio.to_thread(ObjectLink(place).probe)


async def test_probe_leaves_nothing(place: ObjectPlace) -> None:
    await asyncio.to_thread(ObjectLink(place).probe)
    assert list_names(place) == []
