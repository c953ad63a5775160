"""Stores and providers of which some calls fail: a share of all, or everything for a while."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from slideloom.domain.images import FitMode, PictureFacts
from slideloom.domain.ratio import Ratio
from slideloom.errors import (
    AnswerLost,
    CorruptPicture,
    NoImage,
    ProviderError,
    RateLimited,
    RequestNotSent,
    StorageFull,
    StoreError,
    UpstreamDown,
)
from slideloom.providers.base import Checked, Drawn, DrawOrder
from slideloom.stores.image_base import Draft

Part = Literal["store", "disk", "provider"]

_WRITES = ("check_space", "open_draft", "keep_reference")
_NOT_SENT: tuple[type[ProviderError], ...] = (RequestNotSent, UpstreamDown, RateLimited)
_LOST: tuple[type[ProviderError], ...] = (AnswerLost, NoImage, CorruptPicture)


class Dice:
    """Says which call fails."""

    def __init__(self, *, seed: int = 0, share: float = 0.0) -> None:
        self.share = share
        self.fallen = 0
        """Calls that were made to fail."""
        self.fell_at_s = -math.inf
        """The last of them, on the loop's clock."""
        self._random = random.Random(seed)
        self._outages: dict[Part, tuple[float, float, Exception]] = {}
        """From when, until when, and what is raised."""

    def begin_outage(self, part: Part, error: Exception, *, since_s: float, until_s: float) -> None:
        """Every call of `part` fails with `error`, between those times on the loop's clock."""
        self._outages[part] = since_s, until_s, error

    def end_outages(self) -> None:
        """Only the share fails from now on."""
        self._outages.clear()

    def find_outage(self, part: Part) -> float | None:
        """Since when every call of `part` fails, if it does."""
        since_s, until_s, _ = self._outages.get(part, (0.0, 0.0, None))
        return since_s if until_s > asyncio.get_running_loop().time() else None

    def roll(self, part: Part, error: Callable[[str], Exception] = StoreError) -> None:
        """Raise what makes the call fail; mostly nothing."""
        if self.find_outage(part) is not None:
            self._count()
            raise self._outages[part][2]
        if self.share and self._random.random() < self.share:
            self._count()
            message = f"the {part} failed by plan, failure {self.fallen}"
            raise error(message)

    def _count(self) -> None:
        self.fallen += 1
        self.fell_at_s = asyncio.get_running_loop().time()

    def choose(self, kinds: tuple[type[ProviderError], ...]) -> type[ProviderError]:
        """One of `kinds`."""
        return self._random.choice(kinds)


class FlakyStore:
    """A batch store and result cache; of a call that fails, nothing is written."""

    def __init__(self, store: Any, dice: Dice) -> None:
        self._store = store
        self._dice = dice

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Each method of the store's."""
        method = getattr(self._store, name)

        async def ask(*args: Any, **more: Any) -> Any:
            self._dice.roll("store")
            return await method(*args, **more)

        return ask


class FlakyImages:
    """An image store: what writes fails with `StorageFull`, what reads with `StoreError`."""

    def __init__(self, images: Any, dice: Dice) -> None:
        self._images = images
        self._dice = dice

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Each method of the store's."""
        method = getattr(self._images, name)
        error = StorageFull if name in _WRITES else StoreError

        async def ask(*args: Any, **more: Any) -> Any:
            self._dice.roll("disk", error)
            answer = await method(*args, **more)
            return FlakyDraft(answer, self._dice) if name == "open_draft" else answer

        return ask


class FlakyDraft:
    """A draft; one that fails while it is kept may be visible all the same."""

    def __init__(self, draft: Draft, dice: Dice) -> None:
        self.stem = draft.stem
        self._draft = draft
        self._dice = dice

    async def write(self, piece: bytes | bytearray | memoryview) -> None:
        self._dice.roll("disk", StorageFull)
        await self._draft.write(piece)

    async def rewind(self) -> None:
        self._dice.roll("disk", StorageFull)
        await self._draft.rewind()

    async def inspect(self) -> PictureFacts:
        self._dice.roll("disk", StorageFull)
        return await self._draft.inspect()

    async def fit(self, ratio: Ratio, mode: FitMode) -> PictureFacts:
        self._dice.roll("disk", StorageFull)
        return await self._draft.fit(ratio, mode)

    async def keep(self) -> str:
        self._dice.roll("disk", StorageFull)  # the sync failed, or the rename
        name = await self._draft.keep()
        self._dice.roll("disk", StorageFull)  # the folder's sync failed
        return name

    async def discard(self) -> None:
        await self._draft.discard()


class FlakyProvider:
    """A provider: some calls never get there, of some the answer is lost."""

    def __init__(self, provider: Any, dice: Dice) -> None:
        self.name: str = provider.name
        self.model: str = provider.model
        self.bills: bool = provider.bills
        self._provider = provider
        self._dice = dice

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        self._dice.roll("provider", self._dice.choose(_NOT_SENT))
        drawn: Drawn = await self._provider.draw(order, draft)
        self._dice.roll("provider", self._dice.choose(_LOST))
        return drawn

    async def check(self, *models: str) -> Checked:
        self._dice.roll("provider", RequestNotSent)
        answer: Checked = await self._provider.check(*models)
        return answer

    async def close(self) -> None:
        await self._provider.close()
