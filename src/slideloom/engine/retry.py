"""Whether an attempt that gave no picture is followed by another. Source: providers policy."""

from msgspec import Struct
from msgspec.structs import replace

from slideloom.errors import (
    AnswerLost,
    CorruptPicture,
    NoImage,
    ProviderError,
    RateLimited,
    RequestNotSent,
    TransientError,
    UpstreamDown,
)

_BACKOFF_CAP_S = 30.0
_CALLS: dict[type[TransientError], int] = {
    RequestNotSent: 4,
    UpstreamDown: 4,
    AnswerLost: 2,
    CorruptPicture: 2,
}
"""Calls in all. `NoImage` is bounded by a setting, rate limits by lanes and the deadline."""


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """The numbers an operator may change."""

    retry_no_image: int = 1
    """Further calls after an answer without a picture."""
    backoff_base_s: float = 1.0
    """The first back-off's upper end; each further one doubles it, up to 30 s."""


class Tally(Struct, frozen=True):
    """The failed attempts of one slide so far that use up its calls."""

    unbilled: int = 0
    """Certainly not charged."""
    maybe_billed: int = 0

    def with_failure(self, error: ProviderError) -> "Tally":
        """One more failed attempt."""
        if error.moves_on or isinstance(error, RateLimited):
            return self  # another key's calls are not used up by it; a rejection is the lane's
        if error.billed == "maybe":
            return replace(self, maybe_billed=self.maybe_billed + 1)
        return replace(self, unbilled=self.unbilled + 1)


class RetryDecision(Struct, frozen=True):
    """Try again, after a while."""

    delay_s: float


def decide_retry(
    error: ProviderError, tally: Tally, policy: RetryPolicy, *, left_s: float, jitter: float
) -> RetryDecision | None:
    """Whether to try again after `error`, the last one counted in `tally`.

    Args:
        error: why the last attempt gave no picture.
        tally: all failed attempts of the slide, that one included.
        policy: the operator's numbers.
        left_s: seconds until the batch's deadline.
        jitter: a random number in [0, 1).

    Returns:
        `None` when the slide ends with `error`.
    """
    if error.moves_on:
        return RetryDecision(0.0)  # with another key
    if not isinstance(error, TransientError):
        return None
    if isinstance(error, RateLimited):
        # Else the lane is paused, for this slide and all others.
        delay_s = error.own_pause_s
        return RetryDecision(delay_s) if delay_s <= left_s else None
    # Each that may have been paid counts against the others of that sort.
    failures = tally.maybe_billed if error.billed == "maybe" else tally.unbilled
    if failures >= _call_limit(error, policy):
        return None
    delay_s = backoff_s(failures, policy.backoff_base_s, jitter)
    if error.retry_after_s is not None:
        delay_s = error.retry_after_s
    return RetryDecision(delay_s) if delay_s <= left_s else None


def backoff_s(failures: int, base_s: float, jitter: float) -> float:
    """Exponential back-off with full jitter after `failures` ≥ 1."""
    return jitter * min(_BACKOFF_CAP_S, base_s * 2.0 ** (min(failures, 16) - 1))


def _call_limit(error: TransientError, policy: RetryPolicy) -> int:
    if isinstance(error, NoImage):
        return 1 + policy.retry_no_image
    return next(limit for kind, limit in _CALLS.items() if isinstance(error, kind))
