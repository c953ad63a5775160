"""The whole service over stores that earlier versions wrote."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from slideloom.stores.schema import SCHEMA_VERSION
from tests.faults.shop import Opens, count_codes, open_shop, open_shop_here

pytestmark = pytest.mark.slow

_DATA = Path(__file__).parents[1] / "data"
_KEEP: dict[str, Any] = {"BATCH_CLEANUP_HOURS": 10**6}
"""The stored batches are of 1970."""


def put_store(folder: Path, name: str) -> Path:
    """An old store where the service looks for it."""
    path = folder / "data" / "slideloom.sqlite3"
    path.parent.mkdir()
    return Path(shutil.copy(_DATA / name, path))


def read_version(path: Path) -> int:
    """Of the schema."""
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("pragma user_version").fetchone()[0])


@pytest.mark.long
async def test_batches_of_version_1_are_answered_and_made_again(tmp_path: Path) -> None:
    path = put_store(tmp_path, "store-v1.sqlite3")
    async with open_shop(tmp_path, **_KEEP) as shop:
        _, listed = await shop.ask("/api/slide/batch")
        assert [line["batch_id"] for line in listed["batches"]] == ["batch_b", "batch_a"]
        for batch_id in ("batch_a", "batch_b"):
            old = await shop.show(batch_id)
            assert [one["status"] for one in old["results"]] == ["done", "error"]
            made = await shop.retry(batch_id)
            assert count_codes(made) == {"done": 2}
            assert made["results"][0] == old["results"][0]
        assert len(shop.bill.billed) == 1, "the other is a like slide"
    assert read_version(path) == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("policy", "codes", "calls", "opens"),
    [
        ("fail", {"done": 1, "interrupted": 1}, 0, open_shop_here),
        pytest.param("fail", {"done": 1, "interrupted": 1}, 0, open_shop, marks=pytest.mark.long),
        pytest.param("retry", {"done": 2}, 1, open_shop, marks=pytest.mark.long),
    ],
)
async def test_batch_that_version_2_left_in_a_paid_call_goes_on_as_the_setting_says(
    tmp_path: Path, policy: str, codes: dict[str, int], calls: int, opens: Opens
) -> None:
    path = put_store(tmp_path, "store-v2.sqlite3")
    async with opens(tmp_path, **_KEEP, RESUME_IN_FLIGHT=policy) as shop:
        ended = await shop.finish("batch_b")
        assert count_codes(ended) == codes
        assert (ended["possibly_billed"], len(shop.bill.calls)) == (1, calls)
        whole = await shop.show("batch_a")
        assert (whole["successful"], whole["cost_usd"], whole["total_time"]) == (1, 0.04, 10.0)
    assert read_version(path) == SCHEMA_VERSION
