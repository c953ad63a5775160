"""The laws of paid calls: what must hold at the moment when one begins."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from tests.support.histories.logbook import BatchTrack
from tests.support.histories.upstream import Call

BATCH_TIMEOUT_S = 600.0
"""Of decks as small as those of the histories. Source: contract section 5."""


class Scene(Struct, frozen=True, kw_only=True):
    """What is the case when a call begins."""

    call: Call
    batch: BatchTrack
    """As it is written."""
    is_owner: bool
    """Whether the life that calls is the one that the batch belongs to."""
    beside: int
    """Other calls of this batch and life that are under way."""
    draft_opened_s: float
    disk_full_since_s: float | None
    """When the disk began to take nothing; `None`: it takes everything."""
    stopped_at_s: float | None
    """When the life was asked to stop."""


CallLaw = Callable[[Scene], bool]


def attempt_is_written_before_its_one_call(scene: Scene) -> bool:
    """Each attempt makes one call; only a run that lost its batch just now may be late."""
    slide = scene.batch.slides[scene.call.place]
    is_open = slide.open is not None and slide.open.attempt == slide.attempts
    return slide.called < slide.attempts and (is_open or not scene.is_owner)


def no_call_after_a_cancel_was_answered(scene: Scene) -> bool:
    """Until somebody wants the slides again."""
    return not scene.batch.is_given_up or not scene.is_owner


def no_call_after_the_batchs_time(scene: Scene) -> bool:
    """Counted on the loop's clock, whatever the wall clock does."""
    return scene.call.begun_s <= scene.batch.since_s + BATCH_TIMEOUT_S


def no_call_whose_picture_could_not_be_kept(scene: Scene) -> bool:
    """There was room when it was decided."""
    full_since_s = scene.disk_full_since_s
    return full_since_s is None or scene.draft_opened_s <= full_since_s


def no_call_is_begun_once_the_service_stops(scene: Scene) -> bool:
    """Those under way get their grace."""
    return scene.stopped_at_s is None or scene.draft_opened_s <= scene.stopped_at_s


def single_slide_is_not_made_for_a_caller_who_is_gone(scene: Scene) -> bool:
    """A crash takes the caller's connection with it."""
    return not scene.batch.order.is_single or scene.batch.life == scene.call.life


def no_more_calls_than_workers(scene: Scene) -> bool:
    """A single slide is bounded by all single slides, and there is one of each."""
    return scene.beside < scene.batch.order.max_workers


def no_call_when_the_money_is_spent(scene: Scene) -> bool:
    """By what is written of its cost."""
    limit_usd = scene.batch.order.max_cost_usd
    costs = [slide.cost_usd or 0.0 for slide in scene.batch.state.slides]
    return limit_usd is None or sum(costs) < limit_usd


CALL_LAWS: Final[Sequence[CallLaw]] = (
    attempt_is_written_before_its_one_call,
    no_call_after_a_cancel_was_answered,
    no_call_after_the_batchs_time,
    no_call_whose_picture_could_not_be_kept,
    no_call_is_begun_once_the_service_stops,
    single_slide_is_not_made_for_a_caller_who_is_gone,
    no_more_calls_than_workers,
    no_call_when_the_money_is_spent,
)
