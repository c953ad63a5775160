"""One slide through the whole path of a slide, its upstream having one fault: what came of it.

The wanted code and number of paid calls stand with each fault in the emulator.
Source: providers policy, Part I, and scenarios F01 to F33.
"""

import asyncio
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from slideloom.clock import monotonic_s
from slideloom.domain.events import SlideDone, SlideFailed
from slideloom.domain.ratio import Ratio
from slideloom.engine.attempt import SlideJob
from slideloom.engine.budget import Budget
from slideloom.engine.deadline import Deadline
from slideloom.engine.lane import Lane
from slideloom.engine.lanes import Lanes
from slideloom.engine.retry import RetryPolicy
from slideloom.engine.reuse import Results
from slideloom.engine.slide import SlideMaker, SlideRules
from slideloom.providers.base import DrawOrder, Provider
from slideloom.providers.download import PUBLIC_ONLY, Downloads, Guard
from slideloom.stores.files import FileImageStore
from tests.support.orders import slide
from tests.support.parts import MemoryBatchStore, RecordingLog
from tests.support.providers import open_provider
from tests.support.upstream import (
    FAULTS,
    UNTIL_DEADLINE,
    Bill,
    Fault,
    Plan,
    Upstream,
    prompt_key,
    read_stamp,
)
from tests.support.upstream.plan import Shape

# The emulator's own files stand in for a provider's file host.
TRUSTING: Final = Guard(schemes=frozenset({"http", "https"}), allows=lambda _: True)
DONE: Final = "done"
SLIDE_TIMEOUT_S: Final = 0.3
"""For an upstream that never answers."""
DEADLINE_S: Final = 0.15
"""Of the whole slide where only the deadline ends it: rate limits."""
_UPLOAD_BYTES: Final = 8_000_000
"""A prompt so long that a connection can be cut before it is sent."""


class Verdict(Struct, frozen=True, kw_only=True):
    """One fault in one shape: what the policy wants, and what came."""

    fault: Fault
    shape: Shape
    code: str
    """Error code of the slide, or `done`."""
    calls: int
    """Paid-path calls."""
    wanted_codes: tuple[str, ...]
    """The first is the plain one."""
    wanted_calls: int | None
    """`None`: as many as the deadline allows."""
    oddity: str = ""
    """What else is not as it should be: the picture, a file left over."""

    @property
    def is_right(self) -> bool:
        """Whether all is as wanted."""
        is_count_right = self.wanted_calls in (None, self.calls)
        return self.code in self.wanted_codes and is_count_right and not self.oddity


def list_cases(scenario: str = "") -> list[tuple[Fault, Shape]]:
    """Every fault in every shape it can occur in; those of one scenario, if that is given."""
    return [
        (fault, shape)
        for fault in FAULTS.values()
        for shape in fault.shapes
        if scenario in ("", fault.scenario)
    ]


async def try_fault(fault: Fault, shape: Shape, folder: Path) -> Verdict:
    """Make one slide while every call has the fault; `folder` is the slide's own."""
    images = await FileImageStore.open(folder, min_free_mb=0)
    prompt = "x" * _UPLOAD_BYTES if fault.before_body else f"a page [[fault:{fault.name}]]"
    order = DrawOrder(
        prompt=prompt,
        ratio=Ratio(16, 9),
        slide=slide(),
        style_prompt="",
    )
    # A fault that comes before the body cannot be chosen by the prompt in it.
    queue = (f"{fault.name}*9",) if fault.before_body else ()
    async with Upstream(Plan(faults=queue)) as upstream:
        provider = open_provider(
            shape,
            base_url=upstream.base_url,
            key="sk-test",
            model="m",
            downloads=Downloads(
                guard=PUBLIC_ONLY if fault.wanted == "blocked_url" else TRUSTING,
                pauses_s=(0.01,) * 3,
                stall_s=0.1,
            ),
        )
        end = await _make(provider, images, fault, order)
        await provider.close()
        bill = upstream.bill
    await images.close()
    return Verdict(
        fault=fault,
        shape=shape,
        code=DONE if isinstance(end, SlideDone) else end.error_code,
        calls=len(bill.calls),
        wanted_codes=_list_codes(fault),
        wanted_calls=_count_calls(fault, shape, is_done=isinstance(end, SlideDone)),
        oddity=_find_oddity(end, fault, order.prompt, folder, bill),
    )


async def _make(
    provider: Provider, images: FileImageStore, fault: Fault, order: DrawOrder
) -> SlideDone | SlideFailed:
    """One slide, made as the service makes it."""
    log: Any = RecordingLog()
    maker = SlideMaker(
        lanes=Lanes([Lane(provider, start=8)], log=log),
        images=images,
        results=Results(MemoryBatchStore(), images, source="", finish="off", ttl_s=60.0, log=log),
        rules=SlideRules(
            retry=RetryPolicy(backoff_base_s=0.001),
            slide_timeout_s=SLIDE_TIMEOUT_S if fault.wanted == "timeout" else 10,
        ),
    )
    deadline = Deadline()
    deadline.start(DEADLINE_S if fault.calls == UNTIL_DEADLINE else 30)
    job = SlideJob(
        order=order,
        place=0,
        page_num=1,
        taken_at_s=monotonic_s(),
        deadline=deadline,
        slots=asyncio.Semaphore(1),
        party="the batch",
        budget=Budget(None),
        uses_cache=False,
        record=_record_nothing,
    )
    return await maker.make(job, log=log)


async def _record_nothing(_: object) -> None:
    """Nothing is written down here."""


def _list_codes(fault: Fault) -> tuple[str, ...]:
    """The codes that are right."""
    plain = fault.wanted or DONE
    more = [DONE] if fault.may_succeed else []
    if fault.calls == UNTIL_DEADLINE and fault.wanted:
        more.append("batch_timeout")
    return (plain, *fault.also, *more)


def _count_calls(fault: Fault, shape: Shape, *, is_done: bool) -> int | None:
    """How many calls the policy wants, exactly."""
    if fault.calls == UNTIL_DEADLINE:
        return None
    if is_done and fault.may_succeed:
        return 1
    return fault.calls + (shape in fault.mends)


def _find_oddity(
    end: SlideDone | SlideFailed, fault: Fault, prompt: str, folder: Path, bill: Bill
) -> str:
    """Whatever is wrong with what was kept: its ratio, its stamp, files left over."""
    kept = sorted(path.name for path in folder.glob("*") if not path.name.endswith(".lock"))
    if not isinstance(end, SlideDone):
        return f"kept {kept}" if kept else ""
    if kept != [end.image]:
        return f"kept {kept}"
    if fault.ratio_ok and not end.aspect_ratio_ok:
        return f"{end.width}x{end.height}"
    stamp = read_stamp((folder / end.image).read_bytes())
    is_ours = (
        stamp is not None
        and stamp.prompt_key == prompt_key(prompt)
        and stamp.call == len(bill.calls)
        and stamp.part == fault.part
    )
    return "" if is_ours else f"the picture's stamp is {stamp}"
