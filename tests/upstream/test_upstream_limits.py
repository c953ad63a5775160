"""The upstream emulator's keys, money, rates and limits."""

import asyncio

import aiohttp
import pytest

from tests.support.upstream import Plan, Upstream
from tests.support.upstream.limits import Gate
from tests.upstream.calls import Caller, build_body


async def test_call_without_a_good_key_is_401() -> None:
    async with Upstream(Plan(keys=("sk-good",))) as up, aiohttp.ClientSession() as session:
        said = []
        for headers in (
            {},
            {"Authorization": "Bearer sk-bad"},
            {"Authorization": "Bearer sk-good"},
        ):
            async with session.post(
                up.base_url + "/images", json=build_body("images", "x"), headers=headers
            ) as response:
                said.append((response.status, (await response.json()).get("error")))
    assert said[0] == (401, {"code": 401, "message": "Missing Authentication header"})
    assert said[1][0] == 401
    assert said[2] == (200, None)


async def test_limit_rejects_what_is_above_it(caller: Caller) -> None:
    plan = Plan(limit=3, latency_s=0.03, limit_retry_after_s=2, reject_latency_s=0.01)
    async with Upstream(plan) as up:
        answers = await asyncio.gather(*(caller.ask(up, f"{n}") for n in range(5)))
        assert (await caller.ask(up)).status == 200
    rejected = [got for got in answers if got.status == 429]
    assert len(rejected) == 2
    assert {got.headers["retry-after"] for got in rejected} == {"2"}
    assert up.bill.peak_in_flight == 3
    took = [
        call.ended_s - call.started_s for call in up.bill.calls if call.rejected and call.ended_s
    ]
    assert min(took) >= 0.01


def decide(gate: Gate, now_s: float, in_flight: int = 0) -> tuple[int, float | None]:
    """Status and Retry-After of a call at that time."""
    reject = gate.decide("sk-1", now_s=now_s, in_flight=in_flight)
    return (200, None) if reject is None else (reject.status, reject.retry_after_s)


def test_limit_moves_with_time() -> None:
    gate = Gate(Plan(limit_schedule=((0, 2), (10, 1), (20, 3))))
    seen = [
        decide(gate, 100 + elapsed_s, in_flight)[0]
        for elapsed_s, in_flight in ((0, 1), (9, 2), (10, 0), (11, 1), (20, 2), (21, 3))
    ]
    assert seen == [200, 429, 200, 429, 200, 429]


def test_bucket_gives_a_burst_and_then_a_rate() -> None:
    gate = Gate(Plan(rate_per_s=0.5, burst=2))
    assert [decide(gate, 100.0) for _ in range(3)] == [(200, None), (200, None), (429, 2.0)]
    assert decide(gate, 101.5) == (429, 1.0)
    assert decide(gate, 102.0) == (200, None)
    assert decide(Gate(Plan(rate_per_s=0.5, burst=0, rate_hint=False)), 0.0) == (429, None)


async def test_bucket_says_retry_after_in_whole_seconds(caller: Caller) -> None:
    async with Upstream(Plan(rate_per_s=0.01, burst=1)) as up:
        assert (await caller.ask(up)).status == 200
        got = await caller.ask(up)
    assert (got.status, got.headers["retry-after"]) == (429, "100")


async def test_balance_pays_for_exactly_as_many_as_it_can(caller: Caller) -> None:
    plan = Plan(balance_usd=0.10, cost_usd=0.03, latency_s=0.01)
    async with Upstream(plan) as up:
        answers = await asyncio.gather(*(caller.ask(up, f"{n}") for n in range(6)))
    assert sorted(got.status for got in answers) == [200, 200, 200, 402, 402, 402]
    assert up.bill.bill_usd == pytest.approx(0.09)


async def test_key_can_be_revoked_mid_run(caller: Caller) -> None:
    async with Upstream(Plan(revoke_after_calls=2)) as up:
        assert [(await caller.ask(up)).status for _ in range(4)] == [200, 200, 401, 401]
    assert [call.rejected for call in up.bill.calls] == [None, None, "revoked", "revoked"]


def test_outage_begins_and_ends() -> None:
    gate = Gate(Plan(outages=((5, 10),), outage_status=502))
    assert [decide(gate, 100.0 + t)[0] for t in (0, 4.9, 5, 9.9, 10)] == [200, 200, 502, 502, 200]


async def test_fault_kills_the_key_for_good(caller: Caller) -> None:
    for name, status in (("F21_401_revoked", 401), ("F21_402_empty", 402)):
        async with Upstream(Plan(faults=("ok", name))) as up:
            assert [(await caller.ask(up)).status for _ in range(4)] == [
                200,
                status,
                status,
                status,
            ]


async def test_missing_path_and_image_only_model(caller: Caller) -> None:
    plan = Plan(
        missing_paths=("/images/generations",),
        missing_html=True,
        image_only_models=("a/model",),
    )
    async with Upstream(plan) as up:
        missing = await caller.ask(up, shape="openai")
        refused = await caller.ask(up, shape="chat", modalities=["image", "text"])
        fine = await caller.ask(up, shape="chat", modalities=["image"])
    assert (missing.status, missing.headers["content-type"]) == (404, "text/html; charset=UTF-8")
    assert refused.json["error"]["metadata"]["failed_routing_step"] == "modalities"
    assert fine.status == 200
