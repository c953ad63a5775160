"""What users see of a batch: the contract's answer bodies and how they are made."""

import heapq

from msgspec import Struct

from slideloom.clock import to_iso
from slideloom.domain.batch import BatchPhase, BatchState, SlidePhase, SlideState
from slideloom.domain.messages import Language, slide_error_message
from slideloom.domain.slide import Slide
from slideloom.errors import SlideErrorCode

ASSETS_PATH = "/assets/"
"""Where pictures are served, whatever `API_PREFIX` says: saved decks point there."""


class SlideVersion(Struct, frozen=True, kw_only=True):
    """One picture a slide has had."""

    n: int
    """1-based; the highest is the newest."""
    image_url: str
    created_at: str
    current: bool


class SlideResult(Struct, frozen=True, kw_only=True):
    """One slide, as users see it. Source: contract section 2."""

    slide_id: str
    """The string that was sent."""
    page_num: int
    title: str
    image_url: str | None
    final_prompt: str | None
    status: SlidePhase
    error_message: str | None
    """What failed and what to do."""
    generation_time: float | None
    """Seconds from the first attempt's start to the end."""
    error_code: SlideErrorCode | None
    attempts: int
    """Calls begun at the provider, those of earlier versions included."""
    provider: str | None
    model: str | None
    """The model that served."""
    cached: bool
    cost_usd: float | None
    """Of all attempts."""
    width: int | None
    """Pixels."""
    height: int | None
    """Pixels."""
    aspect_ratio_ok: bool | None
    """Whether the picture's ratio is within 3 % of the one ordered."""
    versions: tuple[SlideVersion, ...]


class BatchAnswer(Struct, frozen=True, kw_only=True):
    """The answer of `batch/generate`. Source: contract section 2."""

    batch_id: str
    total_slides: int
    successful: int
    failed: int
    total_time: float
    """Seconds since the order was taken, until the end."""
    results: tuple[SlideResult, ...]
    """In request order; only the finished ones while the batch runs."""
    status: BatchPhase
    session_id: str
    max_workers: int
    """Slides under way at once, after the server's limit."""
    cost_usd: float | None
    """`null` when no provider said a cost."""
    possibly_billed: int
    """Calls without a picture that the provider may charge for."""
    cancelled: bool


class BatchStatus(Struct, frozen=True, kw_only=True):
    """The answer of `batch/status`. Source: contract section 3."""

    batch_id: str
    status: BatchPhase
    progress: float
    """Finished slides / all."""
    total_slides: int
    completed_slides: int
    successful: int
    failed: int
    estimated_remaining_time: float | None
    """Seconds; `null` until one slide has finished and when nothing remains."""
    results: tuple[SlideResult, ...]
    session_id: str
    created_at: str
    total_time: float
    """Seconds since the order was taken, until the end."""
    cost_usd: float | None
    """`null` when no provider said a cost."""
    possibly_billed: int
    """Calls without a picture that the provider may charge for."""
    cancelled: bool
    max_workers: int
    aspect_ratio: str
    """`W:H`, as ordered."""
    last_event_id: int
    """The number of the latest event told here; live events go on behind it."""


class BatchSummary(Struct, frozen=True, kw_only=True):
    """One line of the batch list."""

    batch_id: str
    status: BatchPhase
    title: str
    """The first slide's title."""
    total_slides: int
    successful: int
    failed: int
    progress: float
    session_id: str
    created_at: str
    total_time: float | None
    """Seconds; `null` while the batch has not ended."""
    cost_usd: float | None
    cancelled: bool


def to_result(order: Slide, slide: SlideState, language: Language) -> SlideResult:
    """One slide, as users see it."""
    picture = slide.picture
    made = slide if picture is None else picture
    return SlideResult(
        slide_id=order.id,
        page_num=order.page_num,
        title=order.title,
        image_url=None if picture is None else ASSETS_PATH + picture.image,
        final_prompt=made.final_prompt,
        status=slide.status,
        error_message=_error_message(slide, language),
        generation_time=_rounded(made.generation_time_s),
        error_code=slide.error_code,
        attempts=slide.attempts,
        provider=made.provider,
        model=made.model,
        cached=picture is not None and picture.cached,
        cost_usd=slide.cost_usd,
        width=None if picture is None else picture.width,
        height=None if picture is None else picture.height,
        aspect_ratio_ok=None if picture is None else picture.aspect_ratio_ok,
        versions=tuple(
            SlideVersion(
                n=n,
                image_url=ASSETS_PATH + version.image,
                created_at=to_iso(version.made_at_s),
                current=version is picture,
            )
            for n, version in enumerate(slide.versions, 1)
        ),
    )


def _error_message(slide: SlideState, language: Language) -> str | None:
    if slide.error_code is None:
        return None
    billed = slide.possibly_billed > 0
    return slide_error_message(
        slide.error_code, slide.error_detail, language, possibly_billed=billed
    )


def to_answer(state: BatchState, *, elapsed_s: float, language: Language) -> BatchAnswer:
    """The body of `batch/generate`: every slide, or the finished ones while it runs."""
    pairs = zip(state.order.slides, state.slides, strict=True)
    return BatchAnswer(
        batch_id=state.batch_id,
        total_slides=len(state.slides),
        successful=state.count("done"),
        failed=state.count("error"),
        total_time=_total_time(state, elapsed_s),
        results=tuple(
            to_result(order, slide, language)
            for order, slide in pairs
            if slide.is_final or state.is_final
        ),
        status=state.status,
        session_id=state.order.session_id,
        max_workers=state.order.max_workers,
        cost_usd=cost_usd(state),
        possibly_billed=possibly_billed(state),
        cancelled=state.is_cancelled,
    )


def to_status(
    state: BatchState, *, last_event: int, elapsed_s: float, now_s: float, language: Language
) -> BatchStatus:
    """The body of `batch/status`; `now_s` is the wall clock."""
    pairs = zip(state.order.slides, state.slides, strict=True)
    finished = state.count("done", "error")
    return BatchStatus(
        batch_id=state.batch_id,
        status=state.status,
        progress=finished / len(state.slides),
        total_slides=len(state.slides),
        completed_slides=finished,
        successful=state.count("done"),
        failed=state.count("error"),
        estimated_remaining_time=_rounded(estimate_remaining_s(state, now_s=now_s)),
        results=tuple(to_result(order, slide, language) for order, slide in pairs),
        session_id=state.order.session_id,
        created_at=to_iso(state.created_at_s),
        total_time=_total_time(state, elapsed_s),
        cost_usd=cost_usd(state),
        possibly_billed=possibly_billed(state),
        cancelled=state.is_cancelled,
        max_workers=state.order.max_workers,
        aspect_ratio=state.order.aspect_ratio,
        last_event_id=last_event,
    )


def to_summary(state: BatchState) -> BatchSummary:
    """One line of the batch list."""
    return BatchSummary(
        batch_id=state.batch_id,
        status=state.status,
        title=state.order.slides[0].title,
        total_slides=len(state.slides),
        successful=state.count("done"),
        failed=state.count("error"),
        progress=state.count("done", "error") / len(state.slides),
        session_id=state.order.session_id,
        created_at=to_iso(state.created_at_s),
        total_time=_rounded(state.total_time_s),
        cost_usd=cost_usd(state),
        cancelled=state.is_cancelled,
    )


def cost_usd(state: BatchState) -> float | None:
    """What the providers said the batch cost; `None` when none said anything."""
    costs = [slide.cost_usd for slide in state.slides if slide.cost_usd is not None]
    return round(sum(costs), 6) if costs else None


def possibly_billed(state: BatchState) -> int:
    """Attempts without a picture that may be charged, those cut off in flight included."""
    return sum(slide.possibly_billed for slide in state.slides)


def estimate_remaining_s(state: BatchState, *, now_s: float) -> float | None:
    """Seconds until the last slide ends, if each takes as long as the mean so far.

    The slides that remain are dealt to the workers as the run will deal them:
    those under way first, then each waiting one to whoever is free next.
    """
    waiting, times, failed, ages = 0, [], [], []
    for slide in state.slides:  # once: whoever polls has it reckoned
        picture = slide.picture
        if slide.status == "pending":
            waiting += 1
        elif slide.status == "generating":
            ages.append(max(0.0, now_s - (slide.started_at_s or now_s)))
        elif slide.status == "error":
            failed.append(slide.generation_time_s)
        elif picture is not None and not picture.cached:
            times.append(picture.generation_time_s)
    failed = [] if times else failed
    times = [seconds for seconds in times or failed if seconds]
    if state.is_final or not times or not (waiting or ages):
        return None
    mean_s = sum(times) / len(times)
    if failed:  # a refusal is quick: others take at least as long as they have taken
        mean_s = max([mean_s, *ages])
    # A slide slower than the mean is as good as done: no better guess is at hand.
    ends = [max(0.0, mean_s - age_s) for age_s in ages]
    ends += [0.0] * (min(state.order.max_workers, waiting + len(ends)) - len(ends))
    heapq.heapify(ends)
    for _ in range(waiting):
        heapq.heapreplace(ends, ends[0] + mean_s)
    return max(ends)


def _total_time(state: BatchState, elapsed_s: float) -> float:
    return round(elapsed_s if state.total_time_s is None else state.total_time_s, 3)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
