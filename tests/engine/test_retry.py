"""The policy's table, row by row. Source: providers policy, Part I."""

import asyncio

import pytest

from slideloom.engine.retry import RetryPolicy, Tally, decide_retry
from slideloom.errors import (
    AnswerLost,
    AuthFailed,
    BadRequest,
    ContentBlocked,
    CorruptPicture,
    DownloadFailed,
    NoAnswerInTime,
    NoImage,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestNotSent,
    UpstreamDown,
)
from tests.support.orders import order
from tests.support.parts import ScriptedProvider, Workshop

ROWS: list[tuple[type[ProviderError], str, int, int]] = [
    # error                code                    calls  possibly billed
    (RequestNotSent, "upstream_unavailable", 4, 0),
    (UpstreamDown, "upstream_unavailable", 4, 0),
    (AnswerLost, "upstream_unavailable", 2, 2),
    (CorruptPicture, "invalid_image", 2, 2),
    (NoImage, "no_image", 2, 2),
    (NoAnswerInTime, "timeout", 1, 1),
    (ContentBlocked, "content_blocked", 1, 0),
    (AuthFailed, "auth_failed", 1, 0),
    (QuotaExhausted, "quota_exhausted", 1, 0),
    (BadRequest, "bad_request", 1, 0),
    (DownloadFailed, "upstream_unavailable", 1, 1),
]


@pytest.mark.parametrize(("error", "code", "calls", "billed"), ROWS)
async def test_outcome_has_its_code_and_its_number_of_calls(
    error: type[ProviderError], code: str, calls: int, billed: int
) -> None:
    provider = ScriptedProvider(*[error("said so") for _ in range(9)])
    async with Workshop(provider) as shop:
        timeline = await shop.engine.submit(order(1))
        assert await timeline.wait_finished(timeout_s=3600)
    slide = timeline.state.slides[0]
    assert (slide.error_code, len(provider.calls)) == (code, calls)
    assert (slide.attempts, slide.possibly_billed) == (calls, billed)
    assert slide.error_detail == "said so"


@pytest.mark.parametrize("error", [UpstreamDown, AnswerLost, CorruptPicture, NoImage, RateLimited])
async def test_slide_is_done_when_a_retry_succeeds(error: type[ProviderError]) -> None:
    provider = ScriptedProvider(error())
    async with Workshop(provider) as shop:
        timeline = await shop.engine.submit(order(1))
        await timeline.wait_finished(timeout_s=3600)
    slide = timeline.state.slides[0]
    assert (slide.status, slide.attempts, slide.error_code) == ("done", 2, None)


async def test_rate_limits_use_up_no_attempt() -> None:
    provider = ScriptedProvider(*[RateLimited(retry_after_s=1) for _ in range(12)], UpstreamDown())
    async with Workshop(provider) as shop:
        timeline = await shop.engine.submit(order(1))
        await timeline.wait_finished(timeout_s=3600)
    assert (timeline.state.status, len(provider.calls)) == ("completed", 14)


async def test_retry_after_pauses_the_whole_lane() -> None:
    provider = ScriptedProvider(RateLimited(retry_after_s=60), seconds=0.1)
    async with Workshop(provider) as shop:
        first = await shop.engine.submit(order(1))
        await asyncio.sleep(1)
        second = await shop.engine.submit(order(2))
        await asyncio.sleep(50)
        assert len(provider.calls) == 1  # the second batch waits out the first one's pause
        await first.wait_finished(timeout_s=60)
        await second.wait_finished(timeout_s=60)
    assert second.state.count("done") == 2


async def test_retry_after_beyond_the_deadline_fails_every_waiting_slide_now() -> None:
    provider = ScriptedProvider(RateLimited("daily", retry_after_s=86400))
    async with Workshop(provider) as shop:
        timeline = await shop.engine.submit(order(5, max_workers=1))
        assert await timeline.wait_finished(timeout_s=5)
        assert len(provider.calls) == 1
        assert {s.error_code for s in timeline.state.slides} == {"rate_limited"}
        await asyncio.sleep(901)  # asked again after a while, whatever it said
        again = await shop.engine.submit(order(1))
        await again.wait_finished(timeout_s=60)
    assert again.state.status == "completed"


@pytest.mark.parametrize("error", [AuthFailed, QuotaExhausted])
async def test_refused_key_ends_the_rest_of_the_batch_without_calls(
    error: type[ProviderError],
) -> None:
    provider = ScriptedProvider(*[error("no") for _ in range(20)])
    async with Workshop(provider) as shop:
        timeline = await shop.engine.submit(order(20, max_workers=3))
        await timeline.wait_finished(timeout_s=60)
        assert len(provider.calls) == 3  # those in flight, and no other
        assert timeline.state.count("error") == 20
        assert {s.error_code for s in timeline.state.slides} == {error.code}
        # Work taken after the stop asks anew: the operator may have mended the key.
        again = await shop.engine.submit(order(1))
        await again.wait_finished(timeout_s=60)
    assert len(provider.calls) == 4


async def test_model_of_the_users_choice_that_is_forbidden_stops_no_other_batch() -> None:
    provider = ScriptedProvider(AuthFailed("not for you", http_status=403))
    async with Workshop(provider) as shop:
        odd = await shop.engine.submit(order(1, model="forbidden"))
        other = await shop.engine.submit(order(4, max_workers=1))
        await other.wait_finished(timeout_s=60)
    assert odd.state.slides[0].error_code == "auth_failed"
    assert other.state.count("done") == 4


async def test_retry_after_of_nothing_still_backs_off() -> None:
    provider = ScriptedProvider(*[RateLimited(retry_after_s=0) for _ in range(2000)], seconds=0.1)
    async with Workshop(provider) as shop:
        await shop.engine.submit(order(10, max_workers=10))
        await asyncio.sleep(60)
        assert len(provider.calls) < 200


async def test_zero_further_calls_after_no_image_is_obeyed() -> None:
    provider = ScriptedProvider(NoImage())
    async with Workshop(provider, policy={"retry_no_image": 0}) as shop:
        timeline = await shop.engine.submit(order(1))
        await timeline.wait_finished(timeout_s=60)
    assert len(provider.calls) == 1


def test_kinds_that_may_be_billed_share_one_count() -> None:
    tally = Tally().with_failure(AnswerLost()).with_failure(NoImage())
    assert decide_retry(NoImage(), tally, RetryPolicy(), left_s=99, jitter=0.5) is None


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 0.5), (2, 1.0), (3, 2.0)])
def test_back_off_doubles_under_full_jitter(failures: int, delay_s: float) -> None:
    tally = Tally(unbilled=failures)
    decision = decide_retry(UpstreamDown(), tally, RetryPolicy(), left_s=99, jitter=0.5)
    assert decision is not None
    assert decision.delay_s == delay_s
