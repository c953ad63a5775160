"""A batch's events over connections that may break, each once and in order."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import aiohttp

from slideloom.client.caller import Ask, Caller, may_pass
from slideloom.client.errors import NOT_JSON, Refused, UnexpectedAnswer, Unreachable
from slideloom.client.records import BatchEvent, Event, parse_event
from slideloom.client.sse import Frame, read_frames
from slideloom.domain.feed import BatchNews

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=45)
"""Three signs of life missed: the connection is dead, though nobody said so."""
_SILENCES = 2
"""So many signs of life without an event, of a batch that has ended: no more will come."""

_NUMBER = re.compile(r"[0-9]{1,18}")

IsOver = Callable[[BatchNews | None], Awaitable[bool]]
"""Whether the batch has ended, and for good with this `batch.finished` where one is given.

Earlier ends are told too, when slides were made again.
"""


class EventStream:
    """The events of one batch behind a number, until its last end."""

    def __init__(self, caller: Caller, path: str, *, after: int, is_over: IsOver) -> None:
        self._caller = caller
        self._path = path
        self.after = after
        """The number of the last event that was given out."""
        self._is_over = is_over
        self._pauses = caller.pauses()

    async def read(self) -> AsyncGenerator[Event, None]:
        """Each event as it comes; the connection is made anew when it breaks.

        Raises:
            Unreachable, Refused: no way to the events, as long as patience lasts.
            UnexpectedAnswer: an event of another shape.
        """
        while True:
            try:
                async with aclosing(self._read_once()) as events:
                    async for event in events:
                        if event is None:
                            return
                        yield event
                        if await self._is_last(event):
                            return
                # The service stops, or a proxy has had enough.
                error: Unreachable | Refused = Unreachable(self._caller.url, "the stream ended")
            except (Unreachable, Refused) as broken:
                if not may_pass(broken, repeatable=True):
                    raise
                error = broken
            await self._pauses.wait(error)

    async def _is_last(self, event: Event) -> bool:
        if not isinstance(event, BatchEvent) or event.name != "batch.finished":
            return False
        return await self._is_over(event.batch)

    async def _read_once(self) -> AsyncGenerator[Event | None, None]:
        """The events of one connection; `None` when the batch is over and no more will come."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.after)}
        ask = Ask(method="GET", path=self._path, headers=headers, timeout=_TIMEOUT)
        silences = 0
        async with self._caller.open(ask) as answer, aclosing(read_frames(answer.content)) as all_:
            async for frame in all_:
                self._pauses.reset()
                if frame.data:
                    silences = 0
                    event = self._take(frame)
                    if event is not None:
                        yield event
                elif await self._is_over(None):
                    # Whoever begins behind the last event would wait for ever.
                    silences += 1
                    if silences == _SILENCES:
                        yield None

    def _take(self, frame: Frame) -> Event | None:
        """The frame's event, unless it was given out before or is of a kind unknown here."""
        number = int(frame.id) if _NUMBER.fullmatch(frame.id) else 0
        if number <= self.after:
            return None
        try:
            event = parse_event(number, frame.name, frame.data)
        except NOT_JSON as error:
            message = f"event {number} of {self._path} is of another shape: {error}"
            raise UnexpectedAnswer(message) from error
        self.after = number
        return event
