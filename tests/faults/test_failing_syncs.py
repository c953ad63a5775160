"""The disk fails to sync: what could not be made durable is not told as done."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.shop import check_money, check_pictures, count_codes, open_shop
from tests.support.disks import failing
from tests.support.upstream import Plan

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "when",
    [
        "1+",
        pytest.param("1+2", marks=pytest.mark.long),  # each file, where one picture comes at a time
        pytest.param("2+2", marks=pytest.mark.long),  # each folder
    ],
)
async def test_picture_that_could_not_be_synced_is_not_done_and_its_cost_is_told(
    tmp_path: Path, when: str
) -> None:
    async with open_shop(tmp_path) as shop:
        with failing(shop.pid, "fsync", error="EIO", when=when):
            batch_id = await shop.order(4, max_workers=1)
            ended = await shop.finish(batch_id)
        assert count_codes(ended) == {"storage_full": 4}
        assert "output error" in ended["results"][0]["error_message"]
        assert ended["possibly_billed"] == 4
        assert ended["cost_usd"] == pytest.approx(shop.bill.bill_usd)
        check_pictures(shop.images, ended)
        made = await shop.retry(batch_id)
        assert count_codes(made) == {"done": 4}
        check_pictures(shop.images, made)
        check_money(shop.bill, made)


@pytest.mark.long
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
async def test_commit_that_fails_is_not_announced_and_made_good_later(
    tmp_path: Path, call: str
) -> None:
    async with open_shop(tmp_path, Plan(latency_s=0.2)) as shop:
        batch_id = await shop.order(25)
        await shop.wait_calls(11)
        with failing(shop.pid, call, error="EIO"):
            for status, problem in (await shop.try_order(2), await shop.order_single()):
                assert (status, problem["code"][:7]) in {(503, "storage"), (507, "storage")}
            await asyncio.sleep(0.4)  # what was under way is over
            held, calls = await shop.show(batch_id), len(shop.bill.calls)
            await asyncio.sleep(0.6)
            assert len(shop.bill.calls) == calls, "what cannot be written down is not paid"
            assert (await shop.show(batch_id))["results"] == held["results"]
        made = await shop.finish(batch_id)
        assert count_codes(made) == {"done": 25}
        assert len(shop.bill.calls) == 25
        check_pictures(shop.images, made)


@pytest.mark.parametrize(
    ("call", "when"),
    [
        ("fdatasync", "1"),
        *(
            pytest.param(call, when, marks=pytest.mark.long)
            for call, when in [("fdatasync", "1+"), *(("pwrite64", str(n)) for n in range(1, 5))]
        ),
    ],
)
async def test_order_that_was_refused_is_not_made_after_a_crash(
    tmp_path: Path, call: str, when: str
) -> None:
    """SQLite leaves the pages of a commit that was not synced in its log, whole."""
    async with open_shop(tmp_path) as shop:
        with failing(shop.pid, call, error="EIO", when=when):
            status, problem = await shop.try_order(4)
            assert status in {503, 507}, "the commit was to fail"
            assert "nothing was started" in problem["detail"]
            shop.process.kill()
            shop.process.wait()
    async with open_shop(tmp_path) as shop:
        _, answer = await shop.ask("/api/slide/batch")
        await asyncio.sleep(0.3)
        assert [line["batch_id"] for line in answer["batches"]] == []
        assert shop.bill.calls == []
