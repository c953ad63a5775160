"""Scripts being played: timers and writes, no task anywhere.

Big answers are written in slices, each only after the one before left for the kernel, so the
shared bytes of a picture are never copied whole and a hundred slow readers cost a hundred slices.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, Protocol

from tests.support.upstream.steps import Drip, Hang, Pause, Reset, Script, Send, Shut, Step, Work
from tests.support.upstream.wire import Connection

_SLICE_BYTES: Final = 256 * 1024
"""What a write may leave behind in the transport's own buffer, at most."""
_JOIN_BYTES: Final = 32 * 1024
"""Smaller answers are joined: one write is cheaper than three."""


class Over(Protocol):
    """What is told when a script is over."""

    def __call__(self, *, client_went: bool) -> None:
        """Whether the client went before the end."""


class Exchange:
    """One script being played on one connection."""

    def __init__(
        self,
        connection: Connection,
        script: Script,
        *,
        latency_s: float = 0.0,
        stays: bool = False,
        on_made: Callable[[], None] = lambda: None,
        on_over: Over | None = None,
    ) -> None:
        """Prepare.

        Args:
            connection: where to play.
            script: what to play.
            latency_s: how long `Work` takes.
            stays: whether `Work` goes on when the client has gone.
            on_made: called at the end of `Work`.
            on_over: called once at the very end, with whether the client went before.
        """
        self._connection = connection
        self._steps: Iterator[Step | Callable[[], None]] = iter(script)
        self._latency_s = latency_s
        self._stays = stays
        self._on_made = on_made
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[memoryview] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._work_ends_s: float | None = None
        self._over = False

    def start(self) -> None:
        """Play as far as it goes at once."""
        self._connection.exchange = self
        self.advance()

    def advance(self) -> None:
        """Go on: time has passed, or there is room to write."""
        self._timer = None
        while not self._over and self._flush():
            step = next(self._steps, None)
            if step is None:
                self._end(client_went=False)
                self._connection.take_next()
            elif not self._take(step):
                return

    def on_client_gone(self) -> None:
        """The connection was lost: stop, or go on working unheard."""
        if self._over:
            return
        if self._timer is not None:
            self._timer.cancel()
        if self._stays and self._work_ends_s is not None:
            self._timer = self._loop.call_at(self._work_ends_s, self._finish_unheard)
        else:
            self._end(client_went=True)

    def cancel(self) -> None:
        """The emulator stops."""
        if self._timer is not None:
            self._timer.cancel()
        self._over = True

    @property
    def waits_for_time(self) -> bool:
        """Whether a timer, not room to write, is what it waits for."""
        return self._timer is not None

    def _finish_unheard(self) -> None:
        self._on_made()
        self._end(client_went=True)

    def _end(self, *, client_went: bool) -> None:
        if not self._over:
            self._over = True
            self._connection.exchange = None
            if self._on_over is not None:
                self._on_over(client_went=client_went)

    def _take(self, step: Step | Callable[[], None]) -> bool:
        """Begin a step; whether the next may follow at once."""
        match step:
            case Send():
                self._put(step)
            case Work():
                self._work(step)
            case Pause(seconds):
                self._timer = self._loop.call_later(seconds, self.advance)
                return False
            case Drip(piece, every_s):
                self._put_first(Send((piece,)), Pause(every_s), step)
            case Shut():
                self._leave(self._connection.shut)
            case Reset():
                self._leave(self._connection.reset)
            case Hang():
                self._put_first(step)
                return False
            case _:
                step()
        return True

    def _leave(self, how: Callable[[], None]) -> None:
        self._end(client_went=False)
        how()

    def _put_first(self, *steps: Step | Callable[[], None]) -> None:
        self._steps = chain(steps, self._steps)

    def _put(self, step: Send) -> None:
        pieces = step.pieces
        total = sum(map(len, pieces))
        if step.segment_bytes and total > step.segment_bytes:
            self._steps = chain(_cut(b"".join(pieces), step.segment_bytes, step.gap_s), self._steps)
        elif total <= _JOIN_BYTES:
            self._outbox.append(memoryview(b"".join(pieces)))
        else:
            self._outbox.extend(memoryview(piece) for piece in pieces if piece)

    def _work(self, step: Work) -> None:
        if self._latency_s <= 0:
            self._on_made()
            return
        self._work_ends_s = self._loop.time() + self._latency_s
        beats: list[Step] = []
        rest_s = self._latency_s
        while step.beat and step.every_s > 0 and rest_s > step.every_s:
            beats += (Pause(step.every_s), Send((step.beat,)))
            rest_s -= step.every_s
        self._put_first(*beats, Pause(rest_s), self._finish_work)

    def _finish_work(self) -> None:
        self._work_ends_s = None
        self._on_made()

    def _flush(self) -> bool:
        """Write what there is room for; whether all of it went."""
        connection = self._connection
        while self._outbox:
            if connection.is_full or connection.transport.is_closing():
                return False
            view = self._outbox.popleft()
            if len(view) > _SLICE_BYTES:
                self._outbox.appendleft(view[_SLICE_BYTES:])
                view = view[:_SLICE_BYTES]
            connection.transport.write(view)
        return True


def _cut(data: bytes, segment_bytes: int, gap_s: float) -> Iterator[Step]:
    for start in range(0, len(data), segment_bytes):
        yield Send((data[start : start + segment_bytes],))
        yield Pause(gap_s)
