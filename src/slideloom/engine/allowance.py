"""What each owner may spend in a day: no call is made that could take it over the limit.

The most a call may cost is written down as spent before it is made, and put right when the bill
is known. So a crash leaves too much written down rather than too little, and any number of
processes keep one limit together.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from slideloom.clock import to_iso, wall_s
from slideloom.domain.messages import DAY_SPENT, NO_PRICE
from slideloom.domain.prices import ROUNDING_USD, find_price
from slideloom.engine.budget import Hold, OverBudget
from slideloom.errors import DailyCostReached, StoreError
from slideloom.logs import Log
from slideloom.stores.base import SpendingBook

_DAY_S = 24 * 3600
_PAUSE_S = 2.0
"""Between looks whether a store that fails is back."""


class Allowance:
    """One limit for each owner, and for what is nobody's."""

    def __init__(self, book: SpendingBook, *, limit_usd: float, log: Log) -> None:
        self._book = book
        self._limit_usd = limit_usd
        self._log = log
        self._blind: set[tuple[str, str]] = set()
        """Owners, and days with a call that was charged, and nobody says how much."""
        self._dearest_usd: dict[tuple[str, ...], float] = {}
        """By day and models: the most that a call to any of them has cost here."""

    async def refuse_if_spent(self, owner: str, models: Sequence[str]) -> None:
        """Make sure that a call to the dearest of `models` could be paid today.

        Raises:
            DailyCostReached: it could not.
            StoreError: nobody knows.
        """
        now_s = wall_s()
        day, most_usd = _to_day(now_s), 0.0
        with suppress(OverBudget):  # its slides say so
            most_usd = self._expect(owner, day, models)
        left_usd = self._limit_usd - await self._book.find_cost(owner, day)
        if left_usd <= ROUNDING_USD or left_usd < most_usd - ROUNDING_USD:
            left_s = math.ceil(_DAY_S - now_s % _DAY_S)
            raise DailyCostReached(self._limit_usd, retry_after_s=left_s)

    @asynccontextmanager
    async def hold(self, owner: str, models: Sequence[str], hold: Hold) -> AsyncIterator[None]:
        """Set aside, while inside, what a call to the dearest of `models` may cost.

        `hold` tells in the end what it did cost. While the store fails, it is waited for.

        Raises:
            OverBudget: what is left today may not suffice.
        """
        day = _to_day(wall_s())
        most_usd = self._expect(owner, day, models)
        if not await self._insist(owner, day, most_usd, limit_usd=self._limit_usd):
            message = f"{DAY_SPENT}: ${self._limit_usd:.2f}"
            raise OverBudget(message)
        try:
            yield
        finally:
            if hold.cost_usd is not None:
                asked = (day, *models)
                self._dearest_usd[asked] = max(self._dearest_usd.get(asked, 0.0), hold.cost_usd)
            await self._settle(owner, day, most_usd, hold)

    def _expect(self, owner: str, day: str, models: Sequence[str]) -> float:
        """The price list's highest, or the dearest bill; 0 before the first where it has none."""
        prices = [price.high_usd for model in models if (price := find_price(model)) is not None]
        dearest_usd = self._dearest_usd.get((day, *models), 0.0)
        is_known = len(prices) == len(models) or dearest_usd > 0.0
        if not is_known and (owner, day) in self._blind:
            raise OverBudget(NO_PRICE.format(" or ".join(models)))
        return max([*prices, dearest_usd])

    async def _settle(self, owner: str, day: str, most_usd: float, hold: Hold) -> None:
        cost_usd = hold.cost_usd
        if cost_usd is None:
            cost_usd = most_usd if hold.is_billed else 0.0
            if hold.is_billed and not most_usd:
                self._blind.add((owner, day))
        if cost_usd > most_usd:
            await self._insist(owner, day, cost_usd - most_usd)
        elif cost_usd < most_usd:
            await self._give_back(owner, day, most_usd - cost_usd)

    async def _insist(
        self, owner: str, day: str, cost_usd: float, *, limit_usd: float | None = None
    ) -> bool:
        """Write it down once the store is back: a moment's trouble must not end a batch.

        A store that fails is only read meanwhile: what it got without an answer, it may
        have written down, and each time would count.
        """
        while True:
            try:
                return await self._add(owner, day, cost_usd, limit_usd=limit_usd)
            except StoreError as error:
                self._log.error("store_failed", owner=owner, exc_info=error)
            await self._wait_for_store(owner, day)

    async def _wait_for_store(self, owner: str, day: str) -> None:
        while True:
            await asyncio.sleep(_PAUSE_S)
            with suppress(StoreError):
                await self._book.find_cost(owner, day)
                return

    async def _add(self, owner: str, day: str, cost_usd: float, *, limit_usd: float | None) -> bool:
        """Write it down; if the caller is cancelled meanwhile, what was set aside is given back."""
        add = self._book.add_cost(owner, day, cost_usd, limit_usd=limit_usd)
        adding = asyncio.create_task(add, name="write spending down")
        try:
            return await asyncio.shield(adding)
        except asyncio.CancelledError:
            with suppress(StoreError):
                if await adding and limit_usd is not None:
                    await self._give_back(owner, day, cost_usd)
            raise

    async def _give_back(self, owner: str, day: str, usd: float) -> None:
        """Asked once: done twice, it would be too little."""
        try:
            await self._book.add_cost(owner, day, -usd)
        except StoreError as error:  # too much stays written down
            self._log.error("spending_not_settled", owner=owner, exc_info=error)


def _to_day(at_s: float) -> str:
    return to_iso(at_s)[:10]
