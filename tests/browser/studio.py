"""A paid image model for screenshots: typeset pictures at a model's pace and price."""

import asyncio
from collections.abc import Collection, Mapping

from slideloom.errors import ProviderError
from slideloom.providers.base import Checked, Drawn, DrawOrder
from slideloom.providers.local import LocalProvider
from slideloom.stores.image_base import Draft


class StudioProvider:
    """A `Provider` whose pictures one would show; what takes long, or fails, is chosen by title."""

    name = "images"
    model = "google/gemini-3-pro-image-preview"
    bills = True

    def __init__(
        self, *, seconds: float, waits: Collection[str], fails: Mapping[str, ProviderError]
    ) -> None:
        """`waits`: until `go` is set. `fails`: with what the first call for it ends."""
        self.go = asyncio.Event()
        self._seconds = seconds
        self._waits = waits
        self._fails = dict(fails)
        self._local = LocalProvider()

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        """See `Provider`."""
        title = order.slide.title
        await asyncio.sleep(self._seconds * (0.6 + sum(map(ord, title)) % 9 / 10))
        if title in self._waits:
            await self.go.wait()
        if title in self._fails:
            raise self._fails.pop(title)
        await self._local.draw(order, draft)
        return Drawn(provider=self.name, model=self.model, cost_usd=0.134, http_status=200)

    async def check(self, *models: str) -> Checked:
        """See `Provider`."""
        return await self._local.check(*models)

    async def close(self) -> None:
        """See `Provider`."""
        await self._local.close()
