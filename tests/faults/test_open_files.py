"""Too many open files: no picture is paid that could not be kept, and all ends well later."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.faults.shop import check_pictures, count_codes, open_shop
from tests.support.disks import few_files
from tests.support.upstream import Plan, Uniform

pytestmark = pytest.mark.slow

_LATENCY = Uniform(0.01, 0.06)


@pytest.mark.parametrize(
    ("spare", "slides"),
    [
        (12, 60),
        *(pytest.param(n, 300, marks=pytest.mark.long) for n in (0, 1, 2, 3, 6, 9, 15, 22)),
    ],
)
async def test_every_picture_that_is_paid_can_be_kept_however_few_files_may_be_open(
    tmp_path: Path, spare: int, slides: int
) -> None:
    async with open_shop(tmp_path, Plan(latency_s=_LATENCY, image_bytes=100_000)) as shop:
        assert (await shop.ask("/readyz"))[0] == 200  # this connection stays open
        with few_files(shop.pid, spare=spare):
            batch_ids = [await shop.order(slides // 2) for _ in range(2)]
            ended = [await shop.finish(batch_id) for batch_id in batch_ids]
            assert (await shop.ask("/healthz"))[0] == 200
        codes = count_codes({"results": ended[0]["results"] + ended[1]["results"]})
        assert set(codes) <= {"done", "storage_full", "upstream_unavailable"}
        assert len(shop.bill.billed) == codes.get("done", 0), "paid, and it could not be kept"
        assert sum(answer["possibly_billed"] for answer in ended) == 0
        made = [await shop.retry(batch_id) for batch_id in batch_ids]
        assert [answer["successful"] for answer in made] == [slides // 2] * 2
        assert len(shop.bill.billed) == slides
        check_pictures(shop.images, *made)


async def test_service_without_a_file_left_answers_on_open_connections_and_takes_new_ones_later(
    tmp_path: Path,
) -> None:
    async with open_shop(tmp_path) as shop, aiohttp.ClientSession() as other:
        assert (await shop.ask("/readyz"))[0] == 200
        with few_files(shop.pid, spare=0):
            newcomer = asyncio.create_task(other.get(shop.url + "/healthz"))
            async with asyncio.timeout(10):
                status, problem = await shop.order_single()
                assert (status, problem["code"]) == (507, "storage_full")
                assert "open files" in problem["detail"]
                assert shop.bill.calls == []
                await asyncio.sleep(1.2)  # more than one try to take the newcomer in
                assert (await shop.ask("/healthz"))[0] == 200
        answer = await asyncio.wait_for(newcomer, 15)
        assert answer.status == 200
        answer.close()
        assert (await shop.order_single())[0] == 200
        shop.process.terminate()
        said, _ = await asyncio.to_thread(shop.process.communicate, timeout=15)
        assert 1 <= said.count("out of system resource") <= 10
