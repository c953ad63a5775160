"""The picture folder is full, or fills up in the middle: nothing torn, nothing paid in vain."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.shop import (
    Opens,
    check_money,
    check_pictures,
    count_codes,
    open_shop,
    open_shop_here,
)
from tests.support.disks import small_disk
from tests.support.upstream import Plan

pytestmark = pytest.mark.slow

_SLOWLY = ("F26_slow_body:0.6",)


@pytest.mark.parametrize(
    ("slides", "opens"),
    [(5, open_shop_here), pytest.param(200, open_shop, marks=pytest.mark.long)],
)
async def test_folder_without_room_costs_nothing_and_the_batch_ends_well_once_there_is_some(
    tmp_path: Path, slides: int, opens: Opens
) -> None:
    with small_disk(tmp_path / "assets", size_kb=32 * 1024) as disk:  # of MIN_FREE_MB=64
        async with opens(tmp_path) as shop:
            batch_id = await shop.order(slides)
            ended = await shop.finish(batch_id)
            assert (ended["status"], count_codes(ended)) == ("failed", {"storage_full": slides})
            assert "MB free" in ended["results"][0]["error_message"]
            status, problem = await shop.order_single()
            assert (status, problem["code"]) == (507, "storage_full")
            status, ready = await shop.ask("/readyz")
            assert (status, ready["checks"]["images"]) == (503, "32 MB free, 64 MB wanted")
            assert shop.bill.calls == []
            disk.resize(512 * 1024)
            assert (await shop.ask("/readyz"))[0] == 200
            made = await shop.retry(batch_id)
            assert count_codes(made) == {"done": slides}
            assert len(shop.bill.calls) == len(shop.bill.billed) == slides
            check_pictures(shop.images, made)
            check_money(shop.bill, made)


@pytest.mark.parametrize(
    ("slides", "opens"),
    [(8, open_shop_here), pytest.param(120, open_shop, marks=pytest.mark.long)],
)
async def test_disk_that_fills_up_while_pictures_come_leaves_whole_ones_and_true_states(
    tmp_path: Path, slides: int, opens: Opens
) -> None:
    size_kb = 700
    plan = Plan(image_bytes=size_kb * 1024, faults=_SLOWLY * 2 * slides)
    with small_disk(tmp_path / "assets", size_kb=slides * size_kb // 2) as disk:
        async with opens(tmp_path, plan, MIN_FREE_MB=0) as shop:
            batch_id = await shop.order(slides)
            ended = await shop.finish(batch_id)
            codes = count_codes(ended)
            assert set(codes) <= {"done", "storage_full"}
            assert codes["storage_full"] >= slides // 2
            assert ended["possibly_billed"] == codes["storage_full"]
            check_money(shop.bill, ended)
            check_pictures(shop.images, ended)
            assert (await shop.ask("/healthz"))[0] == 200
            disk.resize(4 * slides * size_kb)
            made = await shop.retry(batch_id)
            assert count_codes(made) == {"done": slides}
            assert len(shop.bill.calls) == slides + codes["storage_full"]
            check_pictures(shop.images, made)
            check_money(shop.bill, made)


@pytest.mark.long
async def test_disk_filled_by_others_in_the_middle_of_every_picture_is_survived(
    tmp_path: Path,
) -> None:
    plan = Plan(image_bytes=300_000, faults=_SLOWLY * 6)
    with small_disk(tmp_path / "assets", size_kb=64 * 1024) as disk:
        empty_bytes = disk.free_bytes
        async with open_shop(tmp_path, plan, MIN_FREE_MB=1) as shop:
            batch_id = await shop.order(6)
            await shop.wait_calls(6)
            async with asyncio.timeout(20):
                while disk.free_bytes > empty_bytes - 900_000:  # half of everything has come
                    await asyncio.sleep(0.01)
            disk.fill()
            ended = await shop.finish(batch_id)
            # Some fit into the room that drafts which failed gave back.
            failed = count_codes(ended)["storage_full"]
            assert (ended["successful"], ended["possibly_billed"]) == (6 - failed, failed)
            check_pictures(shop.images, ended)
            disk.fill()
            assert count_codes(await shop.retry(batch_id))["storage_full"] == failed
            assert len(shop.bill.calls) == 6, "no room, no call"
            disk.clear()
            made = await shop.retry(batch_id)
            assert count_codes(made) == {"done": 6}
            check_pictures(shop.images, made)
            check_money(shop.bill, made)


async def test_calls_at_once_do_not_count_on_the_same_room(tmp_path: Path) -> None:
    """Each alone would fit into the 66 MB (of 64 wanted), all together need 80."""
    plan = Plan(image_bytes=4 * 1024 * 1024, latency_s=0.3)
    with small_disk(tmp_path / "assets", size_kb=66 * 1024):
        async with open_shop_here(tmp_path, plan, BATCH_MAX_WORKERS=20) as shop:
            ended = await shop.finish(await shop.order(20, max_workers=20))
            assert set(count_codes(ended)) <= {"done", "storage_full"}
            assert len(shop.bill.billed) == ended["successful"], "paid, and nowhere to keep it"
            check_pictures(shop.images, ended)


async def test_picture_that_has_room_only_as_it_came_is_kept_so(tmp_path: Path) -> None:
    """It is paid: better a square than nothing."""
    size_kb = 600
    plan = Plan(image_bytes=size_kb * 1024, faults=("F17_square",))
    with small_disk(tmp_path / "assets", size_kb=size_kb):
        async with open_shop_here(tmp_path, plan, MIN_FREE_MB=0, ASPECT_FIX="crop") as shop:
            ended = await shop.finish(await shop.order(1))
            assert count_codes(ended) == {"done": 1}
            assert (ended["results"][0]["height"], ended["possibly_billed"]) == (1024, 0)
            assert ended["results"][0]["aspect_ratio_ok"] is False
            check_pictures(shop.images, ended)
