"""What the engine asks of a queue."""

from collections.abc import Awaitable, Callable
from typing import Protocol

Handler = Callable[[str], Awaitable[None]]
"""What is done for a batch, given its id."""


class Queue(Protocol):
    """Carries batch ids to a handler; the truth about batches is in the store alone."""

    def serve(self, handler: Handler, *, give_up: Handler | None = None) -> None:
        """From now on, run `handler` for each submitted batch.

        A queue between processes runs it again when it raises, a few times at most. While the
        queue drains or stops, a handler that raises (`Stopping`) leaves its batch to
        another process, which begins it at once; one that returns has done with it. After the
        last try `give_up` is called, if there is one.
        """
        ...

    async def submit(self, batch_id: str, *, again: bool = False) -> None:
        """Have the batch run, soon; it waits while too many others run.

        A queue between processes does nothing where the batch waits or runs already, unless it is
        to run `again`: a run under way may have had its last look at the store, so another
        follows it.

        Raises:
            StoreError: the queue is another server's, which does not take it.
        """
        ...

    async def drain(self, *, timeout_s: float) -> bool:
        """Whether everything has run to its end within `timeout_s`, in a queue of this process.

        A queue between processes takes nothing more, and looks only at what runs here.
        """
        ...

    async def stop(self) -> None:
        """Cancel what still runs or waits; return when nothing does.

        A queue between processes leaves it to the others.
        """
        ...
