"""Every way an upstream can go wrong, through the whole path of a slide: code and paid calls.

The wanted code and number of calls stand with each fault in the emulator.
Source: providers policy, Part I, and scenarios F01 to F33.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slideloom.clock import monotonic_s
from slideloom.domain.events import SlideDone, SlideFailed
from slideloom.domain.ratio import Ratio
from slideloom.engine.attempt import SlideJob
from slideloom.engine.deadline import Deadline
from slideloom.engine.lanes import Lane
from slideloom.engine.retry import RetryPolicy
from slideloom.engine.slide import SlideMaker
from slideloom.providers.base import DrawOrder, Provider
from slideloom.providers.chat import open_chat
from slideloom.providers.download import PUBLIC_ONLY, Downloads, Guard
from slideloom.providers.images import open_images
from slideloom.stores.files import FileImageStore
from tests.support.orders import slide
from tests.support.parts import RecordingLog
from tests.support.upstream import FAULTS, UNTIL_DEADLINE, Fault, Plan, Upstream

# The emulator's own files stand in for a provider's file host.
TRUSTING = Guard(schemes=frozenset({"http", "https"}), allows=lambda _: True)
AUTO_FIXED = {"F22", "F23", "F24"}
"""One more call, refused unbilled, in which the provider's wording is found out."""

SHAPES: dict[str, Callable[..., Provider]] = {"images": open_images, "chat": open_chat}
SCENARIOS = sorted({fault.scenario for fault in FAULTS.values()})
SLIDE_TIMEOUT_S = 0.3
"""For an upstream that never answers."""
DEADLINE_S = 0.15
"""Of the whole slide where only the deadline ends it: rate limits."""


async def nothing(_: object) -> None:
    """Nothing is written down here."""


async def make(provider: Provider, images: FileImageStore, fault: Fault) -> SlideDone | SlideFailed:
    """One slide, made as the service makes it."""
    maker = SlideMaker(
        provider=provider,
        lane=Lane(backoff_base_s=0.001),
        images=images,
        policy=RetryPolicy(backoff_base_s=0.001),
        slide_timeout_s=SLIDE_TIMEOUT_S if fault.wanted == "timeout" else 10,
    )
    deadline = Deadline()
    deadline.start(DEADLINE_S if fault.calls == UNTIL_DEADLINE else 30)
    job = SlideJob(
        order=DrawOrder(
            prompt=f"a page [[fault:{fault.name}]]",
            ratio=Ratio(16, 9),
            slide=slide(),
            style_prompt="",
        ),
        place=0,
        page_num=1,
        taken_at_s=monotonic_s(),
        deadline=deadline,
        slots=asyncio.Semaphore(1),
        record=nothing,
    )
    log: Any = RecordingLog()
    return await maker.make(job, log=log)


async def find_deviation(fault: Fault, shape: str, folder: Path) -> str | None:
    """What is otherwise than the policy wants; `None` when nothing is."""
    images = await FileImageStore.open(folder, min_free_mb=0)
    guarded = fault.wanted == "blocked_url"
    async with Upstream(Plan()) as upstream:
        provider = SHAPES[shape](
            base_url=upstream.base_url,
            key="sk-test",
            model="m",
            downloads=Downloads(
                guard=PUBLIC_ONLY if guarded else TRUSTING, pauses_s=(0.01,) * 3, stall_s=0.1
            ),
        )
        end = await make(provider, images, fault)
        await provider.close()
        calls = len(upstream.bill.calls)
    await images.close()
    kept = [path.name for path in folder.glob("[!.]*")] + [*folder.glob(".part-*")]
    if isinstance(end, SlideDone):
        is_right = fault.wanted is None or fault.may_succeed
        is_right &= kept == [end.image] and (end.aspect_ratio_ok or not fault.ratio_ok)
    else:
        in_time = {"batch_timeout"} if fault.calls == UNTIL_DEADLINE else set()
        is_right = end.error_code in {fault.wanted, *fault.also, *in_time} and not kept
    if fault.calls != UNTIL_DEADLINE:
        is_right &= calls <= fault.calls + (fault.scenario in AUTO_FIXED)
    wanted = f"{fault.wanted or 'done'} after {fault.calls}"
    return None if is_right else f"{fault.name}: wanted {wanted}; got {end} after {calls}, {kept}"


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_fault_ends_in_its_code_after_its_number_of_calls(
    scenario: str, tmp_path: Path
) -> None:
    faults = [fault for fault in FAULTS.values() if fault.scenario == scenario]
    cases = [(fault, shape) for fault in faults for shape in fault.shapes if shape in SHAPES]
    found = await asyncio.gather(
        *(find_deviation(fault, shape, tmp_path / shape / fault.name) for fault, shape in cases)
    )
    assert [deviation for deviation in found if deviation] == []
