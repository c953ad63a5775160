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
from slideloom.stores.base import Draft

_READ_BYTES = 120 * 1024
"""Shared receive buffer; aiohttp's copies of it stay under 128 KiB, see `PIECE_BYTES`."""
_LEAST_READ_BYTES = 16 * 1024
"""A piece with room for less is written."""
_BASE64_GROWTH = 4 / 3


class Tap(asyncio.BufferedProtocol):
    """Stands between a transport and aiohttp's own protocol while an answer's body comes in."""

    _shared = memoryview(bytearray(_READ_BYTES))
    """One for all connections: a loop fills and empties it in one callback."""

    def __init__(self, response: aiohttp.ClientResponse, intake: Intake) -> None:
        self._content = response.content
        self._intake = intake
        self._loop = asyncio.get_running_loop()
        self._wakeup: asyncio.Future[None] | None = None
        self._fault: BaseException | None = None
        self._taken_bytes = 0
        self._last_byte_s = self._loop.time()
        """When the sender last said something."""
        self._is_begun = False
        """Whether the answer proper has begun, so that silence is a fault."""
        self.is_over = False
        """Whether nothing follows."""
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
        if self._transport is None or self._transport.is_closing():
            self._fault = aiohttp.ClientPayloadError("the connection is gone")
            self.is_over = True
        else:
            self._transport.set_protocol(self)
            self._is_open = True

    def close(self) -> None:
        """Give the transport back to aiohttp; one that closes keeps us, to hear of its end."""
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

    async def fill(self, *, stall_s: float) -> bool:
        """Wait until a piece is full, the answer begins, or it is over; `False` when it stalls."""
        if self._transport is None or self.is_over or not self.has_room:
            return True
        self._wakeup = self._loop.create_future()
        if not self._transport.is_closing():
            self._transport.resume_reading()
        try:
            async with asyncio.timeout_at(self._last_byte_s + stall_s if self._is_begun else None):
                await self._wakeup
        except TimeoutError:
            return not self._is_begun or self._loop.time() < self._last_byte_s + stall_s
        return True

    @property
    def has_room(self) -> bool:
        """Whether reading goes on; when not, nothing comes in until the piece is written."""
        return self._intake.spool.room_bytes * _BASE64_GROWTH >= _LEAST_READ_BYTES

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """See `asyncio.BufferedProtocol`: never more than the piece has room for."""
        room = int(self._intake.spool.room_bytes * _BASE64_GROWTH)
        return self._shared[: min(_READ_BYTES, max(_LEAST_READ_BYTES, room))]

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._inner.data_received(bytes(self._shared[:nbytes]))
        self._drain()

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
        if self._content.is_eof() or self._intake.is_done:
            self._finish()
        elif not self.has_room:
            if self._transport and not self._transport.is_closing():
                self._transport.pause_reading()
            self._wake()

    def _take(self, chunk: bytes) -> None:
        self._intake.take(chunk)
        if self._intake.is_idle:
            self._is_begun = False
        elif not self._is_begun or not chunk.isspace():
            self._last_byte_s = self._loop.time()
            if not self._is_begun:
                self._is_begun = True
                self._wake()

    def _finish(self) -> None:
        self.is_over = True
        self._wake()
        self.close()

    def _wake(self) -> None:
        if self._wakeup and not self._wakeup.done():
            self._wakeup.set_result(None)


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
    tap = Tap(response, intake)
    try:
        tap.open()
        while not tap.is_over:
            if not await tap.fill(stall_s=stall_s):
                break
            if not tap.has_room:
                await intake.spool.flush(draft)
        is_stalled = not tap.is_over
        tap.close()
        await intake.spool.flush(draft)
        tap.check()
    finally:
        tap.close()
    if is_stalled and not intake.is_whole:
        message = f"silent for {stall_s:g} s in the middle of the answer"
        raise NoAnswerInTime(message, http_status=response.status)
