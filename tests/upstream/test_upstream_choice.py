"""The upstream emulator's faults as a whole: which there are, how a call gets one, the cost."""

import asyncio
from contextlib import suppress

import pytest

from tests.support.upstream import FAULTS, NoSuchFault, Plan, Rule, Upstream, find_fault
from tests.support.upstream.faults.base import ALL_SHAPES, ONCE
from tests.support.upstream.plan import Shape
from tests.upstream.calls import Caller, build_request, mark

pytestmark = pytest.mark.slow  # the emulator's own

_ELSEWHERE = {
    "X_huge",
    "X_huge_chunked",
    "X_huge_error",
    "X_gzip_bomb",
    "F12_big_line",
    "F20_storm",
    "F24_no_ratio",
}
"""Faults that move up to 100 MB, or mind what plays beside them, or what is asked."""
_NOT_IN = {
    "images": ["F03", "F04", "F08"],
    "chat": ["F04", "F18", "F28"],
    "gemini": ["F05", "F08", "F18", "F28"],
}
"""Scenarios without a meaning: finish reasons and choices (A), Google's feedback (A, B), others'
refusal by 400 (C), flags of services that answer in shape A alone, tasks to be polled."""
_ARGUMENTS = {"F26_slow_body": ":0.1", "F12_segments": ":99"}


def test_every_scenario_has_a_fault() -> None:
    scenarios = {fault.scenario for fault in FAULTS.values()}
    assert scenarios == {f"F{number:02}" for number in range(1, 34)} | {"X"}


def test_every_scenario_is_played_in_every_shape_it_can_occur_in() -> None:
    played = {
        shape: {fault.scenario for fault in FAULTS.values() if shape in fault.shapes}
        for shape in ALL_SHAPES
    }
    every = {f"F{number:02}" for number in range(1, 34)} | {"X"}
    assert {shape: sorted(every - played[shape]) for shape in ALL_SHAPES} == _NOT_IN


def test_success_takes_one_call_unless_another_may_help() -> None:
    more = {
        "F20_storm",
        "F22_modalities",
        "F22_text_too",
        "F24_unknown_parameter",
        "F24_unknown_name",
        "F24_no_ratio",
    }
    for fault in FAULTS.values():
        if fault.wanted is None:
            assert fault.calls == ONCE or fault.name in more
            assert fault.billed


async def play_all(up: Upstream, names: list[tuple[str, Shape]]) -> dict[tuple[str, Shape], bytes]:
    """Play faults side by side, each on a connection of its own; what each sent until it ended."""

    async def play(name: str, shape: Shape) -> bytes:
        port = int(up.origin.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            build_request(shape, f"{mark(name, _ARGUMENTS.get(name, ''))} {shape}", close=True)
        )
        got = bytearray()
        try:
            async with asyncio.timeout(0.2 if FAULTS[name].wanted == "timeout" else 10):
                while piece := await reader.read(1 << 20):
                    got += piece
        except (TimeoutError, ConnectionResetError):
            pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return bytes(got)

    answers = await asyncio.gather(*(play(name, shape) for name, shape in names))
    return dict(zip(names, answers, strict=True))


async def test_every_fault_plays_in_every_shape_and_is_charged_as_it_says() -> None:
    names = [
        (name, shape)
        for name, fault in FAULTS.items()
        if name not in _ELSEWHERE and fault.effect is None
        for shape in fault.shapes
    ]
    async with Upstream() as up:
        answers = await play_all(up, names)
        await asyncio.sleep(0.02)
        calls = {(call.fault, call.shape): call for call in up.bill.calls}
        assert up.bill.in_flight == 0
    assert {call.rejected for call in up.bill.calls} == {None}
    for (name, shape), answer in answers.items():
        fault = FAULTS[name]
        assert calls[name, shape].billed == fault.billed, name
        if fault.wanted is None and name != "X_early_hints":
            assert answer[9:12] == b"200", name


async def test_fault_of_another_shape_or_name_is_said_loudly(caller: Caller) -> None:
    async with Upstream() as up:
        statuses = [
            (await caller.ask(up, mark(name))).status
            for name in ("F99", "F08_502", "F04_block_OTHER")
        ]
    assert statuses == [418, 418, 418]
    with pytest.raises(NoSuchFault):
        find_fault("F99")
    assert find_fault("F13").scenario == "F13"


async def test_marker_counts_the_calls_of_its_own_prompt(caller: Caller) -> None:
    prompt = "[[fault:F25_502*2]][[fault:F19_429_none]] a slide"
    async with Upstream() as up:
        statuses = [(await caller.ask(up, prompt)).status for _ in range(4)]
        other = await caller.ask(up, f"{prompt}, the other")
        twice = [(await caller.ask(up, mark("F25_500", "*1"))).status for _ in range(2)]
    assert statuses == [502, 502, 429, 429]
    assert other.status == 502
    assert twice == [500, 200]


async def test_queue_is_used_up_in_order(caller: Caller) -> None:
    plan = Plan(faults=("F25_502*2", "ok", "F19_429_retry_after_s:7", "F25_500_html"))
    async with Upstream(plan) as up:
        answers = [await caller.ask(up) for _ in range(6)]
    assert [got.status for got in answers] == [502, 502, 200, 429, 500, 200]
    assert answers[3].headers["retry-after"] == "7"
    assert answers[4].body.startswith(b"<!DOCTYPE html>")


async def test_rules_choose_by_text_page_turn_shape_and_share(caller: Caller) -> None:
    plan = Plan(
        faults=(
            Rule(fault="F25_500", contains="budget", times=1),
            Rule(fault="F25_502", page=3),
            Rule(fault="F25_503", nth=5),
            Rule(fault="F25_504", shape="chat"),
        )
    )
    async with Upstream(plan) as up:
        prompts = ["budget", "budget", "Slide 3: x", "第 3 页", "fifth", "Slide 30"]
        statuses = [(await caller.ask(up, prompt)).status for prompt in prompts]
        chat = await caller.ask(up, shape="chat")
    assert statuses == [500, 200, 502, 502, 503, 200]
    assert chat.status == 504
    async with Upstream(Plan(faults=(Rule(fault="F25_502", share=0.3),))) as up:
        drawn = [(await caller.ask(up, f"slide {page}")).status for page in range(100)]
    assert 15 < drawn.count(502) < 45
