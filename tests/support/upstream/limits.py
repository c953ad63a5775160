"""Who is let in: keys, money, rates and limits, plain and without a clock of their own."""

import math
from typing import Literal

from msgspec import Struct

from tests.support.upstream.plan import Plan

Reason = Literal["key", "revoked", "outage", "balance", "limit", "rate"]


class Reject(Struct, frozen=True):
    """A call not let in."""

    reason: Reason
    status: int
    message: str
    retry_after_s: float | None = None


class Gate:
    """The limits of one plan, and how much of them is used up."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._first_s: float | None = None
        self._tokens = float(plan.burst)
        self._filled_s = 0.0
        self.admitted = 0
        """Calls let in."""
        self.spent_usd = 0.0
        """Billed since the plan was set."""
        self.revoked: set[str] = set()
        """Keys that are dead."""
        self.broke: set[str] = set()
        """Keys whose account is empty for good."""

    def decide(self, key: str, *, now_s: float, in_flight: int) -> Reject | None:
        """Let a call in (`None`, and it is counted) or not."""
        if self._first_s is None:
            self._first_s = self._filled_s = now_s
        reject = self._check(key, now_s - self._first_s, now_s, in_flight)
        if reject is None:
            self.admitted += 1
        return reject

    def _check(self, key: str, elapsed_s: float, now_s: float, in_flight: int) -> Reject | None:
        return (
            self.check_key(key)
            or self._check_outage(elapsed_s)
            or self._check_balance(key, in_flight)
            or self._check_limit(elapsed_s, in_flight)
            or self._take_token(now_s)
        )

    def check_key(self, key: str) -> Reject | None:
        """Whether the key is none, or dead."""
        if not key:
            return Reject("key", 401, "Missing Authentication header")
        if self._plan.keys and key not in self._plan.keys:
            return Reject("key", 401, "User not found.")
        revoke_after = self._plan.revoke_after_calls
        if key in self.revoked or (revoke_after is not None and self.admitted >= revoke_after):
            return Reject("revoked", 401, "API key has been disabled")
        return None

    def _check_outage(self, elapsed_s: float) -> Reject | None:
        if any(start_s <= elapsed_s < end_s for start_s, end_s in self._plan.outages):
            return Reject("outage", self._plan.outage_status, "Provider returned error")
        return None

    def _check_balance(self, key: str, in_flight: int) -> Reject | None:
        balance_usd = self._plan.balance_usd
        due_usd = self.spent_usd + (in_flight + 1) * self._plan.cost_usd
        if key in self.broke or (balance_usd is not None and due_usd > balance_usd + 1e-9):
            return Reject("balance", 402, "Insufficient credits. Add more using the settings page.")
        return None

    def _check_limit(self, elapsed_s: float, in_flight: int) -> Reject | None:
        limit = self._limit_at(elapsed_s)
        if limit is None or in_flight < limit:
            return None
        message = "Rate limit exceeded: too many at once"
        return Reject("limit", 429, message, self._plan.limit_retry_after_s)

    def _limit_at(self, elapsed_s: float) -> int | None:
        limit = self._plan.limit
        for start_s, value in self._plan.limit_schedule:
            if elapsed_s >= start_s:
                limit = value
        return limit

    def _take_token(self, now_s: float) -> Reject | None:
        rate = self._plan.rate_per_s
        if rate is None:
            return None
        self._tokens = min(float(self._plan.burst), self._tokens + (now_s - self._filled_s) * rate)
        self._filled_s = now_s
        if self._tokens >= 1:
            self._tokens -= 1
            return None
        wait_s = math.ceil((1 - self._tokens) / rate)
        return Reject(
            "rate", 429, "Rate limit exceeded", float(wait_s) if self._plan.rate_hint else None
        )
