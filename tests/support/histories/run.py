"""Run so many random histories."""

from typing import Final

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.histories.machine import Histories

_STEPS: Final = 20
"""Of one history, at most."""
_NOT_CHECKED: Final = (
    HealthCheck.too_slow,  # a history is hundreds of steps of a real engine: milliseconds
    HealthCheck.data_too_large,  # and long ones are the point
    HealthCheck.filter_too_much,  # rules that are switched off count as filtered
)


def run_histories(count: int, *, number: int, share: float) -> int:
    """Run `count` histories, the same ones for the same `number`; how many came to their end.

    Of the calls to store, disk and provider, `share` fail.

    Raises:
        AssertionError: one of them broke a law; it is shown as short as it could be made.
    """
    ran = 0
    share_of_all = share

    class Counted(Histories):
        share = share_of_all

        def teardown(self) -> None:
            nonlocal ran
            super().teardown()
            ran += 1

    wanted = settings(
        max_examples=count,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,  # the seed says which histories they are
        suppress_health_check=_NOT_CHECKED,
    )
    run_state_machine_as_test(seed(number)(Counted), settings=wanted)
    return ran
