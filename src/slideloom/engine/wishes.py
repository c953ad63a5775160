"""What users want of a batch that is there, decided by its state alone: it may be redone."""

from collections.abc import Callable, Collection, Sequence

from slideloom.clock import wall_s
from slideloom.domain.batch import BatchState, can_reopen
from slideloom.domain.events import SlideRestored, SlidesReopened
from slideloom.errors import SlideUnderWay, UnknownSlide, UnknownVersion

Choice = Callable[[BatchState], Sequence[int]]
"""The places of the slides that are wanted once more."""


def choose_slides(slide_ids: Collection[str] | None) -> Choice:
    """Those slides, or all.

    The choice raises `UnknownSlide` when the batch has no such slide.
    """

    def choose(state: BatchState) -> list[int]:
        if slide_ids is None:
            return list(range(len(state.slides)))
        return [find_place(state, slide_id) for slide_id in dict.fromkeys(slide_ids)]

    return choose


def find_place(state: BatchState, slide_id: str) -> int:
    """Where the slide stands in the batch, 0-based.

    Raises:
        UnknownSlide: nowhere.
    """
    for place, slide in enumerate(state.order.slides):
        if slide.id == slide_id:
            return place
    raise UnknownSlide(slide_id)


def decide_reopening(state: BatchState, choose: Choice, *, anew: bool) -> SlidesReopened | None:
    """What to write so that the chosen slides are made again, as far as they need it.

    Raises:
        UnknownSlide: the choice's.
    """
    places = tuple(place for place in choose(state) if can_reopen(state.slides[place], anew=anew))
    return SlidesReopened(at_s=wall_s(), places=places, anew=anew) if places else None


def decide_restoring(state: BatchState, slide_id: str, version: int) -> SlideRestored | None:
    """What to write so that an earlier version is shown, if another one is; `version` is 1-based.

    Raises:
        SlideUnderWay: it is being made.
        UnknownSlide, UnknownVersion: there is none.
    """
    place = find_place(state, slide_id)
    slide = state.slides[place]
    if not slide.is_final:
        raise SlideUnderWay(slide_id)
    if not 1 <= version <= len(slide.versions):
        raise UnknownVersion(slide_id, str(version))
    if slide.picture is slide.versions[version - 1]:
        return None
    return SlideRestored(at_s=wall_s(), place=place, version=version)
