"""What the engine asks of a queue."""

from collections.abc import Awaitable, Callable
from typing import Protocol


class Queue(Protocol):
    """Carries batch ids to a handler; the truth about batches is in the store alone."""

    def serve(self, handler: Callable[[str], Awaitable[None]]) -> None:
        """From now on, run `handler` for each submitted batch."""
        ...

    async def submit(self, batch_id: str) -> None:
        """Have the batch run, soon; it waits while too many others run."""
        ...

    async def drain(self, *, timeout_s: float) -> bool:
        """Whether everything submitted has run to its end within `timeout_s`."""
        ...

    async def stop(self) -> None:
        """Cancel what still runs or waits; return when nothing does."""
        ...
