"""What the engine asks of whoever makes pictures."""

import hashlib
from typing import Any, Protocol

from msgspec import Struct

from slideloom.domain.ratio import Ratio
from slideloom.domain.slide import Slide
from slideloom.stores.image_base import Draft


class Reference(Struct, frozen=True, kw_only=True):
    """A picture whose style the new one shall have."""

    media_type: str
    """The true one, as `image/jpeg`."""
    body: bytes
    """A few hundred KiB at most: it is sent with every call."""

    @property
    def digest(self) -> str:
        """Of the body, in hexadecimal."""
        return hashlib.sha256(self.body).hexdigest()


class DrawOrder(Struct, frozen=True, kw_only=True):
    """One picture, ordered."""

    prompt: str
    """The final prompt, which is all a paid model is told."""
    ratio: Ratio
    model: str | None = None
    """Another model than the provider's own."""
    slide: Slide
    """What the embedded renderer typesets."""
    style_prompt: str
    reference: Reference | None = None
    take: int = 1
    """Which attempt at the slide it is, over all runs: the embedded renderer varies its drawing."""


class Drawn(Struct, frozen=True, kw_only=True):
    """What came with the picture, as far as the provider says it."""

    provider: str
    model: str
    """The model that served, which may not be the one asked."""
    http_status: int | None = None
    request_id: str | None = None
    cost_usd: float | None = None
    usage: dict[str, Any] | None = None
    """The provider's own usage object, for the log."""
    revised_prompt: str | None = None
    text_cut: bool = False
    """Whether something of the slide's texts is known not to be on the picture."""


class Checked(Struct, frozen=True):
    """What a provider said when it was asked something free."""

    words: str
    """In a sentence."""
    doubt: str = ""
    """What the operator should look at all the same."""


class Provider(Protocol):
    """Makes pictures, one a call."""

    name: str
    """Stable word for results and logs: `local`, `images`, `chat`."""
    model: str
    """The model asked unless an order names another."""
    bills: bool
    """Whether a call may cost money."""

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        """Make one picture into `draft`, in one paid call.

        The caller bounds its time by cancelling it, looks at the picture, and
        keeps or discards the draft.

        Raises:
            ProviderError: no picture; its class says what may be done.
            StorageFull: the disk did not take it.
        """
        ...

    async def check(self, *models: str) -> Checked:
        """Ask the provider something that costs nothing; `models` are those that will be asked.

        Raises:
            ProviderError: it would not serve: no connection, the key refused, no credit.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and workers."""
        ...
