"""Make one slide: slot, attempt, check, keep, and again where the policy says so."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from slideloom.clock import monotonic_s
from slideloom.domain.events import SlideDone, SlideFailed
from slideloom.domain.images import NotAPicture, PictureFacts
from slideloom.engine.attempt import AttemptLog, SlideJob
from slideloom.engine.deadline import TimeUp
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
from slideloom.providers.base import Drawn, Provider
from slideloom.stores.base import Draft, ImageStore

_FORBIDDEN = 403


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

    async def make(self, job: SlideJob, *, log: Log) -> SlideDone | SlideFailed:
        """Make the slide; how it ended, yet to be written down.

        A fault of ours ends the slide as `internal`, and the log has the traceback.

        Raises:
            StoreError: nothing can be written down any more.
        """
        try:
            return await self._make(job)
        except StorageFull as error:
            return self._cut_short(job, "storage_full", str(error), error)
        except TimeUp as error:
            return self._cut_short(job, error.code, "", error)
        except StoreError:
            raise
        except Exception as error:
            log.error("slide_crashed", slide_id=job.order.slide.id, exc_info=error)
            return self._cut_short(job, "internal", type(error).__name__, error)

    async def _make(self, job: SlideJob) -> SlideDone | SlideFailed:
        tally, delay_s = Tally(), 0.0
        while True:
            try:
                async with job.deadline.waiting():
                    await asyncio.sleep(delay_s)
                return await self._attempt(job)
            except _NotAdmitted as refusal:
                return job.to_failed(refusal.by.code, refusal.by.detail, error=refusal.by)
            except ProviderError as error:
                billed = self._note(job, error)
                tally = tally.with_failure(error)
                decision = decide_retry(
                    error,
                    tally,
                    self._policy,
                    left_s=job.deadline.left_s(),
                    jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
                )
                if decision is None:
                    return job.to_failed(
                        error.code, error.detail, possibly_billed=billed, error=error
                    )
                delay_s = decision.delay_s
                await job.record(job.to_retrying(error, delay_s=delay_s))

    async def _attempt(self, job: SlideJob) -> SlideDone:
        """One paid call, and what came of it.

        Raises:
            ProviderError: no picture.
            _NotAdmitted: nothing was called, the lane is closed.
            StorageFull: nothing was called, or the picture could not be kept.
            TimeUp: the batch's time was up before the picture was there.
        """
        async with AsyncExitStack() as drafts:
            drawn, draft = await self._draw(job, drafts)
            # The picture is there, and maybe paid: from here on no deadline cuts it off.
            facts = await _inspect(draft)
            self._lane.succeeded()
            image = await draft.keep(page_num=job.page_num)
        return job.to_done(drawn, facts, image=image)

    async def _draw(self, job: SlideJob, drafts: AsyncExitStack) -> tuple[Drawn, Draft]:
        """The call, once admitted; the draft is discarded with `drafts` unless it is kept."""
        async with self._admission(job), job.deadline.calling():
            # In the slot, so that two hundred waiting slides hold no two hundred files.
            draft = await self._images.open_draft()
            drafts.push_async_callback(draft.discard)
            model = job.order.model or self._provider.model
            await job.record(
                job.begin_attempt(
                    provider=self._provider.name, model=model, bills=self._provider.bills
                )
            )
            return await self._call(job, draft, job.attempts[-1]), draft

    @asynccontextmanager
    async def _admission(self, job: SlideJob) -> AsyncIterator[None]:
        """Wait out the lane's pause, then for a slot of the batch; never hold one in a pause."""
        while True:
            pause_s = self._check_lane(job)
            async with job.deadline.waiting():
                await asyncio.sleep(pause_s)
                await job.slots.acquire()
            try:
                job.deadline.check()
                if self._check_lane(job) == 0:
                    yield
                    return
            finally:
                job.slots.release()

    def _check_lane(self, job: SlideJob) -> float:
        """Seconds until the lane is open.

        Raises:
            _NotAdmitted: it stays closed for longer than the slide has.
        """
        stop = self._lane.find_stop(since_s=job.taken_at_s)
        if stop is not None:
            raise _NotAdmitted(stop)
        pause_s = self._lane.wait_s(monotonic_s())
        if pause_s > job.deadline.left_s() and self._lane.paused_by is not None:
            raise _NotAdmitted(self._lane.paused_by)
        return pause_s

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

    def _note(self, job: SlideJob, error: ProviderError) -> bool:
        """Close a failed attempt, and tell the lane; whether it may be billed."""
        entry = job.attempts[-1]
        # A model of the user's own choice that the key may not use says nothing about the key.
        if not (job.order.model and error.http_status == _FORBIDDEN):
            jitter = random.random()  # noqa: S311 - as above
            self._lane.failed(error, now_s=monotonic_s(), jitter=jitter)
        possibly_billed = self._provider.bills and error.billed == "maybe"
        entry.close(error.code, error.detail, error=error, possibly_billed=possibly_billed)
        return possibly_billed

    def _cut_short(
        self, job: SlideJob, code: SlideErrorCode, detail: str, error: Exception
    ) -> SlideFailed:
        """The slide ends for a reason of ours; a call that was under way may be billed."""
        entry = job.open_attempt
        possibly_billed = entry is not None and self._provider.bills
        if entry is not None:
            entry.close(code, detail, error=error, possibly_billed=possibly_billed)
        return job.to_failed(code, detail, possibly_billed=possibly_billed)


async def _inspect(draft: Draft) -> PictureFacts:
    try:
        return await draft.inspect()
    except NotAPicture as error:
        raise CorruptPicture(str(error)) from error


class _NotAdmitted(Exception):
    """No call was made, because of an earlier one: a turn of control, not an error of its own."""

    def __init__(self, by: ProviderError) -> None:
        super().__init__()
        self.by = by
