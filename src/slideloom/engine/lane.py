"""The way to one provider with one key."""

import math
from collections.abc import Callable
from typing import Literal, assert_never

from msgspec import Struct

from slideloom.engine.throttle import Sent, Throttle
from slideloom.errors import ProviderError
from slideloom.providers.base import Provider

SINGLES_SHARE = 8
"""One call in so many is kept free for single slides, on top of what batches may have."""


class Reply(Struct, frozen=True, kw_only=True):
    """What a call says about the lane."""

    kind: Literal["accepted", "rejected", "failed", "dropped"]
    """A picture or a refusal not about load; a 429; a 5xx or a broken line; cut off by us."""
    sent: Sent
    at_s: float
    retry_after_s: float | None = None
    jitter: float = 0.0
    """In [0, 1)."""

    def tell(self, throttle: Throttle) -> None:
        """Have `throttle` learn from it."""
        match self.kind:
            case "accepted":
                throttle.succeed(self.sent, self.at_s)
            case "rejected":
                throttle.reject(
                    self.sent, self.at_s, retry_after_s=self.retry_after_s, jitter=self.jitter
                )
            case "failed":
                throttle.fail(self.sent, self.at_s, jitter=self.jitter)
            case "dropped":
                throttle.drop(self.sent, self.at_s)
            case _:
                assert_never(self.kind)


class Demand(Struct, frozen=True, kw_only=True):
    """Who waits for a lane, in this process."""

    batch_calls: int
    single_calls: int
    parties: int
    """Batches among them; all single slides are one more."""

    @property
    def calls(self) -> int:
        """All of them."""
        return self.batch_calls + self.single_calls


class Waiters(Struct, frozen=True):
    """What a lane that is shared with other processes asks of the queue before it."""

    measure: Callable[[], Demand]
    serve: Callable[[], None]
    """There are seats, or the lane was shut."""


class Lane:
    """The way to one provider with one key; this process alone decides about it."""

    def __init__(self, provider: Provider, *, start: int) -> None:
        """Begin with `start` calls at once."""
        self.provider = provider
        self.throttle = Throttle(start=start)
        self.single_count = 0
        """Single slides' calls under way."""
        self.paused_by: ProviderError | None = None
        """The rejection that closed the lane last."""
        self.stopped_by: ProviderError | None = None
        """Why the key was refused; `None` once it works again."""
        self._stopped_at_s = -math.inf

    def stop(self, error: ProviderError, now_s: float) -> None:
        """The key was refused: no call of work taken before can succeed."""
        self.stopped_by, self._stopped_at_s = error, now_s

    def note_success(self, sent: Sent) -> None:
        """A call gave a picture: one that was sent after the stop ends it."""
        if sent.at_s > self._stopped_at_s:
            self.stopped_by = None

    def find_stop(self, *, since_s: float) -> ProviderError | None:
        """Why work taken at `since_s` must not call: its key was refused after that.

        Work taken after the stop asks anew: the operator may have mended the key.
        """
        return self.stopped_by if self._stopped_at_s > since_s else None

    def wait_s(self, now_s: float, *, is_single: bool) -> float:
        """Seconds until a call may be sent; endless when only an answer can make room."""
        if is_single and has_single_seat(self.throttle, self.single_count):
            return self.throttle.pause_s(now_s)
        return self.throttle.wait_s(now_s)

    def send(self, now_s: float) -> Sent:
        """One more call is under way."""
        return self.throttle.send(now_s)

    def take(self, reply: Reply) -> None:
        """A call is over."""
        reply.tell(self.throttle)

    def join(self, waiters: Waiters) -> None:
        """Stand behind `waiters`: of use to a lane that others share."""

    def ask(self) -> None:
        """Somebody waits: of use to a lane that others share."""

    async def close(self) -> None:
        """Let go of all connections."""
        await self.provider.close()


def has_single_seat(throttle: Throttle, single_count: int) -> bool:
    """Whether a single slide may go beyond the width, with so many of them under way."""
    return single_count < max(1, throttle.in_flight // SINGLES_SHARE)
