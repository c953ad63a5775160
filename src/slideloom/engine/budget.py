"""What one batch may still spend: nothing begins that could take it over its limit."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from slideloom.domain.messages import NO_PRICE
from slideloom.domain.prices import ROUNDING_USD, find_price


class OverBudget(Exception):
    """One more attempt could cost more than is left; the text says how much is."""


class Hold(Struct, eq=False):
    """Money set aside for one attempt."""

    most_usd: float
    """What it is expected to cost at most."""
    cost_usd: float | None = None
    """What it did cost; to be set before the hold ends."""
    is_billed: bool = False
    """Whether it may be charged, should no cost become known; to be set once a call is made."""


class Budget:
    """The money of one batch; without a limit, everything may be spent."""

    def __init__(
        self, limit_usd: float | None, *, spent_usd: float = 0.0, unpriced_calls: int = 0
    ) -> None:
        """Take what earlier runs of the batch spent.

        Args:
            limit_usd: for all runs.
            spent_usd: what is known.
            unpriced_calls: those that may be charged, and nobody says how much.
        """
        self._limit_usd = limit_usd
        self._spent_usd = spent_usd
        self._unpriced_calls = unpriced_calls
        self._held: list[Hold] = []
        self._dearest_usd: float | None = None
        """The most that an attempt of this batch has cost."""
        self._is_blind = False
        """An attempt was charged, and nobody says how much."""
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def hold(self, *models: str) -> AsyncIterator[Hold]:
        """Set aside what an attempt with the dearest of `models` may cost, while inside.

        Where the money left suffices only if others come out cheaper than
        expected, they are waited for.

        Raises:
            OverBudget: it does not suffice whatever they cost.
        """
        while not self._take_turn(*models):
            self._changed.clear()
            await self._changed.wait()
        hold = self._held[-1]
        try:
            yield hold
        finally:
            self._settle(hold)

    def _take_turn(self, *models: str) -> bool:
        """Whether money could be set aside now.

        Raises:
            OverBudget: it never can.
        """
        if self._limit_usd is None:
            self._held.append(Hold(0.0))
            return True
        most_usd = self._expect(*models)
        self._price_earlier_calls(most_usd)
        if most_usd is None:  # one at a time, until a bill tells
            if self._is_blind:
                raise OverBudget(NO_PRICE.format(" or ".join(models)))
            if self._held:
                return False
            most_usd = 0.0 if self._spent_usd < self._limit_usd else math.inf
        limit_usd = self._limit_usd + ROUNDING_USD
        if self._spent_usd + most_usd > limit_usd:
            left_usd = max(0.0, self._limit_usd - self._spent_usd)
            message = f"${left_usd:.3f} of ${self._limit_usd:.3f} left"
            if math.isfinite(most_usd):
                message += f", ${most_usd:.3f} needed"
            raise OverBudget(message)
        if self._spent_usd + sum(hold.most_usd for hold in self._held) + most_usd > limit_usd:
            return False
        self._held.append(Hold(most_usd))
        return True

    def _price_earlier_calls(self, most_usd: float | None) -> None:
        """They are reckoned like the calls of this run: at the most that one may cost."""
        if most_usd is None:
            self._is_blind = self._is_blind or self._unpriced_calls > 0
            return
        self._spent_usd += self._unpriced_calls * most_usd
        self._unpriced_calls = 0

    def _expect(self, *models: str) -> float | None:
        """What an attempt may cost: the price list's highest, or the dearest one so far."""
        prices = [price.high_usd for model in models if (price := find_price(model)) is not None]
        if self._dearest_usd is not None:
            return max([*prices, self._dearest_usd])
        return max(prices) if len(prices) == len(models) else None

    def _settle(self, hold: Hold) -> None:
        self._held.remove(hold)
        if hold.cost_usd is not None:
            self._spent_usd += hold.cost_usd
            self._dearest_usd = max(self._dearest_usd or 0.0, hold.cost_usd)
        elif hold.is_billed:
            self._spent_usd += hold.most_usd
            self._is_blind = self._is_blind or not hold.most_usd
        self._changed.set()
