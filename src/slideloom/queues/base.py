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

    async def stop(self, *, grace_s: float) -> None:
        """Let what runs end within `grace_s`, then cancel it; return when nothing runs."""
        ...
