"""Run so many random histories."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec import Struct

from tests.support.histories.machine import Histories

_STEPS: Final = 20
"""Of one history, at most."""
_NOT_CHECKED: Final = (
    HealthCheck.too_slow,  # a history is hundreds of steps of a real engine: milliseconds
    HealthCheck.data_too_large,  # and long ones are the point
    HealthCheck.filter_too_much,  # rules that are switched off count as filtered
)


class Part(Struct, frozen=True):
    """Some histories, the same ones each time."""

    count: int
    number: int
    """The seed."""
    share: float
    """Of the calls to store, disk and provider, so many fail."""


def run_side_by_side(parts: Sequence[Part], *, processes: int) -> Iterator[int]:
    """Run the parts in several processes; of each how many histories came to their end.

    Raises:
        AssertionError: as `run_histories`; what is not begun is left.
    """
    # A process each: what Hypothesis remembers of a thousand histories is hundreds of MB.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, max_tasks_per_child=1) as pool:
        try:
            yield from pool.map(run_histories, parts)
        finally:
            pool.shutdown(cancel_futures=True)


def run_histories(part: Part) -> int:
    """Run histories; how many came to their end.

    Raises:
        AssertionError: one of them broke a law; it is shown as short as it could be made.
    """
    ran = 0

    class Counted(Histories):
        share = part.share

        def teardown(self) -> None:
            nonlocal ran
            super().teardown()
            ran += 1

    wanted = settings(
        max_examples=part.count,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,  # the seed says which histories they are
        suppress_health_check=_NOT_CHECKED,
    )
    run_state_machine_as_test(seed(part.number)(Counted), settings=wanted)
    return ran
