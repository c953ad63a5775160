"""The batch records' folder or the logs' folder is full: nothing told that is not kept."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.faults.shop import (
    Shop,
    check_money,
    check_pictures,
    count_codes,
    open_shop,
    open_shop_here,
)
from tests.support.disks import small_disk
from tests.support.upstream import Plan

pytestmark = pytest.mark.slow

_DISK_KB = 1024


async def check_refused(shop: Shop) -> None:
    """No order is taken, and the words say why."""
    for status, problem in (await shop.try_order(2), await shop.order_single()):
        assert (status, problem["code"]) == (507, "storage_full")
        assert "full" in problem["detail"]


def read_rss_mb(pid: int) -> float:
    """Memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def test_full_store_takes_no_order_and_running_batches_hold_until_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "data", size_kb=_DISK_KB) as disk:
        async with open_shop(tmp_path, Plan(latency_s=0.3)) as shop:
            batch_id = await shop.order(25)
            await shop.wait_calls(11)
            disk.fill()
            await check_refused(shop)
            await asyncio.sleep(0.5)
            held = await shop.show(batch_id)
            assert held["status"] == "running"
            calls = len(shop.bill.calls)
            await asyncio.sleep(0.4)
            assert len(shop.bill.calls) == calls, "what cannot be written down is not paid"
            disk.clear()
            made = await shop.finish(batch_id)
            assert count_codes(made) == {"done": 25}
            assert len(shop.bill.calls) == 25
            check_pictures(shop.images, made)
            check_money(shop.bill, made)
            assert (await shop.finish(await shop.order(2)))["successful"] == 2


@pytest.mark.long
async def test_what_is_shown_while_the_store_is_full_survives_a_kill(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", size_kb=_DISK_KB) as disk:
        async with open_shop(tmp_path, Plan(latency_s=0.3)) as shop:
            batch_id = await shop.order(25)
            await shop.wait_calls(15)
            disk.fill()
            await asyncio.sleep(1.5)
            held = await shop.show(batch_id)
            shop.process.kill()
            shop.process.wait()
        paid = len(shop.bill.billed)
        disk.clear()
        async with open_shop(tmp_path) as shop:
            made = await shop.finish(batch_id)
        done = [one for one in held["results"] if one["status"] == "done"]
        assert done
        assert [one for one in made["results"] if one in done] == done
        check_pictures(shop.images, made)
        # Pictures that were kept but not written down are found again, or told as maybe paid.
        assert paid + len(shop.bill.billed) <= made["successful"] + made["possibly_billed"]


@pytest.mark.long
async def test_full_store_ends_in_an_orderly_stop_and_the_next_start_goes_on(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "data", size_kb=_DISK_KB) as disk:
        async with open_shop(tmp_path, Plan(latency_s=0.3)) as shop:
            batch_id = await shop.order(25)
            await shop.wait_calls(15)
            disk.fill()
            await asyncio.sleep(0.5)
            shop.process.terminate()
            assert await asyncio.to_thread(shop.process.wait, 20) == 0
        calls = len(shop.bill.calls)
        disk.clear()
        async with open_shop(tmp_path) as shop:
            made = await shop.finish(batch_id)
        assert set(count_codes(made)) <= {"done", "interrupted"}
        assert calls + len(shop.bill.calls) <= 25
        check_pictures(shop.images, made)


@pytest.mark.long
async def test_cancel_while_the_store_is_full_is_answered_and_holds(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", size_kb=_DISK_KB) as disk:
        async with open_shop(tmp_path, Plan(latency_s=0.3)) as shop:
            batch_id = await shop.order(25)
            await shop.wait_calls(11)
            disk.fill()
            async with asyncio.timeout(25):
                status, problem = await shop.ask(f"/api/slide/batch/{batch_id}/cancel", {})
            assert (status, problem["code"]) == (503, "not_written_yet")
            calls = len(shop.bill.calls)
            disk.clear()
            ended = await shop.finish(batch_id)
            assert ended["cancelled"] is True
            assert set(count_codes(ended)) == {"done", "cancelled"}
            assert len(shop.bill.calls) == calls
            check_pictures(shop.images, ended)


@pytest.mark.long
async def test_a_thousand_refused_orders_take_no_memory(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", size_kb=_DISK_KB) as disk:
        async with open_shop(tmp_path, Plan(latency_s=0.3)) as shop:
            batch_id = await shop.order(25)
            await shop.wait_calls(11)
            disk.fill()
            await asyncio.gather(*(shop.try_order(50) for _ in range(50)))
            before_mb = read_rss_mb(shop.pid)
            for _ in range(19):
                answers = await asyncio.gather(*(shop.try_order(50) for _ in range(50)))
                assert {status for status, _ in answers} == {507}
            assert read_rss_mb(shop.pid) - before_mb < 20
            disk.clear()
            assert count_codes(await shop.finish(batch_id)) == {"done": 25}
            assert len(shop.bill.calls) == 25


async def test_full_log_folder_changes_no_picture_and_no_answer(tmp_path: Path) -> None:
    with small_disk(tmp_path / "logs", size_kb=256) as disk:
        async with open_shop_here(tmp_path) as shop:
            disk.fill()
            made = await shop.finish(await shop.order(20))
            assert count_codes(made) == {"done": 20}
            assert (await shop.order_single())[0] == 200
            disk.clear()
            after = await shop.finish(await shop.order(3))
            check_pictures(shop.images, made, after)
            assert len(shop.bill.billed) == 24
            _, files = await shop.ask(f"/api/sessions/{after['session_id']}/logs")
            assert len(files["files"]) == 5
            (pipeline,) = (tmp_path / "logs").glob("pipeline_*.log")
            lines = [json.loads(line) for line in pipeline.read_bytes().splitlines()]
            ours = [line["event"] for line in lines if line.get("batch_id") == after["batch_id"]]
            assert ours.count("slide_completed") == 3
