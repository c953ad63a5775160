"""How long to wait before asking again, and when to give up."""

import asyncio
import random
from collections.abc import Callable

from slideloom.client.errors import Busy, ClientError

_FIRST_S = 0.25
_MOST_S = 10.0
_LONG_S = 3.0

OnWait = Callable[[float, ClientError], None]
"""Told of each wait that people notice: how many seconds, and why."""


class Pauses:
    """Longer and longer waits, as long as patience lasts."""

    def __init__(self, patience_s: float, on_wait: OnWait | None = None) -> None:
        self._patience_s = patience_s
        self._on_wait = on_wait
        self._begun_s: float | None = None
        self._next_s = _FIRST_S

    def reset(self) -> None:
        """All is well: patience is whole again."""
        self._begun_s, self._next_s = None, _FIRST_S

    async def wait(self, error: ClientError) -> None:
        """Wait before the next try, as long as the service wants where it says so.

        Raises:
            ClientError: `error` itself, when patience would be over by then.
        """
        now_s = asyncio.get_running_loop().time()
        if self._begun_s is None:
            self._begun_s = now_s
        wanted_s = error.problem.retry_after_s if isinstance(error, Busy) else None
        # Not all clients at once: a service that comes back would be knocked over again.
        delay_s = wanted_s or self._next_s * random.uniform(0.5, 1.0)  # noqa: S311
        self._next_s = min(2 * self._next_s, _MOST_S)
        if now_s + delay_s > self._begun_s + self._patience_s:
            raise error
        if self._on_wait is not None and delay_s >= _LONG_S:
            self._on_wait(delay_s, error)
        await asyncio.sleep(delay_s)
