"""Make one slide: slot, attempt, check, keep, and again where the policy says so."""

import asyncio
import random
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct
from msgspec.structs import replace

from slideloom.clock import monotonic_s, to_iso, wall_s
from slideloom.domain.events import SlideDone, SlideFailed, SlideRetrying, SlideStarted
from slideloom.domain.images import NotAPicture, PictureFacts
from slideloom.engine.lanes import Lane
from slideloom.engine.retry import RetryPolicy, Tally, decide_retry
from slideloom.errors import (
    CorruptPicture,
    NoAnswerInTime,
    ProviderError,
    SlideErrorCode,
    StorageFull,
    StoreError,
)
from slideloom.logs import Log
from slideloom.providers.base import Drawn, DrawOrder, Provider
from slideloom.stores.base import Draft, ImageStore


class AttemptLog(Struct, kw_only=True, omit_defaults=True):
    """One attempt, for the slide's log file."""

    attempt: int
    provider: str
    model: str
    began_s: float
    """Monotonic."""
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


class SlideJob(Struct, frozen=True, kw_only=True):
    """One slide to make."""

    order: DrawOrder
    place: int
    """0-based."""
    page_num: int | None
    """For the picture's file name."""
    taken_at_s: float
    """When the work was taken, monotonic: a lane's stop counts only after it."""
    deadline_s: float
    """Monotonic."""
    slots: asyncio.Semaphore
    """`max_workers` of the batch: held only around the provider call."""
    record: Callable[[SlideStarted | SlideRetrying], Awaitable[None]]
    """Writes an event down; the call is made only after it returns."""
    attempts: list[AttemptLog]
    """Filled as attempts are made."""

    def seconds(self) -> float:
        """Since the first attempt began, waits between attempts included."""
        return round(monotonic_s() - self.attempts[0].began_s, 3)


class SlideMaker:
    """Makes slides with one provider, over its lane, into one image store."""

    def __init__(
        self,
        *,
        provider: Provider,
        lane: Lane,
        images: ImageStore,
        policy: RetryPolicy,
        slide_timeout_s: float,
    ) -> None:
        self._provider = provider
        self._lane = lane
        self._images = images
        self._policy = policy
        self._slide_timeout_s = slide_timeout_s

    async def make_to_end(self, job: SlideJob, *, log: Log) -> SlideDone | SlideFailed:
        """Make the slide; a fault of ours ends it as `internal`, and the log has the traceback.

        Raises:
            StoreError: nothing can be written down any more.
        """
        try:
            return await self.make(job)
        except StoreError:
            raise
        except Exception as error:
            log.error("slide_crashed", slide_id=job.order.slide.id, exc_info=error)
            possibly_billed = False
            if job.attempts:
                entry = job.attempts[-1]
                entry.error_code, entry.error_detail = "internal", type(error).__name__
                entry.traceback = "".join(traceback.format_exception(error))
                possibly_billed = entry.possibly_billed = self._provider.bills
            return _failed(job, "internal", type(error).__name__, possibly_billed=possibly_billed)

    async def make(self, job: SlideJob) -> SlideDone | SlideFailed:
        """Make the slide; how it ended, yet to be written down."""
        tally = Tally()
        while True:
            try:
                return await self._attempt(job, tally)
            except ProviderError as error:
                self._note(job, error)
                tally = tally.with_failure(error)
                decision = decide_retry(
                    error,
                    tally,
                    self._policy,
                    left_s=job.deadline_s - monotonic_s(),
                    jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
                )
                if decision is None:
                    return self._failed(job, error)
                await job.record(self._retrying(job, error, decision.delay_s))
                await asyncio.sleep(decision.delay_s)
            except _LaneStopped as stop:
                return self._failed(job, stop.by)
            except StorageFull as error:
                called = len(job.attempts) > tally.calls
                billed = called and self._provider.bills
                return _failed(job, "storage_full", str(error), possibly_billed=billed)
            except _BatchTimeUp as error:
                return _failed(job, "batch_timeout", possibly_billed=error.possibly_billed)

    async def _attempt(self, job: SlideJob, tally: Tally) -> SlideDone:
        """One paid call, and what came of it.

        Raises:
            ProviderError: no picture.
            _LaneStopped: nothing was called, the key has been refused.
            StorageFull: nothing was called, or the picture could not be kept.
            _BatchTimeUp: the batch's deadline passed before the picture was there.
        """
        async with AsyncExitStack() as drafts:
            drawn, draft = await self._draw_in_time(job, drafts, tally.calls + 1)
            # The picture is there, and maybe paid: from here on no deadline cuts it off.
            facts = await self._look_at(draft)
            self._lane.succeeded()
            name = await draft.keep(page_num=job.page_num)
        return self._done(job, drawn, facts, name)

    async def _draw_in_time(
        self, job: SlideJob, drafts: AsyncExitStack, attempt: int
    ) -> tuple[Drawn, Draft]:
        """The call, once admitted; the draft is discarded with `drafts` unless it is kept."""
        entry: AttemptLog | None = None
        try:
            async with asyncio.timeout_at(job.deadline_s) as batch_time, self._admission(job):
                await self._images.check_space()
                draft = await self._images.open_draft()
                drafts.push_async_callback(draft.discard)
                entry = await self._begin(job, attempt)
                return await self._call(job, draft, entry), draft
        except TimeoutError as error:
            if not batch_time.expired():
                raise
            billed = entry is not None and self._provider.bills
            raise _BatchTimeUp(possibly_billed=billed) from error

    @asynccontextmanager
    async def _admission(self, job: SlideJob) -> AsyncIterator[None]:
        """Wait out the lane's pause, then for a slot of the batch; never hold one in a pause."""
        while True:
            self._refuse_if_stopped(job)
            if (pause_s := self._lane.wait_s(monotonic_s())) > 0:
                await asyncio.sleep(pause_s)
                continue
            async with job.slots:
                self._refuse_if_stopped(job)
                if self._lane.wait_s(monotonic_s()) > 0:
                    continue
                yield
                return

    def _refuse_if_stopped(self, job: SlideJob) -> None:
        stop = self._lane.find_stop(since_s=job.taken_at_s)
        if stop is not None:
            raise _LaneStopped(stop)

    async def _begin(self, job: SlideJob, attempt: int) -> AttemptLog:
        """Write the attempt down, before it can cost anything."""
        model = job.order.model or self._provider.model
        now_s = wall_s()
        await job.record(
            SlideStarted(
                at_s=now_s,
                place=job.place,
                attempt=attempt,
                provider=self._provider.name,
                model=model,
                bills=self._provider.bills,
                final_prompt=job.order.prompt,
            )
        )
        entry = AttemptLog(
            attempt=attempt,
            provider=self._provider.name,
            model=model,
            began_s=monotonic_s(),
            started_at=to_iso(now_s),
        )
        job.attempts.append(entry)
        return entry

    async def _call(self, job: SlideJob, draft: Draft, entry: AttemptLog) -> Drawn:
        started_s = monotonic_s()
        try:
            async with asyncio.timeout(self._slide_timeout_s) as slide_time:
                drawn = await self._provider.draw(job.order, draft)
        except TimeoutError as error:
            if not slide_time.expired():
                raise
            in_words = f"no picture within {self._slide_timeout_s:g} s"
            raise NoAnswerInTime(in_words) from error
        finally:
            entry.seconds = round(monotonic_s() - started_s, 3)
        entry.model, entry.usage, entry.cost_usd = drawn.model, drawn.usage, drawn.cost_usd
        entry.http_status, entry.request_id = drawn.http_status, drawn.request_id
        return drawn

    async def _look_at(self, draft: Draft) -> PictureFacts:
        try:
            return await draft.inspect()
        except NotAPicture as error:
            raise CorruptPicture(str(error)) from error

    def _note(self, job: SlideJob, error: ProviderError) -> None:
        """Put a failed attempt into the slide's log, and tell the lane."""
        self._lane.failed(error, now_s=monotonic_s(), jitter=random.random())  # noqa: S311 - as above
        entry = job.attempts[-1]
        entry.error_code, entry.error_detail = error.code, error.detail
        entry.provider_code = error.provider_code
        entry.http_status = error.http_status or entry.http_status
        entry.request_id = error.request_id or entry.request_id
        entry.possibly_billed = self._may_be_billed(error)
        entry.traceback = "".join(traceback.format_exception(error))

    def _may_be_billed(self, error: ProviderError) -> bool:
        return self._provider.bills and error.billed == "maybe"

    def _retrying(self, job: SlideJob, error: ProviderError, delay_s: float) -> SlideRetrying:
        return SlideRetrying(
            at_s=wall_s(),
            place=job.place,
            attempt=len(job.attempts),
            error_code=error.code,
            error_detail=error.detail,
            delay_s=round(delay_s, 3),
            possibly_billed=self._may_be_billed(error),
            http_status=error.http_status,
            request_id=error.request_id,
        )

    def _failed(self, job: SlideJob, error: ProviderError) -> SlideFailed:
        return replace(
            _failed(job, error.code, error.detail, possibly_billed=self._may_be_billed(error)),
            http_status=error.http_status,
            request_id=error.request_id,
            retry_after_s=error.retry_after_s,
        )

    def _done(self, job: SlideJob, drawn: Drawn, facts: PictureFacts, name: str) -> SlideDone:
        return SlideDone(
            at_s=wall_s(),
            place=job.place,
            image=name,
            width=facts.width_px,
            height=facts.height_px,
            aspect_ratio_ok=job.order.ratio.fits(
                width_px=facts.width_px, height_px=facts.height_px
            ),
            final_prompt=job.order.prompt,
            generation_time_s=job.seconds(),
            provider=drawn.provider,
            model=drawn.model,
            cost_usd=drawn.cost_usd,
            http_status=drawn.http_status,
            request_id=drawn.request_id,
            revised_prompt=drawn.revised_prompt,
            usage=drawn.usage,
        )


def _failed(
    job: SlideJob, code: SlideErrorCode, detail: str = "", *, possibly_billed: bool = False
) -> SlideFailed:
    return SlideFailed(
        at_s=wall_s(),
        place=job.place,
        error_code=code,
        error_detail=detail,
        final_prompt=job.order.prompt,
        generation_time_s=job.seconds() if job.attempts else None,
        possibly_billed=possibly_billed,
    )


class _LaneStopped(Exception):
    def __init__(self, by: ProviderError) -> None:
        super().__init__()
        self.by = by


class _BatchTimeUp(Exception):
    def __init__(self, *, possibly_billed: bool) -> None:
        super().__init__()
        self.possibly_billed = possibly_billed
