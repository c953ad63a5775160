"""A folder becomes read-only while the service runs, or is so at its start."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.shop import (
    check_money,
    check_pictures,
    count_codes,
    open_shop,
    open_shop_here,
    refuse_start,
)
from tests.support.disks import failing, read_only
from tests.support.upstream import Plan

pytestmark = pytest.mark.slow


async def test_read_only_picture_folder_costs_nothing_and_is_used_again_without_a_restart(
    tmp_path: Path,
) -> None:
    async with open_shop_here(tmp_path) as shop:
        with read_only(shop.images):
            batch_id = await shop.order(6)
            assert count_codes(await shop.finish(batch_id)) == {"storage_full": 6}
            assert (await shop.order_single())[0] == 507
            status, ready = await shop.ask("/readyz")
            assert status == 503
            assert "not writable" in ready["checks"]["images"]
            assert shop.bill.calls == []
        made = await shop.retry(batch_id)
        assert count_codes(made) == {"done": 6}
        assert len(shop.bill.calls) == 6
        check_pictures(shop.images, made)


@pytest.mark.long
async def test_picture_folder_that_becomes_read_only_under_calls_loses_no_truth(
    tmp_path: Path,
) -> None:
    async with open_shop(tmp_path, Plan(latency_s=0.4)) as shop:
        batch_id = await shop.order(6)
        await shop.wait_calls(6)
        with read_only(shop.images):
            ended = await shop.finish(batch_id)
            assert (count_codes(ended), ended["possibly_billed"]) == ({"storage_full": 6}, 6)
        made = await shop.retry(batch_id)
        assert count_codes(made) == {"done": 6}
        check_money(shop.bill, made)
        assert made["cost_usd"] == pytest.approx(shop.bill.bill_usd)


@pytest.mark.long
async def test_store_that_becomes_read_only_takes_no_order_and_running_batches_hold(
    tmp_path: Path,
) -> None:
    async with open_shop(tmp_path, Plan(latency_s=0.2)) as shop:
        batch_id = await shop.order(15)
        await shop.wait_calls(6)
        with failing(shop.pid, "pwrite64", error="EROFS"):  # the database writes with it alone
            for status, problem in (await shop.try_order(2), await shop.order_single()):
                assert (status, problem["code"]) == (507, "storage_full")
            await asyncio.sleep(0.5)
            assert (await shop.show(batch_id))["status"] == "running"
            assert len(shop.bill.calls) <= 10
        made = await shop.finish(batch_id)
        assert count_codes(made) == {"done": 15}
        assert len(shop.bill.calls) == 15


@pytest.mark.parametrize(
    ("setting", "folder"),
    [
        ("DATA_DIR", "data"),
        pytest.param("IMAGE_OUTPUT_DIR", "assets", marks=pytest.mark.long),
    ],
)
def test_read_only_folder_at_the_start_is_one_line(
    tmp_path: Path, setting: str, folder: str
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    with read_only(tmp_path / folder):
        line = refuse_start(tmp_path)
    assert setting in line
    assert "Read-only file system" in line
