"""A paid image model for screenshots: typeset pictures at a model's pace and price."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from slideloom.errors import ProviderError
from slideloom.providers.base import Checked, Drawn, DrawOrder
from slideloom.providers.local import LocalProvider
from slideloom.stores.base import Draft


class StudioProvider:
    """A `Provider` whose pictures one would show, and whose failures are chosen."""

    name = "images"
    model = "google/gemini-3-pro-image-preview"
    bills = True

    def __init__(self, *, seconds: float, fails: Mapping[str, ProviderError]) -> None:
        """`fails`: by title, what the first call for it ends with."""
        self.seconds = seconds
        self.held = asyncio.Event()
        """Calls wait for it; set it to let them go on."""
        self.held.set()
        self._fails = dict(fails)
        self._calls: Counter[str] = Counter()
        self._local = LocalProvider()

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        """See `Provider`."""
        title = order.slide.title
        self._calls[title] += 1
        pace = 0.6 + (sum(map(ord, title)) % 9) / 10
        await asyncio.sleep(self.seconds * pace)
        await self.held.wait()
        error = self._fails.get(title)
        if error is not None and self._calls[title] == 1:
            raise error
        await self._local.draw(order, draft)
        return Drawn(provider=self.name, model=self.model, cost_usd=0.134, http_status=200)

    async def check(self, *models: str) -> Checked:
        """See `Provider`."""
        return await self._local.check(*models)

    async def close(self) -> None:
        """See `Provider`."""
        await self._local.close()
