"""Cancels at any moment: no call after one, a truthful end, and no late answer that changes it."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args

import aiohttp
import pytest
from msgspec import Struct, field

from slideloom.domain.batch import BatchState
from tests.support.crowds import (
    FINAL,
    count_billed,
    crowd_deck,
    crowd_session,
    fetch,
    fetch_batches,
    find_slide,
    find_tracebacks,
    paid_settings,
    read_states,
    run_crowd,
    serving,
    stop,
    submit,
    wait_idle,
)
from tests.support.upstream import Call, Plan, RemoteUpstream, Uniform, spawn_upstream

_SEED = 444
_AT_ONCE = 40
_SLIDES = 5
_RUNNING = 12
"""Batches at once: the others wait as pending."""
_LATENCY = Uniform(0.1, 0.7)
_NO_CALL_AFTER_S = 1.0
"""Behind a cancel's answer. Source: issue 4."""
_COST_USD = Plan().cost_usd
_FAULTY = "[[fault:F25_502_html*2]]"
Moment = Literal["at once", "in calls", "in back-off", "at the end", "twice", "with a retry"]


class Wish(Struct, frozen=True):
    """A cancel or a retry, as its client saw it; times are monotonic."""

    name: str
    asked_s: float
    answered_s: float
    body: Any


class Canceller(Struct, kw_only=True):
    """One client with one batch, and what it wanted of it."""

    number: int
    moment: Moment
    pauses_s: tuple[float, float]
    is_first: bool
    """Whether the cancel goes before the retry that goes with it."""
    batch_id: str = ""
    wishes: list[Wish] = field(default_factory=list)

    @property
    def quiet_since_s(self) -> float | None:
        """From when on it is cancelled for good: a cancel that no retry was beside or behind."""
        retried_s = max((one.answered_s for one in self.wishes if one.name == "retry"), default=0.0)
        after = [w for w in self.wishes if w.name == "cancel" and w.asked_s > retried_s]
        return min((wish.answered_s for wish in after), default=None)


def draw_cancellers(count: int) -> list[Canceller]:
    """The same ones for every run."""
    rng = random.Random(_SEED)
    moments: tuple[Moment, ...] = get_args(Moment)
    return [
        Canceller(
            number=number,
            moment=moments[number % len(moments)],
            pauses_s=(rng.uniform(0, 0.9), rng.uniform(0, 0.6)),
            is_first=rng.random() < 0.5,
        )
        for number in range(1, count + 1)
    ]


class Crowd:
    """What the cancellers do at one service."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._batches = f"{url}/api/slide/batch"
        self._url = url

    async def play(self, one: Canceller) -> None:
        """Submit a deck, and cancel it when its moment is there."""
        faulty = _FAULTY if one.moment == "in back-off" else ""
        deck = crowd_deck(one.number, _SLIDES, max_workers=2, visual_desc=faulty)
        one.batch_id = await submit(self._session, self._url, deck)
        match one.moment:
            case "at once":
                await asyncio.sleep(one.pauses_s[0] / 40)
            case "at the end":
                await self._wait_for_end(one)
            case _:
                await self._wait_for_calls(one)
                await asyncio.sleep(one.pauses_s[0])
        await self._wish_for(one)

    async def _wish_for(self, one: Canceller) -> None:
        match one.moment:
            case "twice":
                await asyncio.gather(self._wish(one, "cancel"), self._wish(one, "cancel"))
                await self._wish(one, "cancel")
            case "with a retry":
                names = ("cancel", "retry") if one.is_first else ("retry", "cancel")
                await asyncio.gather(*(self._wish(one, name) for name in names))
                await asyncio.sleep(one.pauses_s[1])
                if one.number % 4 < 2:
                    await self._wish(one, "cancel")
            case _:
                await self._wish(one, "cancel")

    async def _wish(self, one: Canceller, name: str) -> None:
        asked_s = time.monotonic()
        async with self._session.post(f"{self._batches}/{one.batch_id}/{name}") as answer:
            body = await answer.json()
            assert answer.status in {200, 202}, body
        one.wishes.append(Wish(name, asked_s, time.monotonic(), body))

    async def _wait_for_calls(self, one: Canceller) -> None:
        while (await self._look(one))["status"] == "pending":
            await asyncio.sleep(0.05)

    async def _wait_for_end(self, one: Canceller) -> None:
        """One slide is left; or none, with the batch's end just written or about to be."""
        wanted = _SLIDES - one.number // 6 % 2
        while (await self._look(one))["completed_slides"] < wanted:
            await asyncio.sleep(0.01)

    async def _look(self, one: Canceller) -> Any:
        return await fetch(self._session, f"{self._batches}/{one.batch_id}")


async def open_bill(upstream: RemoteUpstream) -> float:
    """Begin an empty bill; the monotonic time its own times count from, or a moment later."""
    await upstream.reset(Plan(latency_s=_LATENCY))
    return time.monotonic()


def check_end(one: Canceller, status: Any) -> None:
    """The batch has ended; as cancelled, unless it had ended before or was wanted again."""
    assert status["status"] in FINAL
    codes = {result["error_code"] for result in status["results"]}
    # A fault that came just before the cut is the truth about its slide.
    own = {"upstream_unavailable"} if one.moment == "in back-off" else set()
    assert codes <= {None, "cancelled"} | own
    if not status["cancelled"]:
        assert codes == {None}, "whoever is not cancelled has all its pictures"
        assert one.quiet_since_s is None or one.wishes[-1].body["status"] == "completed"
    if one.moment == "at once":
        assert status["cancelled"]


def find_late_calls(crowd: list[Canceller], calls: list[Call], *, zero_s: float) -> list[float]:
    """How long behind its batch's cancel each call began that did."""
    quiet_s = {one.number: one.quiet_since_s for one in crowd}
    waits_s = []
    for call in calls:
        number = int(find_slide(call.prompt)[1:].partition("p")[0])
        since_s = quiet_s[number]
        if since_s is not None and zero_s + call.started_s > since_s:
            waits_s.append(zero_s + call.started_s - since_s)
    return waits_s


def check_money(state: BatchState, billed: Counter[str]) -> None:
    """Every paid call is a picture, or counts as possibly billed; no picture was not paid."""
    for order, slide in zip(state.order.slides, state.slides, strict=True):
        paid = billed[order.title]
        assert len(slide.versions) <= paid <= len(slide.versions) + slide.possibly_billed
        assert slide.in_flight is None
        cost_usd = slide.cost_usd or 0.0
        assert len(slide.versions) * _COST_USD <= cost_usd + 1e-9 <= paid * _COST_USD + 1e-6


async def play_all(folder: Path, upstream: RemoteUpstream, crowd: list[Canceller]) -> Any:
    """Every batch's status at the end; it must be the same when late answers have come."""
    settings = paid_settings(upstream, BATCH_MAX_CONCURRENT=_RUNNING)
    async with crowd_session() as session, serving(folder, **settings) as service:
        place = Crowd(session, service.url)
        await run_crowd(map(place.play, crowd), at_once=_AT_ONCE)
        await wait_idle(session, service.url)
        batches = await fetch_batches(session, service.url)
        await asyncio.sleep(_LATENCY.most_s + 0.3)
        assert await fetch_batches(session, service.url) == batches
        await stop(service)
    assert batches.keys() == {one.batch_id for one in crowd}
    return batches


@pytest.mark.parametrize(
    "count", [pytest.param(30, marks=pytest.mark.slow), pytest.param(500, marks=pytest.mark.long)]
)
async def test_cancel_at_any_moment_ends_truthfully(tmp_path: Path, count: int) -> None:
    crowd = draw_cancellers(count)
    async with spawn_upstream() as upstream:
        zero_s = await open_bill(upstream)
        batches = await play_all(tmp_path, upstream, crowd)
        report = await upstream.fetch_report()
    late = find_late_calls(crowd, report.bill.calls, zero_s=zero_s)
    assert max(late, default=0.0) <= _NO_CALL_AFTER_S
    assert report.client_went_count, "calls under way were given up"
    for one in crowd:
        check_end(one, batches[one.batch_id])
    states = await read_states(tmp_path)
    assert {state.batch_id for state in states} == batches.keys()
    billed = count_billed(report)
    for state in states:
        check_money(state, billed)
    assert find_tracebacks(tmp_path) == []
