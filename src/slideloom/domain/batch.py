"""The state of a batch, folded from its log."""

from collections.abc import Iterable
from typing import Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from slideloom.domain.events import (
    BatchCancelled,
    BatchFinished,
    BatchOrder,
    BatchResumed,
    BatchStarted,
    BatchSubmitted,
    Event,
    SlideCharged,
    SlideDone,
    SlideEvent,
    SlideFailed,
    SlideRestored,
    SlideRetrying,
    SlidesReopened,
    SlideStarted,
)
from slideloom.errors import SlideErrorCode, UnreadableLog

BatchPhase = Literal["pending", "running", "completed", "failed"]
SlidePhase = Literal["pending", "generating", "done", "error"]
_NOT_COUNTED = ("rate_limited", "auth_failed", "quota_exhausted")
"""A rejection is the lane's business; after a key's refusal the next call has another key."""


class Version(Struct, frozen=True, kw_only=True):
    """One picture that a slide has had."""

    image: str
    """Its file name."""
    width: int
    height: int
    aspect_ratio_ok: bool
    provider: str
    model: str
    cached: bool
    final_prompt: str | None
    revised_prompt: str | None
    generation_time_s: float
    made_at_s: float


class SlideState(Struct, frozen=True, kw_only=True):
    """How far one slide is."""

    status: SlidePhase = "pending"
    attempts: int = 0
    """Paid-path calls begun, over all runs."""
    possibly_billed: int = 0
    """Attempts without a picture that the provider may charge for."""
    unpriced: int = 0
    """Those of them of which nobody has said what they cost."""
    in_flight: SlideStarted | None = None
    """The attempt that has begun and not ended."""
    failed_unbilled: int = 0
    """Attempts since it was wanted that count against its calls, certainly not charged."""
    failed_maybe_billed: int = 0
    """The same of those that may have been charged."""
    cut_offs: int = 0
    """How often in a row a crash came in the middle of an attempt."""
    is_anew: bool = False
    """Whether a new version is wanted that has not been made yet: none from the cache will do."""
    started_at_s: float | None = None
    """When this run's first attempt began, on the wall clock."""
    generation_time_s: float | None = None
    """From this run's first attempt to its end."""
    final_prompt: str | None = None
    provider: str | None = None
    model: str | None = None
    cost_usd: float | None = None
    """Of all attempts; `None` while nobody has said any."""
    error_code: SlideErrorCode | None = None
    error_detail: str = ""
    retry_after_s: float | None = None
    """When asking again may help, where the provider says so."""
    versions: tuple[Version, ...] = ()
    """Oldest first."""
    shown: int | None = None
    """0-based, the version that counts while the slide is done."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it in this run."""
        return self.status in {"done", "error"}

    @property
    def picture(self) -> Version | None:
        """The picture it has; none unless it is done."""
        if self.status != "done" or self.shown is None:
            return None
        return self.versions[self.shown]

    @property
    def in_flight_bills(self) -> bool:
        """Whether an attempt that may cost money has begun and not ended."""
        return self.in_flight is not None and self.in_flight.bills


class BatchState(Struct, frozen=True, kw_only=True):
    """How far one batch is."""

    batch_id: str
    order: BatchOrder
    created_at_s: float
    slides: tuple[SlideState, ...]
    """In request order."""
    seq: int = 1
    """Number of the last event in it."""
    latest_at_s: float = 0.0
    """When the last event happened."""
    status: BatchPhase = "pending"
    is_cancelled: bool = False
    wanted_at_s: float = 0.0
    """When it was ordered, taken up by another process, or reopened after its end."""
    spent_s: float = 0.0
    """Seconds that it took before that."""
    total_time_s: float | None = None
    """Of all its runs; set once the batch has ended."""

    @property
    def is_final(self) -> bool:
        """Whether the batch has ended."""
        return self.status in {"completed", "failed"}

    @property
    def logged_s(self) -> float:
        """Seconds it has taken by its log alone: what a process that died leaves."""
        if self.total_time_s is not None:
            return self.total_time_s
        return self.spent_s + max(0.0, self.latest_at_s - self.wanted_at_s)

    def count(self, *statuses: SlidePhase) -> int:
        """How many slides have one of `statuses`."""
        return sum(slide.status in statuses for slide in self.slides)


def fold(batch_id: str, events: Iterable[Event]) -> BatchState:
    """The state after all `events`, the whole log from its start.

    Raises:
        UnreadableLog: the log does not begin with the order, has it twice, or speaks of
            slides or versions that are not there.
    """
    log = iter(events)
    first = next(log, None)
    if not isinstance(first, BatchSubmitted):
        message = f"the log of batch {batch_id} does not begin with its order"
        raise UnreadableLog(message)
    state = BatchState(
        batch_id=batch_id,
        order=first.order,
        created_at_s=first.at_s,
        latest_at_s=first.at_s,
        wanted_at_s=first.at_s,
        slides=(SlideState(),) * len(first.order.slides),
    )
    for event in log:
        state = apply(state, event)
    return state


def apply(state: BatchState, event: Event) -> BatchState:
    """The state after one more event.

    Raises:
        UnreadableLog: as `fold`.
    """
    places = event.places if isinstance(event, SlidesReopened) else (getattr(event, "place", 0),)
    if not all(0 <= place < len(state.slides) for place in places):
        message = f"the log of batch {state.batch_id} speaks of a slide that is not there"
        raise UnreadableLog(message)
    state = replace(state, seq=state.seq + 1, latest_at_s=event.at_s)
    match event:
        case BatchSubmitted():
            message = f"batch {state.batch_id} was submitted twice"
            raise UnreadableLog(message)
        case BatchStarted():
            return replace(state, status="running")
        case BatchResumed():
            return replace(state, spent_s=event.spent_s, wanted_at_s=event.at_s)
        case BatchCancelled():
            return state if state.is_final else replace(state, is_cancelled=True)
        case SlidesReopened():
            return _reopen(state, event)
        case BatchFinished():
            return replace(state, status=_verdict(state), total_time_s=event.total_time_s)
        case _:
            slide = _apply_to_slide(state.slides[event.place], event)
            if slide.shown is not None and not 0 <= slide.shown < len(slide.versions):
                message = f"batch {state.batch_id} shows a version that is not there"
                raise UnreadableLog(message)
            state = _with_slide(state, event.place, slide)
            # A picture that is shown again may be the only one of an ended batch.
            return replace(state, status=_verdict(state)) if state.is_final else state


def _verdict(state: BatchState) -> BatchPhase:
    return "completed" if state.count("done") else "failed"


def _with_slide(state: BatchState, place: int, slide: SlideState) -> BatchState:
    return replace(state, slides=(*state.slides[:place], slide, *state.slides[place + 1 :]))


def _reopen(state: BatchState, event: SlidesReopened) -> BatchState:
    """Slides that are under way, or done and not wanted anew, stay as they are."""
    places = [place for place in event.places if can_reopen(state.slides[place], anew=event.anew)]
    for place in places:
        slide = replace(
            state.slides[place],
            status="pending",
            is_anew=event.anew or state.slides[place].is_anew,
            failed_unbilled=0,
            failed_maybe_billed=0,
            cut_offs=0,
            started_at_s=None,
            generation_time_s=None,
            error_code=None,
            error_detail="",
            retry_after_s=None,
        )
        state = _with_slide(state, place, slide)
    if not places or not state.is_final:
        return state
    return replace(
        state,
        status="running",
        is_cancelled=False,
        wanted_at_s=event.at_s,
        spent_s=state.total_time_s or 0.0,
        total_time_s=None,
    )


def can_reopen(slide: SlideState, *, anew: bool) -> bool:
    """Whether a slide can be made once more: it has ended, and is not done or wanted `anew`."""
    return slide.is_final and (anew or slide.status != "done")


def _apply_to_slide(slide: SlideState, event: SlideEvent) -> SlideState:
    match event:
        case SlideStarted():
            return _begin(slide, event)
        case SlideRetrying():
            return _count_failure(_close_attempt(slide, event), event)
        case SlideDone():
            return _show(_close_attempt(slide, event), event)
        case SlideFailed():
            return _fail(_close_attempt(slide, event), event)
        case SlideRestored():
            return _restore(slide, event)
        case SlideCharged():
            unpriced = max(0, slide.unpriced - 1)
            return replace(slide, unpriced=unpriced, cost_usd=_add(slide.cost_usd, event.cost_usd))
        case _:
            assert_never(event)


def _begin(slide: SlideState, event: SlideStarted) -> SlideState:
    return replace(
        slide,
        status="generating",
        attempts=slide.attempts + 1,
        in_flight=event,
        started_at_s=slide.started_at_s or event.at_s,
        final_prompt=event.final_prompt,
        provider=event.provider,
        model=event.model,
    )


def _count_failure(slide: SlideState, event: SlideRetrying) -> SlideState:
    if event.error_code == "interrupted":
        return replace(slide, cut_offs=slide.cut_offs + 1)
    slide = replace(slide, cut_offs=0)
    if event.error_code in _NOT_COUNTED:
        return slide
    if event.possibly_billed:
        return replace(slide, failed_maybe_billed=slide.failed_maybe_billed + 1)
    return replace(slide, failed_unbilled=slide.failed_unbilled + 1)


def _close_attempt(slide: SlideState, event: SlideRetrying | SlideDone | SlideFailed) -> SlideState:
    """What an attempt took counts, whatever came of it."""
    return replace(
        slide,
        in_flight=None,
        possibly_billed=slide.possibly_billed + event.possibly_billed,
        unpriced=slide.unpriced + (event.possibly_billed and event.cost_usd is None),
        cost_usd=_add(slide.cost_usd, event.cost_usd),
    )


def _show(slide: SlideState, event: SlideDone) -> SlideState:
    """Another version, which is the one that counts now."""
    final_prompt = event.final_prompt or slide.final_prompt
    version = Version(
        image=event.image,
        width=event.width,
        height=event.height,
        aspect_ratio_ok=event.aspect_ratio_ok,
        provider=event.provider,
        model=event.model,
        cached=event.cached,
        final_prompt=final_prompt,
        revised_prompt=event.revised_prompt,
        generation_time_s=event.generation_time_s,
        made_at_s=event.at_s,
    )
    return replace(
        slide,
        status="done",
        is_anew=False,
        cut_offs=0,
        generation_time_s=event.generation_time_s,
        final_prompt=final_prompt,
        provider=event.provider,
        model=event.model,
        versions=(*slide.versions, version),
        shown=len(slide.versions),
    )


def _restore(slide: SlideState, event: SlideRestored) -> SlideState:
    return replace(
        slide,
        status="done",
        shown=event.version - 1,
        is_anew=False,
        error_code=None,
        error_detail="",
        retry_after_s=None,
    )


def _fail(slide: SlideState, event: SlideFailed) -> SlideState:
    return replace(
        slide,
        status="error",
        final_prompt=event.final_prompt or slide.final_prompt,
        generation_time_s=event.generation_time_s,
        error_code=event.error_code,
        error_detail=event.error_detail,
        retry_after_s=event.retry_after_s,
    )


def _add(spent_usd: float | None, cost_usd: float | None) -> float | None:
    return spent_usd if cost_usd is None else (spent_usd or 0.0) + cost_usd
