"""The wall clock of a running service jumps by an hour: nobody who counts seconds notices."""

import asyncio
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.faults.shop import Shop, check_money, check_pictures, count_codes, open_shop
from tests.support.crowds import stretch
from tests.support.orders import deck
from tests.support.upstream import Plan

pytestmark = pytest.mark.slow

_TIMES = {"SLIDE_TIMEOUT_SECONDS": 30, "BATCH_TIMEOUT_SECONDS": 60, "BATCH_WAIT_SECONDS": 60}
"""Each far below an hour, and far above what is measured."""
_SEEN_S = 1.1
"""After so long the library has read its file again."""


@pytest.fixture
def faked(tmp_path: Path) -> dict[str, object]:
    """The environment of a process whose wall clock shows what the file `offset` says."""
    command = shutil.which("faketime")
    places = ("lib*/faketime/libfaketimeMT.so*", "lib*/*/faketime/libfaketimeMT.so*")
    root = Path(command).parents[1] if command else tmp_path
    libraries = [path for place in places for path in root.glob(place)]
    if not libraries:
        pytest.skip("faketime is not installed")
    offset = tmp_path / "offset"
    offset.write_text("+0")
    return {
        "LD_PRELOAD": libraries[0],
        "FAKETIME_TIMESTAMP_FILE": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        "FAKETIME_CACHE_DURATION": 1,
    }


async def jump(shop: Shop, batch_id: str, offsets: list[str]) -> list[Any]:
    """Set the clock to one offset after the other; the batch as shown meanwhile."""
    shown = []
    for offset in offsets:
        (shop.folder / "offset").write_text(offset)
        until_s = time.monotonic() + _SEEN_S
        while time.monotonic() < until_s:
            shown.append(await shop.show(batch_id))
            await asyncio.sleep(0.1)
    return shown


async def wait_for_deck(shop: Shop, slides: int) -> Any:
    """The answer of a call that waits for its deck."""
    body = deck(slides, cache=False, max_workers=5, style_prompt="waiting")
    status, answer = await shop.ask("/api/slide/batch/generate", body)
    assert status == 200
    return answer


def list_days(answer: Any) -> list[datetime]:
    """When the pictures were made, by the wall clock."""
    versions = [one["versions"][0]["created_at"] for one in answer["results"]]
    return [datetime.fromisoformat(at) for at in versions]


@pytest.mark.parametrize(
    ("latency_s", "slides", "offsets"),
    [
        (2.4, 5, ["+1h", "-1h"]),
        pytest.param(5.0, 15, ["+1h", "-1h"] * 6, marks=pytest.mark.long),
        pytest.param(5.0, 15, ["-1h", "+0", "+1h", "+0"] * 3, marks=pytest.mark.long),
        pytest.param(5.0, 15, ["+0"] * 12, marks=pytest.mark.long),  # for comparison
    ],
)
async def test_clock_that_jumps_by_an_hour_under_a_batch_changes_no_time(
    tmp_path: Path, faked: dict[str, object], latency_s: float, slides: int, offsets: list[str]
) -> None:
    async with open_shop(tmp_path, Plan(latency_s=latency_s), **faked, **_TIMES) as shop:
        begun_s = time.monotonic()
        batch_id = await shop.order(slides, max_workers=5)
        waiting = asyncio.create_task(wait_for_deck(shop, slides))
        shown = await jump(shop, batch_id, offsets)
        ended = [await shop.finish(batch_id), await waiting]
        took_s = time.monotonic() - begun_s
        check_pictures(shop.images, *ended)
        check_money(shop.bill, *ended)
        assert [count_codes(answer) for answer in ended] == [{"done": slides}] * 2
        for answer in [*shown, *ended]:
            check_times(answer, latency_s=latency_s, took_s=took_s)
        days = list_days(ended[0]) if "+0" not in offsets else []
        off = [abs(day - datetime.now(UTC)) > timedelta(minutes=50) for day in days]
        assert all(off), "the clock did jump"
        least_s = latency_s * slides / 5
        assert least_s <= ended[0]["total_time"] <= least_s + 10 * stretch()


def check_times(answer: Any, *, latency_s: float, took_s: float) -> None:
    """No duration is negative or longer than the whole really took."""
    assert 0 <= answer["total_time"] <= took_s
    for result in answer["results"]:
        seconds = result["generation_time"]
        assert seconds is None or latency_s * 0.9 <= seconds <= took_s
    left_s = answer.get("estimated_remaining_time")
    assert left_s is None or 0 <= left_s <= took_s * 2
