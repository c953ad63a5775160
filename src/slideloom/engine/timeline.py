"""One batch while it is of interest: its state, and its events from any number on, for readers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any, Self

from msgspec import Struct

from slideloom.clock import monotonic_s, wall_s
from slideloom.domain.batch import BatchState, apply, fold
from slideloom.domain.events import BatchResumed, Event
from slideloom.domain.feed import FeedItem, to_feed
from slideloom.domain.status import BatchStatus


class Shown(Struct, frozen=True):
    """What was told of a batch."""

    state: BatchState
    """Of which it was told."""
    status: BatchStatus
    """Its `results` are encoded already."""
    body: bytes
    until_s: float
    """How long its times are good enough, monotonic."""


class Timeline:
    """What is known of one batch; only what is already written is announced here.

    Readers share the list of events and go through it each at its own pace, so
    a slow one holds up nobody, and nothing can overflow.
    """

    def __init__(self, state: BatchState) -> None:
        """Begin with an order nobody has told readers anything of; see `replay` for the others."""
        self.state = state
        self.feed: list[FeedItem] = []
        self.is_closed = False
        """Whether this process does no more about it; another one may."""
        self.shown: dict[str, Shown] = {}
        """By language, what was told last of the batch as it is, or was: see `encode_status`."""
        self._spent_s = state.logged_s
        self._since_s = monotonic_s()
        self._over = asyncio.Event()
        self._listeners: set[Callable[[], None]] = set()

    @classmethod
    def replay(cls, batch_id: str, log: Sequence[Event], *, goes_on: bool = False) -> Self:
        """The timeline of a batch whose log is there already.

        Its time is what the log says; unless it `goes_on`, being made elsewhere or waiting.

        Raises:
            UnreadableLog: it is not what we write.
        """
        timeline = cls(fold(batch_id, log[:1]))
        timeline._take_in(log[1:])
        state = timeline.state
        timeline._spent_s, timeline._since_s = state.logged_s, monotonic_s()
        if goes_on and not state.is_final:
            timeline._spent_s = state.spent_s + max(0.0, wall_s() - state.wanted_at_s)
        return timeline

    @property
    def elapsed_s(self) -> float:
        """Seconds of work since the order was taken; until the end when it has ended."""
        if self.state.total_time_s is not None:
            return self.state.total_time_s
        return self._spent_s + monotonic_s() - self._since_s

    def is_of(self, log: Sequence[Event]) -> bool:
        """Whether all that is known here stands in the log: a server may have lost its end."""
        seq = self.state.seq
        return len(log) >= seq and log[seq - 1].at_s == self.state.latest_at_s

    def announce(self, events: Sequence[Event]) -> None:
        """Take in the events written next, and tell the readers."""
        self._take_in(events)
        self._wake()

    def open(self) -> None:
        """Somebody goes on with the batch here: who waits for its end waits again."""
        self.is_closed = False
        if not self.state.is_final:
            self._over.clear()

    def close(self) -> None:
        """Let those who wait go: nothing more will be announced here."""
        self.is_closed = True
        self._over.set()
        self._wake()

    async def wait_finished(self, *, timeout_s: float | None) -> bool:
        """Whether the batch ended, or was closed, within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    def listen(self, tell: Callable[[], None]) -> None:
        """From now on `tell` is called after each announcement and at the end, by the loop."""
        self._listeners.add(tell)

    def hush(self, tell: Callable[[], None]) -> None:
        """Call `tell` no more."""
        self._listeners.discard(tell)

    async def watch(
        self, *, after: int, until: asyncio.Future[Any] | None = None
    ) -> AsyncIterator[Sequence[FeedItem]]:
        """The events behind number `after`, in order: those that are there, then each as it comes.

        Ends when the timeline is closed, or `until` is done.
        """
        news = asyncio.Event()
        if until is not None:
            until.add_done_callback(lambda _: news.set())
        self.listen(news.set)
        try:
            while until is None or not until.done():
                items = self.feed[after:]
                if items:
                    after += len(items)
                    yield items
                    continue
                if self.is_closed:
                    return
                news.clear()
                await news.wait()
        finally:
            self.hush(news.set)

    def _take_in(self, events: Iterable[Event]) -> None:
        for event in events:
            was_final = self.state.is_final
            self.state = apply(self.state, event)
            self.feed += to_feed(self.state, event, after=len(self.feed))
            if isinstance(event, BatchResumed) or (was_final and not self.state.is_final):
                self._spent_s, self._since_s = self.state.spent_s, monotonic_s()
            if was_final and not self.state.is_final:
                self._over.clear()
        if self.state.is_final:
            self._over.set()

    def _wake(self) -> None:
        asyncio.get_running_loop().call_soon(_call_each, iter(tuple(self._listeners)))


def _call_each(listeners: Iterator[Callable[[], None]]) -> None:
    """Call them all; what goes wrong for one of them concerns nobody else.

    One step of the loop for all: a step for each costs a fifth of what telling it does.
    """
    is_last = False
    try:
        for tell in listeners:
            tell()
        is_last = True
    finally:
        if not is_last:
            asyncio.get_running_loop().call_soon(_call_each, listeners)
