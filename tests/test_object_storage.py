"""The service with IMAGE_STORE: everything as with files, and what becomes of outages."""

import asyncio
import io
import os
import signal
import subprocess
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

from slideloom.domain.images import inspect_picture
from slideloom.stores import objects
from slideloom.stores.object_link import ObjectPlace
from tests.faults.shop import (
    Shop,
    check_money,
    count_codes,
    open_shop,
    open_shop_here,
    refuse_start,
)
from tests.support.buckets import (
    KEY,
    SECRET,
    BucketServer,
    list_names,
    refusing_server,
    to_settings,
)
from tests.support.fault_proxy import FaultProxy, fault_proxy, fault_proxy_apart
from tests.support.orders import deck
from tests.support.process import SLIDELOOM, serve_environ, served
from tests.support.redis_server import redis_server
from tests.support.upstream import Plan

pytestmark = pytest.mark.slow
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def place(shared_bucket: BucketServer) -> ObjectPlace:
    return shared_bucket.take_place()


@pytest.fixture
async def proxy(shared_bucket: BucketServer) -> AsyncIterator[FaultProxy]:
    """In front of the bucket's server."""
    async with fault_proxy(shared_bucket.url) as made:
        yield made


async def read(shop: Shop, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
    async with shop.client.get(shop.url + path, headers=headers) as answer:
        return answer, await answer.read()


async def check_served(shop: Shop, ended: Any) -> None:
    """Every slide's picture comes as a picture would from a folder."""
    for result in ended["results"]:
        answer, data = await read(shop, result["image_url"])
        assert answer.status == 200
        facts = inspect_picture(io.BytesIO(data))
        assert answer.content_type == f"image/{facts.type.replace('jpg', 'jpeg')}"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        tag = answer.headers["ETag"]
        assert (await read(shop, result["image_url"], **{"If-None-Match": tag}))[0].status == 304
        part, some = await read(shop, result["image_url"], Range="bytes=0-7")
        assert (part.status, some) == (206, data[:8])
        answer, data = await read(shop, f"{result['image_url']}?w=320")
        assert (answer.status, answer.content_type) == (200, "image/webp")
        assert inspect_picture(io.BytesIO(data)).width_px == 320
        answer, _ = await read(shop, f"{result['image_url']}?download=1")
        name = result["image_url"].removeprefix("/assets/")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'


async def check_exports(shop: Shop, batch_id: str, pages: int) -> None:
    for kind, magic in (("pptx", b"PK"), ("pdf", b"%PDF"), ("zip", b"PK")):
        answer, data = await read(shop, f"/api/slide/batch/{batch_id}/export.{kind}")
        assert (answer.status, data[: len(magic)]) == (200, magic)
    with zipfile.ZipFile(io.BytesIO(data)) as pictures:
        assert pictures.testzip() is None
        assert len(pictures.namelist()) == pages


async def test_deck_is_made_served_exported_and_used_again_also_after_a_restart(
    place: ObjectPlace, tmp_path: Path
) -> None:
    settings = to_settings(place)
    plan = Plan(image_bytes=2_500_000)  # more than one piece
    async with open_shop(tmp_path, plan, **settings) as shop:
        batch_id = await shop.order(3, cache=True)
        ended = await shop.finish(batch_id)
        assert count_codes(ended) == {"done": 3}
        await check_served(shop, ended)
        again = await shop.finish(await shop.order(3, cache=True))
        assert [result["cached"] for result in again["results"]] == [True] * 3
        assert len(shop.bill.calls) == 3
        assert (await shop.ask("/readyz"))[1]["checks"]["images"] == "ok"
    assert shop.process.returncode == 0
    names = list_names(place)
    assert len([name for name in names if name.startswith("slide_")]) == 3
    assert len([name for name in names if name.startswith(".thumbnails/")]) == 3
    assert not list(shop.images.glob("slide_*"))
    async with open_shop(tmp_path, **settings) as shop:
        ended = await shop.show(batch_id)
        await check_served(shop, ended)
        await check_exports(shop, batch_id, pages=3)
        assert (await read(shop, f"/assets/slide_{'0' * 32}.png"))[0].status == 404
        assert (await read(shop, "/assets/.slideloom-probe"))[0].status == 404
        assert shop.bill.calls == []
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in written
    assert KEY.encode() not in written


def lose_answers() -> Callable[[bytes], int | None]:
    """A limit of nothing, from the first picture that is put on."""
    seen = False

    def limit(piece: bytes) -> int | None:
        nonlocal seen
        seen = seen or (b"PUT" in piece and b"/slide_" in piece)
        return 0 if seen else None

    return limit


async def test_picture_that_was_kept_but_not_recorded_is_found_after_a_crash(
    place: ObjectPlace, tmp_path: Path
) -> None:
    settings = to_settings(place)
    with fault_proxy_apart(place.endpoint_url) as proxy:
        proxy.limit = lose_answers()
        async with open_shop(tmp_path, **settings | {"AWS_ENDPOINT_URL": proxy.url}) as shop:
            batch_id = await shop.order(1)
            async with asyncio.timeout(20):
                while not any(name.startswith("slide_") for name in list_names(place)):
                    await asyncio.sleep(0.05)
            os.kill(shop.pid, signal.SIGKILL)
            assert list(tmp_path.rglob(".part-*"))
    async with open_shop(tmp_path, **settings) as shop:
        ended = await shop.finish(batch_id)
        assert (count_codes(ended), ended["possibly_billed"]) == ({"done": 1}, 1)
        assert shop.bill.calls == []
        await check_served(shop, ended)
        assert not list(tmp_path.rglob(".part-*"))


async def test_storage_that_goes_away_costs_only_what_is_under_way_and_is_used_when_back(
    place: ObjectPlace, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_PROOF_S", 0.0)

    def send_to(url: str) -> None:
        proxy.target = url
        proxy.cut()

    settings = to_settings(place) | {"AWS_ENDPOINT_URL": proxy.url}
    async with open_shop_here(tmp_path, Plan(latency_s=1.0), **settings) as shop:
        first = await shop.finish(await shop.order(1))
        batch_id = await shop.order(6, max_workers=3)
        await shop.wait_calls(1 + 3)
        send_to(NOWHERE)
        ended = await shop.finish(batch_id)
        assert count_codes(ended) == {"storage_full": 6}
        assert "cannot be reached" in ended["results"][0]["error_message"]
        assert (ended["possibly_billed"], len(shop.bill.calls)) == (3, 1 + 3)
        unpaid = await shop.finish(await shop.order(20))
        assert (count_codes(unpaid), unpaid["possibly_billed"]) == ({"storage_full": 20}, 0)
        assert (await shop.order_single())[0] == 507
        status, ready = await shop.ask("/readyz")
        assert status == 503
        assert "cannot be reached" in ready["checks"]["images"]
        url = first["results"][0]["image_url"]
        assert (await read(shop, url))[0].status == 503
        assert (await read(shop, f"{url}?w=320"))[0].status == 503
        assert len(shop.bill.calls) == 1 + 3
        send_to(place.endpoint_url)
        async with asyncio.timeout(10):
            while (await shop.ask("/readyz"))[0] != 200:
                await asyncio.sleep(0.2)
        made = await shop.retry(batch_id)
        assert count_codes(made) == {"done": 6}
        await check_served(shop, made)
        check_money(shop.bill, first, made)


async def test_bucket_that_becomes_read_only_takes_no_order_and_shows_what_it_has(
    place: ObjectPlace, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_PROOF_S", 0.0)
    settings = to_settings(place) | {"AWS_ENDPOINT_URL": proxy.url}
    async with open_shop_here(tmp_path, **settings) as shop:
        made = await shop.finish(await shop.order(1))
        async with refusing_server(403, "AccessDenied") as refuses:
            proxy.target = refuses
            proxy.cut()
            ended = await shop.finish(await shop.order(3))
            assert count_codes(ended) == {"storage_full": 3}
            assert "may not do this there" in ended["results"][0]["error_message"]
            assert len(shop.bill.calls) == 1
        proxy.target = place.endpoint_url
        proxy.cut()
        await check_served(shop, made)


def test_picture_made_on_one_machine_is_shown_and_exported_on_another(
    place: ObjectPlace, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as redis:
        settings = {"STORE": redis.url, "QUEUE": redis.url, **to_settings(place)}
        for name in ("one", "another"):
            (tmp_path / name).mkdir()
        worker = subprocess.Popen(
            [SLIDELOOM, "worker"], cwd=tmp_path / "another", env=serve_environ(**settings)
        )
        try:
            with served(tmp_path / "one", **settings) as service:
                url = f"{service.url}/api/slide/batch"
                answer = requests.post(f"{url}/generate", json=deck(2), timeout=60).json()
                assert answer["successful"] == 2
                for result in answer["results"]:
                    for query in ("", "?w=320"):
                        shown = requests.get(service.url + result["image_url"] + query, timeout=9)
                        assert shown.status_code == 200
                        inspect_picture(io.BytesIO(shown.content))
                export = requests.get(f"{url}/{answer['batch_id']}/export.pdf", timeout=20)
                assert export.content.startswith(b"%PDF")
        finally:
            worker.terminate()
            assert worker.wait(timeout=20) == 0
    assert not list(tmp_path.rglob("slide_*.png"))
    assert not list(tmp_path.rglob("slide_*.jpg"))


def run_check(folder: Path, **settings: str) -> tuple[int, str]:
    """Exit code of `slideloom check`, and its line about the object storage."""
    ran = subprocess.run(
        [SLIDELOOM, "check"],
        cwd=folder,
        env=serve_environ(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = ran.stdout + ran.stderr
    return ran.returncode, next(line for line in said.splitlines() if "IMAGE_STORE" in line)


def test_good_bucket_is_told_by_check_which_leaves_nothing(
    place: ObjectPlace, tmp_path: Path
) -> None:
    code, line = run_check(tmp_path, **to_settings(place))
    assert (code, line) == (0, f"ok  IMAGE_STORE: s3://slides/{place.prefix} takes pictures")
    assert (list_names(place), list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bucket": "nosuch"}, "there is no such bucket"),
        ({"endpoint_url": NOWHERE}, "it cannot be reached"),
    ],
)
def test_bucket_that_cannot_be_used_is_one_line_at_the_start_and_a_finding(
    shared_bucket: BucketServer, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    settings = to_settings(shared_bucket.take_place(**changes))
    line = refuse_start(tmp_path, **settings)
    assert f"IMAGE_STORE={settings['IMAGE_STORE']}" in line
    assert words in line
    code, found = run_check(tmp_path, **settings)
    assert code == 1
    assert words in found


async def test_read_only_bucket_is_named_too(place: ObjectPlace, tmp_path: Path) -> None:
    async with refusing_server(403, "AccessDenied") as refuses:
        settings = to_settings(place) | {"AWS_ENDPOINT_URL": refuses}
        line = await asyncio.to_thread(refuse_start, tmp_path, **settings)
        assert "the key may not do this there" in line
        code, found = await asyncio.to_thread(run_check, tmp_path, **settings)
    assert (code, "may not do this there" in found) == (1, True)
    assert SECRET not in line + found


def test_missing_extra_is_named(
    place: ObjectPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "obstore.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'obstore'\", name='obstore')\n"
    )
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    line = refuse_start(tmp_path, **to_settings(place))
    assert "obstore is missing; install slideloom[cluster]" in line
