"""Engine tests run in virtual time: seconds pass only when everyone waits.

Each that makes batches runs twice: made in the engine's own process, and by a worker elsewhere.
"""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.support.elsewhere import Elsewhere
from tests.support.parts import Workshop
from tests.support.virtual_time import VirtualTimeLoop

_BOTH = (
    *(
        "test_batches",
        "test_broken_runs",
        "test_budget",
        "test_allowance",
        "test_cancel",
        "test_fallback",
    ),
    *(
        "test_fallback",
        "test_make_again",
        "test_once",
        "test_places",
        "test_recovery",
        "test_retry",
    ),
    *("test_reuse", "test_style_reference", "test_versions"),
)
"""Files whose tests hold wherever the batches are made, but for those below."""
_ONLY_HERE = {
    "the engine's stop is the end of its own runs": (
        "test_stop_lets_running_slides_end_within_the_grace",
        "test_stop_begins_no_new_call",
        "test_stop_waits_for_single_slides_and_says_of_one_cut_off_that_it_was",
        "test_stop_does_not_wait_for_ever_for_a_store_that_fails",
        "test_order_taken_while_the_service_stops_makes_no_call",
        "test_second_stop_waits_for_no_single_slide_that_cannot_be_written",
    ),
    "it counts what is made in the engine's process": (
        "test_batches_beyond_the_limit_wait_as_pending",
        "test_batch_that_waits_for_its_turn_is_cancelled_at_once",
        "test_process_that_goes_on_knows_how_many_slides_were_cut_off",
        "test_retry_goes_back_to_running_under_the_same_id",
    ),
    "elsewhere every answer is looked up in the store": (
        "test_live_status_does_not_touch_the_store",
        "test_wish_is_answered_in_a_while_though_the_store_fails",
        "test_cancel_while_the_store_fails_gives_calls_up_and_holds_once_it_is_back",
    ),
    "it looks at a moment that elsewhere comes a round of the queue later": (
        "test_batch_is_resumed_as_soon_as_the_store_gives_it",
        "test_batch_that_could_not_even_be_ended_is_taken_up_soon",
        "test_cancelled_batch_is_ended_as_cancelled",
        "test_one_unreadable_record_keeps_no_other_from_being_served",
        "test_retry_while_a_batch_is_being_cancelled_comes_after_it",
        "test_cancel_answers_though_a_picture_takes_its_time_to_be_kept",
        "test_model_of_the_users_choice_that_is_forbidden_stops_no_other_batch",
        "test_every_outcome_closes_its_attempt_in_the_slides_log",
        "test_fenced_run_writes_only_what_its_late_answers_cost",
    ),
}
"""Why they are, and their names."""


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual time": VirtualTimeLoop}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    name = metafunc.function.__name__
    is_both = metafunc.module.__name__.rpartition(".")[2] in _BOTH
    if is_both and not any(name in names for names in _ONLY_HERE.values()):
        metafunc.parametrize("_place", ["here", "elsewhere"], indirect=True)


@pytest.fixture(autouse=True)  # pytest drops one that is only parametrized
def _place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if getattr(request, "param", "here") == "elsewhere":
        monkeypatch.setattr(Workshop, "place", Elsewhere())
