"""Make one slide: cache, slot, attempt, check, keep, and again where the policy says so."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.events import SlideDone, SlideFailed
from slideloom.domain.images import NotAPicture, PictureFacts
from slideloom.domain.prices import find_price, price_usage
from slideloom.engine.allowance import Allowance
from slideloom.engine.attempt import SlideJob
from slideloom.engine.budget import Hold, OverBudget
from slideloom.engine.deadline import TimeUp
from slideloom.engine.fallback import is_models_trouble
from slideloom.engine.lanes import Lanes, NotAdmitted, Seat, Wish
from slideloom.engine.retry import RetryPolicy, decide_retry
from slideloom.engine.reuse import Results
from slideloom.errors import (
    CorruptPicture,
    NoAnswerInTime,
    ProviderError,
    RateLimited,
    SlideErrorCode,
    Stopping,
    StorageFull,
    StoreError,
)
from slideloom.logs import Log
from slideloom.providers.base import Drawn
from slideloom.stores.base import CachedResult
from slideloom.stores.image_base import Draft, ImageStore
from slideloom.tracing import Fact, step

_TURNED_AWAY = 2
"""So many troubles of the first model, and the slide asks the fallback."""

AspectFix = Literal["off", "crop", "pad"]


class SlideRules(Struct, frozen=True, kw_only=True):
    """The numbers an operator may change."""

    retry: RetryPolicy
    slide_timeout_s: float
    """One call may take so long."""
    aspect_fix: AspectFix = "off"
    """What is done to a picture whose ratio is not the one ordered."""


class SlideMaker:
    """Makes slides over the lanes, into one image store."""

    def __init__(
        self,
        *,
        lanes: Lanes,
        images: ImageStore,
        results: Results,
        rules: SlideRules,
        allowance: Allowance | None = None,
    ) -> None:
        self.lanes = lanes
        self.images = images
        self.results = results
        self._rules = rules
        self.allowance = allowance

    async def make(self, job: SlideJob, *, log: Log) -> SlideDone | SlideFailed:
        """Make the slide; how it ended, yet to be written down.

        A fault of ours ends the slide as `internal`, and the log has the traceback.

        Raises:
            StoreError: nothing can be written down any more.
            Stopping: it is left as its log says, for another run to go on with.
        """
        try:
            return await self._make_or_reuse(job)
        except StorageFull as error:
            return self._cut_short(job, "storage_full", str(error), error)
        except OverBudget as error:
            return self._cut_short(job, "budget_exceeded", str(error), error)
        except TimeUp as error:
            return self._cut_short(job, error.code, "", error)
        except (StoreError, Stopping):
            raise
        except Exception as error:
            log.error("slide_crashed", slide_id=job.order.slide.id, exc_info=error)
            return self._cut_short(job, "internal", type(error).__name__, error)
        finally:
            job.free_slot()

    async def _make_or_reuse(self, job: SlideJob) -> SlideDone | SlideFailed:
        # What costs nothing is made anew: the embedded renderer also draws the page number.
        if not job.uses_cache or not self.lanes.first.bills:
            return await self._make(job)
        async with self.results.claim(
            job.order, self.lanes.list_models(job.order.model), job.deadline
        ) as claim:
            if claim.result is not None:
                return job.to_cached(claim.result)
            end = await self._make(job)
            claim.result = job.made
            return end

    async def _make(self, job: SlideJob) -> SlideDone | SlideFailed:
        tally, delay_s, troubles = job.failed_before, 0.0, 0
        while True:
            try:
                async with job.deadline.waiting():
                    await asyncio.sleep(delay_s)
                return await self._attempt(job, is_turned_away=troubles >= _TURNED_AWAY)
            except NotAdmitted as refusal:
                by = refusal.by
                return job.to_failed(by.code, by.detail, retry_after_s=by.retry_after_s)
            except ProviderError as error:
                billed = self._note(job, error)
                tally = tally.with_failure(error)
                troubles += _TURNED_AWAY if error.is_capacity else is_models_trouble(error)
                decision = decide_retry(
                    error,
                    tally,
                    self._rules.retry,
                    left_s=job.deadline.left_s(),
                    jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
                )
                if decision is None:
                    cost_usd = job.attempts[-1].cost_usd
                    return job.to_failed(
                        error.code,
                        error.detail,
                        possibly_billed=billed,
                        cost_usd=cost_usd,
                        error=error,
                    )
                delay_s = decision.delay_s
                pause_s = max(delay_s, self.lanes.pause_s())
                await job.record(job.to_retrying(error, delay_s=pause_s))

    async def _attempt(self, job: SlideJob, *, is_turned_away: bool) -> SlideDone:
        """One paid call, and what came of it.

        Raises:
            ProviderError: no picture.
            NotAdmitted: nothing was called, every lane is closed.
            OverBudget: nothing was called, the batch's money or the day's may not suffice.
            StorageFull: nothing was called, or the picture could not be kept.
            TimeUp: the batch's time was up before the picture was there.
        """
        async with AsyncExitStack() as drafts:
            drawn, draft = await self._draw(job, drafts, is_turned_away=is_turned_away)
            # The picture is there, and maybe paid: from here on no deadline cuts it off.
            facts = await self._look_at(draft, job)
            image = await draft.keep()
        end = job.to_done(drawn, facts, image=image)
        if self.lanes.first.bills:
            job.made = _to_result(end, facts)
            await self.results.keep(job.order, job.asked_model or "", job.made)
        return end

    async def _draw(
        self, job: SlideJob, drafts: AsyncExitStack, *, is_turned_away: bool
    ) -> tuple[Drawn, Draft]:
        """The call, once admitted; the draft is discarded with `drafts` unless it is kept."""
        async with (
            _slot(job),  # before the money: who keeps its slot must not wait for who wants one
            self._hold(job) as hold,
            self._seat(job, is_turned_away=is_turned_away) as seat,
            self._allow(job, hold),
            job.deadline.calling(),  # inside: no deadline cuts off the writing of a bill
        ):
            # In the slot, so that two hundred waiting slides hold no two hundred files.
            draft = await self.images.open_draft(page_num=job.page_num)
            drafts.push_async_callback(draft.discard)
            job.deadline.check()  # a stop, or a cancel, may have come meanwhile
            bills = seat.provider.bills
            await job.record(
                job.begin_attempt(
                    provider=seat.provider.name,
                    model=seat.model,
                    bills=bills,
                    image_stem=draft.stem,
                )
            )
            hold.is_billed = bills
            try:
                number = job.attempts[-1].attempt
                facts: dict[str, Fact] = {"attempt": number, "model": seat.model}
                with step("attempt", provider=seat.provider.name, **facts) as span:
                    drawn = await self._call(job, seat, draft)
                    span.note(
                        served_model=drawn.model,
                        http_status=drawn.http_status,
                        provider_request_id=drawn.request_id,
                        cost_usd=drawn.cost_usd,
                    )
            except ProviderError as error:
                hold.cost_usd, hold.is_billed = error.cost_usd, bills and error.billed == "maybe"
                raise
            if bills:
                hold.cost_usd = self._price(job, seat.model, drawn)
            return drawn, draft

    @asynccontextmanager
    async def _hold(self, job: SlideJob) -> AsyncIterator[Hold]:
        """Money set aside for one attempt."""
        async with AsyncExitStack() as stack:
            async with job.deadline.waiting():
                hold = await stack.enter_async_context(
                    job.budget.hold(*self.lanes.list_models(job.order.model))
                )
            yield hold

    @asynccontextmanager
    async def _allow(self, job: SlideJob, hold: Hold) -> AsyncIterator[None]:
        """The day's money set aside for one attempt, as late as can be."""
        async with AsyncExitStack() as stack:
            if self.allowance is not None:
                models = self.lanes.list_models(job.order.model)
                async with job.deadline.waiting():
                    await stack.enter_async_context(self.allowance.hold(job.owner, models, hold))
            yield

    @asynccontextmanager
    async def _seat(self, job: SlideJob, *, is_turned_away: bool) -> AsyncIterator[Seat]:
        """A seat in a lane, which is told how the call ended."""
        wish = Wish(
            party=job.party,
            rank=(job.count_setbacks(), job.place),
            since_s=job.taken_at_s,
            left_s=job.deadline.left_s,
            model=job.order.model,
            is_turned_away=is_turned_away,
        )
        seat = await self._sit(job, wish)
        try:
            job.deadline.check()
            yield seat
        except ProviderError as error:
            jitter = random.random()  # noqa: S311 - as above
            self.lanes.close(seat, error, jitter=jitter)
            raise
        except BaseException:
            self.lanes.drop(seat)
            raise
        self.lanes.close(seat, None, jitter=0.0)

    async def _sit(self, job: SlideJob, wish: Wish) -> Seat:
        seat: Seat | None = None
        try:
            async with job.deadline.waiting():
                seat = await self.lanes.sit(wish)
        except (TimeUp, Stopping):
            if seat is not None:  # granted in the last moment
                self.lanes.drop(seat)
            raise
        return seat

    async def _call(self, job: SlideJob, seat: Seat, draft: Draft) -> Drawn:
        entry, started_s = job.attempts[-1], monotonic_s()
        limit_s = self._rules.slide_timeout_s
        try:
            async with asyncio.timeout(limit_s) as slide_time:
                order = replace(job.order, model=seat.model, take=entry.attempt)
                drawn = await seat.provider.draw(order, draft)
        except TimeoutError as error:
            if not slide_time.expired():
                raise
            message = f"no picture within {limit_s:g} s"
            raise NoAnswerInTime(message) from error
        finally:
            entry.seconds = round(monotonic_s() - started_s, 3)
        entry.model, entry.usage, entry.cost_usd = drawn.model, drawn.usage, drawn.cost_usd
        entry.http_status, entry.request_id = drawn.http_status, drawn.request_id
        return drawn

    async def _look_at(self, draft: Draft, job: SlideJob) -> PictureFacts:
        """What the picture is, with its ratio mended where the operator wants that."""
        try:
            facts = await draft.inspect()
            if self._rules.aspect_fix == "off" or job.fits(facts):
                return facts
            with contextlib.suppress(StorageFull):  # as it came it is on the disk, and paid
                return await draft.fit(job.order.ratio, self._rules.aspect_fix)
            return facts
        except NotAPicture as error:
            raise CorruptPicture(str(error)) from error

    def _note(self, job: SlideJob, error: ProviderError) -> bool:
        """Close a failed attempt; whether it may be billed."""
        entry = job.attempts[-1]
        entry.cost_usd = error.cost_usd if entry.cost_usd is None else entry.cost_usd
        possibly_billed = self.lanes.first.bills and error.billed == "maybe"
        entry.close(error.code, error.detail, error=error, possibly_billed=possibly_billed)
        return possibly_billed

    def _price(self, job: SlideJob, model: str, drawn: Drawn) -> float | None:
        """Put a price to the last attempt; what the budget has to reckon with.

        Where neither the provider nor its tokens tell, the record has the price
        list's lowest figure, and the budget reckons with the highest.
        """
        entry = job.attempts[-1]
        if entry.cost_usd is None and drawn.usage:
            entry.cost_usd = price_usage(model, drawn.usage)
        if entry.cost_usd is not None or (price := find_price(model)) is None:
            return entry.cost_usd
        entry.cost_usd = price.low_usd
        return price.high_usd

    def _cut_short(
        self, job: SlideJob, code: SlideErrorCode, detail: str, error: Exception
    ) -> SlideFailed:
        """The slide ends for a reason of ours; a call that was under way may be billed."""
        entry = job.open_attempt
        if entry is None:
            return job.to_failed(code, detail)
        possibly_billed = self.lanes.first.bills
        entry.close(code, detail, error=error, possibly_billed=possibly_billed)
        return job.to_failed(code, detail, possibly_billed=possibly_billed, cost_usd=entry.cost_usd)


def _to_result(end: SlideDone, facts: PictureFacts) -> CachedResult:
    return CachedResult(
        image=end.image,
        width=end.width,
        height=end.height,
        aspect_ratio_ok=end.aspect_ratio_ok,
        size_bytes=facts.size_bytes,
        provider=end.provider,
        model=end.model,
        revised_prompt=end.revised_prompt,
        made_at_s=wall_s(),
    )


@asynccontextmanager
async def _slot(job: SlideJob) -> AsyncIterator[None]:
    """A slot of the batch; kept when the lane rejects the call, so that the turn is not lost."""
    async with job.deadline.waiting():
        await job.take_slot()
    try:
        yield
    except RateLimited:
        raise
    except BaseException:
        job.free_slot()
        raise
    job.free_slot()
