"""The laws that hold between any two steps of a history, and those that hold at its end."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from slideloom.domain.batch import BatchState, SlideState, fold
from slideloom.domain.events import Event, SlideCharged
from slideloom.engine.recorder import Recorder
from tests.support.histories.life import find_leaks
from tests.support.histories.logbook import BatchTrack
from tests.support.histories.upstream import PRICE_USD, read_stamp
from tests.support.histories.users import Users
from tests.support.histories.world import World

Law = Callable[[Users], bool]

_TELLING: Final = (
    "at_s",
    "place",
    "places",
    "attempt",
    "anew",
    "image",
    "error_code",
    "error_detail",
    "possibly_billed",
    "cost_usd",
    "cached",
    "version",
    "max_workers",
)
"""What of an event matters to whoever reads of a broken law."""


def every_written_called_and_answered_law_holds(users: Users) -> bool:
    """What was noted when it happened."""
    return not users.world.books.broken


def no_accepted_batch_is_lost(users: Users) -> bool:
    """Whoever was told an id finds the order under it, through every crash."""
    return all(batch_id in users.world.books.batches for batch_id in users.accepted)


def done_means_a_picture_of_its_own_that_is_kept(users: Users) -> bool:
    """Never a failure dressed up, never a picture of another slide, but for the cache's."""
    world = users.world
    return all(
        _is_own_picture(world, batch, place, version)
        for batch in world.books.batches.values()
        for place, slide in enumerate(batch.slides)
        for version in range(len(slide.images))
    )


def picture_shown_is_the_one_made_or_restored_last(users: Users) -> bool:
    """In every slide that is done."""
    return all(
        slide.picture is None or slide.picture.image == batch.slides[place].shown
        for batch in users.world.books.batches.values()
        for place, slide in enumerate(batch.state.slides)
    )


def written_costs_cover_the_bill(users: Users) -> bool:
    """Per slide m ≤ k ≤ m + p: m calls with a cost written, p possibly billed, k billed."""
    return all(
        _covers(slide, users.world.books.upstream.bills.get((batch_id, place), 0))
        for batch_id, batch in users.world.books.batches.items()
        for place, slide in enumerate(batch.state.slides)
    )


def live_state_is_the_folded_log(users: Users) -> bool:
    """Unless something is just being written, or another life wrote late costs since."""
    world = users.world
    return not world.life.passage.is_open or all(
        _is_alike(run.state, world.books.batches[batch_id])
        for batch_id, run in world.life.shop.runs.roster.runs.items()
        if _is_idle(run.recorder)
    )


LAWS: Final[Sequence[Law]] = (
    every_written_called_and_answered_law_holds,
    no_accepted_batch_is_lost,
    done_means_a_picture_of_its_own_that_is_kept,
    picture_shown_is_the_one_made_or_restored_last,
    written_costs_cover_the_bill,
    live_state_is_the_folded_log,
)


def every_batch_has_ended(users: Users) -> bool:
    """After time enough without faults."""
    return all(batch.is_final for batch in users.world.books.batches.values())


def nobody_waits_for_an_answer(users: Users) -> bool:
    """Neither."""
    return not users.asking


def no_call_is_under_way(users: Users) -> bool:
    """Nor is any paid for later."""
    return not users.world.books.upstream.under_way


def late_answers_costs_are_written(users: Users) -> bool:
    """Of calls that were answered after another life had taken their batch."""
    world = users.world
    late = [
        (call.batch_id, call.place) for call in world.books.upstream.calls if world.is_late(call)
    ]
    written = [
        (batch_id, event.place)
        for batch_id, batch in world.books.batches.items()
        for event in batch.log
        if isinstance(event, SlideCharged)
    ]
    return not Counter(late) - Counter(written)


def nothing_is_leaked(users: Users) -> bool:
    """Every seat, slot and claim is free again."""
    return not find_leaks(users.world.life, users.world.setup)


LAWS_OF_THE_END: Final[Sequence[Law]] = (
    *LAWS,
    every_batch_has_ended,
    nobody_waits_for_an_answer,
    no_call_is_under_way,
    late_answers_costs_are_written,
    nothing_is_leaked,
)


def check(users: Users, laws: Sequence[Law]) -> None:
    """Say which laws are broken, and by what."""
    broken = [law.__name__ for law in laws if not law(users)]
    assert not broken, "\n".join([*broken, *users.world.books.broken, *describe(users.world)])


def describe(world: World) -> list[str]:
    """Every log, for whoever reads of a broken law."""
    return [
        f"{batch_id[:8]} {_to_line(event)}"
        for batch_id, batch in world.books.batches.items()
        for event in batch.log
    ]


def _to_line(event: Event) -> str:
    facts = {name: getattr(event, name) for name in event.__struct_fields__ if name in _TELLING}
    told = [f"{name}={value}" for name, value in facts.items() if value is not None]
    return " ".join([type(event).__name__, *told])


def _is_own_picture(world: World, batch: BatchTrack, place: int, version: int) -> bool:
    image = batch.slides[place].images[version]
    if image not in world.books.images.kept:
        return False
    call = world.books.upstream.calls[read_stamp(world.books.images.kept[image])]
    shown = batch.state.slides[place].versions[version]
    is_own = (call.batch_id, call.place) == (batch.state.batch_id, place)
    return call.gave_picture and (is_own or (shown.cached and shown.final_prompt == call.prompt))


def _covers(slide: SlideState, billed: int) -> bool:
    known = round((slide.cost_usd or 0.0) / PRICE_USD)
    return known <= billed <= known + slide.possibly_billed + slide.in_flight_bills


def _is_idle(recorder: Recorder) -> bool:
    return not recorder._waiting and (recorder._writer is None or recorder._writer.done())


def _is_alike(live: BatchState, batch: BatchTrack) -> bool:
    if live.seq == len(batch.log):
        return live == batch.state
    unseen = batch.log[live.seq :]
    is_level = all(isinstance(event, SlideCharged) for event in unseen)
    return is_level and live == fold(live.batch_id, batch.log[: live.seq])
