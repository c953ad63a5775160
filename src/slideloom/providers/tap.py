"""From a connection to an intake: an answer's bytes are taken as they arrive.

aiohttp parses the answer; a tap on its transport empties aiohttp's own buffer
in the same callback, has it decoded, and stops reading when a piece is full. So
one receive buffer serves all connections, a picture on its way costs one piece,
and no task wakes up for every few KiB.
"""

import asyncio

import aiohttp

from slideloom.errors import CorruptPicture, NoAnswerInTime
from slideloom.providers.intake import Intake
from slideloom.stores.image_base import Draft

_READ_BYTES = 120 * 1024
"""Shared receive buffer; aiohttp's copies of it stay under 128 KiB, see `PIECE_BYTES`."""
_LEAST_READ_BYTES = 16 * 1024
"""A piece with room for less is written."""
_BASE64_GROWTH = 4 / 3


class Tap(asyncio.BufferedProtocol):
    """Stands between a transport and aiohttp's own protocol while an answer's body comes in."""

    _shared = bytearray(_READ_BYTES)
    """One for all connections: a loop fills and empties it in one callback."""

    def __init__(self, response: aiohttp.ClientResponse, intake: Intake, *, stall_s: float) -> None:
        self._content = response.content
        self._intake = intake
        self._loop = asyncio.get_running_loop()
        self._wakeup: asyncio.Future[None] | None = None
        self._fault: BaseException | None = None
        self._taken_bytes = 0
        self._plain_bytes = _count_plain(response)
        self._left_bytes: int | None = None
        """Still to come of a body that needs no parser: aiohttp is passed by."""
        self._stall_s = stall_s
        self._stall_timer: asyncio.TimerHandle | None = None
        """Runs while the answer proper has begun, so that silence is a fault."""
        self._last_byte_s = self._loop.time()
        """When the sender last said something."""
        self._is_paused = False
        """Whether the sender has to wait for us."""
        self.is_over = False
        """Whether nothing follows, or nothing is waited for any more."""
        self.is_stalled = False
        """Whether the sender fell silent in the middle of its answer."""
        connection = response.connection
        # A short answer has come whole already: then there is no connection any more.
        self._transport = connection.transport if connection else None
        self._is_open = False
        """Whether the transport speaks to this tap."""
        inner = connection.protocol if connection else None
        self._inner = asyncio.Protocol() if inner is None else inner

    def open(self) -> None:
        """Take what has come already, then sit down at the transport for the rest."""
        self._drain()
        if self.is_over:
            return
        if self._plain_bytes is not None:
            self._left_bytes = self._plain_bytes - self._content.total_bytes
        if self._transport is None or self._transport.is_closing():
            self._fault = aiohttp.ClientPayloadError("the connection is gone")
            self.is_over = True
        else:
            self._transport.set_protocol(self)
            self._is_open = True

    def close(self) -> None:
        """Give the transport back to aiohttp; one that closes keeps us, to hear of its end."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self._is_open and self._transport and not self._transport.is_closing():
            self._transport.set_protocol(self._inner)
        self._is_open = False

    def check(self) -> None:
        """Raise what broke the answer, if anything did.

        Raises:
            aiohttp.ClientError: the connection broke.
            CorruptPicture: the answer is larger than any picture.
        """
        if self._fault:
            raise self._fault

    async def fill(self) -> None:
        """Wait until a piece is full, or it is over."""
        if self._transport is None or self.is_over or not self.has_room:
            return
        self._resume()
        self._wakeup = self._loop.create_future()
        await self._wakeup

    @property
    def has_room(self) -> bool:
        """Whether reading goes on; when not, nothing comes in until the piece is written."""
        return self._intake.spool.room_bytes * _BASE64_GROWTH >= _LEAST_READ_BYTES

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """See `asyncio.BufferedProtocol`: never more than the piece has room for."""
        room = int(self._intake.spool.room_bytes * _BASE64_GROWTH)
        return memoryview(self._shared)[: min(_READ_BYTES, max(_LEAST_READ_BYTES, room))]

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        if self._left_bytes is None:
            self._inner.data_received(bytes(memoryview(self._shared)[:nbytes]))
            self._drain()
            return
        size = min(nbytes, self._left_bytes)
        self._left_bytes -= size
        try:
            if self._intake.take_raw(self._shared, size):
                self._last_byte_s = self._loop.time()
            else:
                self._take(bytes(memoryview(self._shared)[:size]))
        except CorruptPicture as error:
            self._fault = error
            self._finish()
        self._look()

    def eof_received(self) -> bool | None:
        """See `asyncio.BufferedProtocol`."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BufferedProtocol`; a fault of ours comes this way too."""
        self._transport = None
        self._inner.connection_lost(exc)
        if exc is not None and not isinstance(exc, OSError):
            self._fault = exc
        self._drain()
        self._finish()

    def pause_writing(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._inner.resume_writing()

    def _drain(self) -> None:
        """Empty aiohttp's buffer; stop reading when that fills the piece."""
        try:
            while self._taken_bytes < self._content.total_bytes and not self.is_over:
                chunk = self._content.read_nowait()
                self._taken_bytes += len(chunk)
                self._take(chunk)
            if error := self._content.exception():
                raise error
        except (aiohttp.ClientError, OSError, CorruptPicture) as error:
            self._fault = self._fault or error
            self._finish()
        self._look()

    def _look(self) -> None:
        """See whether it is over, or the piece full."""
        if self._content.is_eof() or self._left_bytes == 0 or self._intake.is_done:
            self._finish()
        elif not self.has_room:
            self._pause()
            self._wake()

    def _take(self, chunk: bytes) -> None:
        self._intake.take(chunk)
        if self._intake.is_idle:
            if self._stall_timer is not None:
                self._stall_timer.cancel()
                self._stall_timer = None
        elif self._stall_timer is None:
            self._last_byte_s = self._loop.time()
            self._stall_timer = self._loop.call_later(self._stall_s, self._check_stall)
        elif not chunk.isspace():
            self._last_byte_s = self._loop.time()

    def _check_stall(self) -> None:
        """One timer serves the whole answer: it is set again for the rest of the time."""
        now_s = self._loop.time()
        due_s = (now_s if self._is_paused else self._last_byte_s) + self._stall_s
        if due_s > now_s:
            self._stall_timer = self._loop.call_at(due_s, self._check_stall)
        else:
            self.is_stalled = True
            self._finish()

    def _pause(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()
            self._is_paused = True

    def _resume(self) -> None:
        if self._is_paused and self._transport and not self._transport.is_closing():
            self._is_paused = False
            self._last_byte_s = self._loop.time()
            self._transport.resume_reading()

    def _finish(self) -> None:
        self.is_over = True
        self._wake()
        self.close()

    def _wake(self) -> None:
        if self._wakeup and not self._wakeup.done():
            self._wakeup.set_result(None)


def _count_plain(response: aiohttp.ClientResponse) -> int | None:
    """The length of a body that comes as it is; `None` when aiohttp has to unwrap it."""
    if not response.headers.keys().isdisjoint(("Transfer-Encoding", "Content-Encoding")):
        return None
    return response.content_length


async def pour(
    response: aiohttp.ClientResponse, intake: Intake, draft: Draft, *, stall_s: float
) -> None:
    """Take the whole answer, writing its picture as it comes.

    Raises:
        NoAnswerInTime: the sender fell silent in the middle of its answer.
        aiohttp.ClientError: the connection broke.
        CorruptPicture: the answer is larger than any picture.
        StorageFull: the disk did not take it.
    """
    tap = Tap(response, intake, stall_s=stall_s)
    try:
        tap.open()
        while not tap.is_over:
            await tap.fill()
            if not tap.has_room:
                await intake.spool.flush(draft)
    finally:
        tap.close()
    await intake.spool.flush(draft)
    tap.check()
    if tap.is_stalled and not intake.is_whole:
        message = f"silent for {stall_s:g} s in the middle of the answer"
        raise NoAnswerInTime(message, http_status=response.status)
