"""One slide's job, and the records of its attempts: for its log file and for its batch's log."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable

from msgspec import Struct, field

from slideloom.clock import monotonic_s, to_iso, wall_s
from slideloom.domain.events import SlideDone, SlideFailed, SlideRetrying, SlideStarted
from slideloom.domain.images import PictureFacts
from slideloom.engine.budget import Budget
from slideloom.engine.deadline import Deadline
from slideloom.engine.retry import Tally
from slideloom.errors import ProviderError, SlideErrorCode
from slideloom.providers.base import Drawn, DrawOrder
from slideloom.stores.base import CachedResult

_PATIENCE = 3
"""Rejections after which a slide lets others go first."""


class AttemptLog(Struct, kw_only=True, omit_defaults=True):
    """One attempt, for the slide's log file."""

    attempt: int
    """1-based, over all runs."""
    provider: str
    model: str
    started_at: str
    seconds: float = 0.0
    http_status: int | None = None
    request_id: str | None = None
    usage: dict[str, object] | None = None
    cost_usd: float | None = None
    error_code: SlideErrorCode | None = None
    error_detail: str = ""
    provider_code: str | None = None
    possibly_billed: bool = False
    traceback: str | None = None

    def close(
        self,
        code: SlideErrorCode,
        detail: str,
        *,
        error: Exception,
        possibly_billed: bool,
    ) -> None:
        """The attempt gave no picture that is kept."""
        self.error_code, self.error_detail = code, detail
        self.possibly_billed = possibly_billed
        self.traceback = "".join(traceback.format_exception(error))
        if isinstance(error, ProviderError):
            self.provider_code = error.provider_code
            self.http_status = error.http_status or self.http_status
            self.request_id = error.request_id or self.request_id


class SlideJob(Struct, kw_only=True):
    """One slide to make, and how far its making is."""

    order: DrawOrder
    place: int
    """0-based."""
    page_num: int | None
    """For the picture's file name."""
    taken_at_s: float
    """When the work was taken, monotonic: a lane's stop counts only after it."""
    deadline: Deadline
    slots: asyncio.Semaphore
    """`max_workers` of the batch."""
    party: str
    """Whose turn it is in the queue before the lanes: its batch, or all single slides."""
    budget: Budget
    """The batch's money."""
    owner: str = ""
    """Whose day's money is spent."""
    uses_cache: bool
    """Whether a picture made for a like request will do."""
    attempts_before: int = 0
    """Those of earlier runs."""
    failed_before: Tally = field(default_factory=Tally)
    """What a run that was cut off has used up of its calls."""
    record: Callable[[SlideStarted | SlideRetrying], Awaitable[None]]
    """Writes an event down; the call is made only after it returns."""
    made: CachedResult | None = None
    """The picture, as like requests may use it."""
    has_slot: bool = False
    """Whether it holds one; kept when the lane refuses a call, so that its turn is not lost."""
    attempts: list[AttemptLog] = field(default_factory=list)
    asked_model: str | None = None
    """Whom the last attempt asked; another one may have served."""
    _began_s: float | None = None

    async def take_slot(self) -> None:
        """Wait for a slot of the batch, unless it still has one."""
        if not self.has_slot:
            await self.slots.acquire()
            self.has_slot = True

    def free_slot(self) -> None:
        """Let others have the slot."""
        if self.has_slot:
            self.has_slot = False
            self.slots.release()

    def count_setbacks(self) -> int:
        """How often others go first: after each failure, and after every few rejections.

        A slide that always kept its turn would spend its calls in an outage; one that
        lost it at each rejection would end long after the others. Source: simulation.
        """
        rejections = sum(entry.error_code == "rate_limited" for entry in self.attempts)
        failures = sum(entry.error_code is not None for entry in self.attempts) - rejections
        return failures + rejections // _PATIENCE

    @property
    def open_attempt(self) -> AttemptLog | None:
        """The attempt that has begun and not ended."""
        last = self.attempts[-1] if self.attempts else None
        return last if last is not None and last.error_code is None else None

    def begin_attempt(
        self, *, provider: str, model: str, bills: bool, image_stem: str
    ) -> SlideStarted:
        """Open another attempt; what is to be written down before its call."""
        now_s = wall_s()
        self._began_s = monotonic_s() if self._began_s is None else self._began_s
        self.asked_model = model
        number = self.attempts_before + len(self.attempts) + 1
        self.attempts.append(
            AttemptLog(attempt=number, provider=provider, model=model, started_at=to_iso(now_s))
        )
        return SlideStarted(
            at_s=now_s,
            place=self.place,
            attempt=number,
            provider=provider,
            model=model,
            bills=bills,
            final_prompt=self.order.prompt,
            image_stem=image_stem,
        )

    def to_retrying(self, error: ProviderError, *, delay_s: float) -> SlideRetrying:
        """The event that the last attempt failed and another follows."""
        return SlideRetrying(
            at_s=wall_s(),
            place=self.place,
            attempt=self.attempts[-1].attempt,
            error_code=error.code,
            error_detail=error.detail,
            delay_s=round(delay_s, 3),
            possibly_billed=self.attempts[-1].possibly_billed,
            cost_usd=self.attempts[-1].cost_usd,
            http_status=error.http_status,
            request_id=error.request_id,
        )

    def to_done(self, drawn: Drawn, facts: PictureFacts, *, image: str) -> SlideDone:
        """The event that the picture was kept under the name `image`."""
        return SlideDone(
            at_s=wall_s(),
            place=self.place,
            image=image,
            width=facts.width_px,
            height=facts.height_px,
            aspect_ratio_ok=self.fits(facts),
            generation_time_s=self._seconds() or 0.0,
            provider=drawn.provider,
            model=drawn.model,
            cost_usd=self.attempts[-1].cost_usd,
            http_status=drawn.http_status,
            request_id=drawn.request_id,
            revised_prompt=drawn.revised_prompt,
            usage=drawn.usage,
            text_cut=drawn.text_cut,
        )

    def to_cached(self, found: CachedResult) -> SlideDone:
        """The event that a picture made for a like request serves."""
        return SlideDone(
            at_s=wall_s(),
            place=self.place,
            image=found.image,
            width=found.width,
            height=found.height,
            aspect_ratio_ok=found.aspect_ratio_ok,
            generation_time_s=0.0,
            provider=found.provider,
            model=found.model,
            cached=True,
            cost_usd=0.0,
            final_prompt=self.order.prompt,
            revised_prompt=found.revised_prompt,
        )

    def fits(self, facts: PictureFacts) -> bool:
        """Whether a picture has the ratio that was ordered."""
        return self.order.ratio.fits(width_px=facts.width_px, height_px=facts.height_px)

    def to_failed(
        self,
        code: SlideErrorCode,
        detail: str = "",
        *,
        possibly_billed: bool = False,
        cost_usd: float | None = None,
        retry_after_s: float | None = None,
        error: ProviderError | None = None,
    ) -> SlideFailed:
        """The event that the slide ends without a picture.

        `cost_usd` and `error` are the last attempt's, where it is that which ends the slide.
        """
        return SlideFailed(
            at_s=wall_s(),
            place=self.place,
            error_code=code,
            error_detail=detail,
            final_prompt=None if self.attempts else self.order.prompt,
            generation_time_s=self._seconds(),
            possibly_billed=possibly_billed,
            cost_usd=cost_usd,
            http_status=error.http_status if error else None,
            request_id=error.request_id if error else None,
            retry_after_s=error.retry_after_s if error else retry_after_s,
        )

    def _seconds(self) -> float | None:
        """Since the first attempt began, waits between attempts included."""
        return None if self._began_s is None else round(monotonic_s() - self._began_s, 3)
