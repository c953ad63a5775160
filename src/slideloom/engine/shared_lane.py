"""A lane that several processes share, through a board that all of them can reach.

One task a lane, alive while somebody calls or waits, takes turns at the board: at once after each
answer and for each new wish, else when the next call may go, and a few times a second, so that the
others know we live. Without the board the lane goes on with its last share, and comes back.
"""

import asyncio
import math
import random
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from secrets import token_hex

from msgspec import Struct
from msgspec.structs import replace

from slideloom.clock import monotonic_s
from slideloom.engine.lane import Demand, Lane, Reply, Waiters
from slideloom.engine.sharing import FORMAT, Common, Turn, take_turn
from slideloom.engine.throttle import Sent, Throttle
from slideloom.logs import Log
from slideloom.providers.base import Provider
from slideloom.stores.shared_base import LaneBoard, Posted

_POLL_S = (0.1, 0.25)
"""Between two looks while somebody waits: a worker that has more calls leaves us the next seat."""
_YIELD_S = 0.005
"""After a seat was left to another, who mostly comes for it at once; doubled each time."""
_ALIVE_S = 1.0
"""Between two signs of life while nobody waits."""
_RETURN_S = 0.05
"""Before seats that nobody took are given back."""
_JITTER_S = 0.002
"""All who wait come when the next call may go; not quite at once."""
_BOARD_S = 1.0
"""A board answers in a millisecond, or is in trouble; meanwhile no call is sent."""
_AGAIN_S, _MAX_AGAIN_S = 0.25, 2.0
"""Between tries to reach the board: doubled from the first to the second."""
_UNKNOWN_RIVALS = 2
"""Whoever has never reached the board takes it that somebody else calls."""
_CLOCK_S = 60.0
"""After that long a worse look at the board's clock is taken, too: clocks drift."""
_CLOCK_JUMP_S = 0.01
"""Two looks that differ by so much more than their errors: this machine slept."""
_LOOK = "look"
"""No body is of that version."""


class _Clock(Struct, frozen=True):
    """One look at the board's clock."""

    ahead_s: float
    """Of ours."""
    trip_s: float
    """How long the answer took: twice what it may be wrong by."""
    at_s: float

    def is_over(self, later: "_Clock") -> bool:
        """Whether a later look counts, though less exact: time passed, or a clock jumped."""
        most_s = (self.trip_s + later.trip_s) / 2 + _CLOCK_JUMP_S
        is_jump = abs(later.ahead_s - self.ahead_s) > most_s
        return is_jump or later.at_s - self.at_s > _CLOCK_S


_NOBODY = Waiters(
    lambda: Demand(batch_calls=0, single_calls=0, parties=0),
    lambda: None,
)
"""Before a lane that has no queue yet."""


class SharedLane(Lane):
    """The way to one provider with one key, which other processes go too."""

    def __init__(
        self, provider: Provider, *, start: int, board: LaneBoard, name: str, log: Log
    ) -> None:
        """Begin with `start` calls at once, or what the board named `name` says."""
        super().__init__(provider, start=start)
        self._start = start
        self._board = board
        self._name = f"{name}:{FORMAT}"
        self._log = log
        self._worker = token_hex(6)
        self._turns = 0
        self._waiters = _NOBODY
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._clock: _Clock | None = None
        self._version = ""
        self._body: bytes | None = None
        """What stood on the board last."""
        self._rivals = _UNKNOWN_RIVALS
        """Workers that called or waited then, this one included."""
        self._seats: deque[Sent] = deque()
        """Got in the last turn and not taken yet."""
        self._got_all = False
        """Whether these were all that were asked for."""
        self._in_flight = 0
        self._replies: list[Reply] = []
        """To be told in the next turn."""
        self._is_alone = False
        """Whether the board cannot be reached: then `throttle` is our own, else a copy of it."""
        self._sent_alone: set[Sent] = set()
        self._yield_s = _YIELD_S
        self._again_s = _AGAIN_S

    def join(self, waiters: Waiters) -> None:
        """Stand behind `waiters`."""
        self._waiters = waiters

    def wait_s(self, now_s: float, *, is_single: bool) -> float:
        """As a lane; shared, a seat is there or will be brought."""
        if self._is_alone:
            return super().wait_s(now_s, is_single=is_single)
        return 0.0 if self._seats else math.inf

    def send(self, now_s: float) -> Sent:
        """One more call is under way."""
        self._in_flight += 1
        if not self._is_alone:
            return self._seats.popleft()
        sent = super().send(now_s)
        self._sent_alone.add(sent)
        return sent

    def take(self, reply: Reply) -> None:
        """A call is over."""
        self._in_flight -= 1
        was_alone = reply.sent in self._sent_alone
        self._sent_alone.discard(reply.sent)
        if self._is_alone:
            super().take(reply)
            return
        if was_alone:  # its place in the order of all calls is not known
            reply = replace(reply, sent=replace(reply.sent, number=0))
        self._replies.append(reply)
        self.ask()

    def ask(self) -> None:
        """Take a turn now."""
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._take_turns(), name=f"lane {self._name}")

    async def close(self) -> None:
        """Say good-bye to the others, and let go of all connections."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_BOARD_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await super().close()

    async def _take_turns(self) -> None:
        """Until nobody calls or waits any more."""
        while self._is_needed():
            self._wake.clear()
            try:
                async with asyncio.timeout(_BOARD_S):
                    seats = await self._take_turn()
            except Exception as error:  # noqa: BLE001 - a background loop: slides do not wait for it
                await self._go_alone(error)
            else:
                self._come_back(seats)
                if self._is_needed():
                    await self._wait()

    def _is_needed(self) -> bool:
        has_calls = self._in_flight or self._replies or self._seats
        return bool(has_calls) or self._waiters.measure().calls > 0

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._choose_pause_s()):
                await self._wake.wait()

    async def _take_turn(self) -> list[Sent]:
        """The seats we get; what is on the board is ours then, and `throttle` a copy of it."""
        self._seats.clear()  # whoever wanted them is gone
        clock = self._clock or await self._look()
        while True:
            common = self._read(clock)
            if self._is_alone and (pause_s := self.throttle.pause_s(monotonic_s())):
                common.throttle.shut(monotonic_s() + pause_s)
            turn = self._build_turn()
            seats = take_turn(common, turn)
            self._turns += 1
            version, body = f"{self._worker}.{self._turns}", common.encode(ahead_s=clock.ahead_s)
            posted = await self._swap(version, body)
            if posted.version == version:
                break
            # Somebody else was here in between, or the board has forgotten everything.
            self._version, self._body = posted.version, posted.body or self._body
        self._version, self._body = version, body
        del self._replies[: len(turn.replies)]
        self._got_all = len(seats) == turn.demand.calls
        self.throttle, self._rivals = common.throttle, max(1, len(common.workers))
        return seats

    def _build_turn(self) -> Turn:
        return Turn(
            worker=self._worker,
            in_flight=self._in_flight,
            singles=self.single_count,
            replies=tuple(self._replies),
            demand=self._waiters.measure(),
            now_s=monotonic_s(),
        )

    def _read(self, clock: _Clock) -> Common:
        if self._body is None:
            return Common(throttle=Throttle(start=self._start))
        return Common.decode(self._body, ahead_s=clock.ahead_s)

    async def _look(self) -> _Clock:
        """Read the board, and its clock."""
        posted = await self._swap(_LOOK, b"", expected=_LOOK)
        self._version, self._body = posted.version, posted.body or self._body
        assert self._clock is not None  # noqa: S101 - for the type checker
        return self._clock

    async def _swap(self, version: str, body: bytes, *, expected: str | None = None) -> Posted:
        """Ask the board, and see what time it is there."""
        asked_s = monotonic_s()
        posted = await self._board.swap(
            self._name,
            expected=self._version if expected is None else expected,
            version=version,
            body=body,
        )
        now_s = monotonic_s()
        trip_s, known = now_s - asked_s, self._clock
        seen = _Clock(posted.clock_s - (asked_s + now_s) / 2, trip_s, now_s)
        if known is None or trip_s <= known.trip_s or known.is_over(seen):
            self._clock = seen
        return posted

    def _choose_pause_s(self) -> float:
        """Seconds until the next turn, if nothing happens here."""
        if self._seats:
            return _RETURN_S
        if not self._waiters.measure().calls:
            return _ALIVE_S
        if self._got_all:  # there are other keys: of this one we asked for a part
            return 0.0
        now_s = monotonic_s()
        poll_s = random.uniform(*_POLL_S)  # noqa: S311 - no secret
        if self.throttle.pause_s(now_s):  # until then nobody has a seat to leave
            poll_s = _ALIVE_S
        wait_s = self.throttle.wait_s(now_s)
        if wait_s > 0:
            self._yield_s = _YIELD_S
            return min(poll_s, wait_s + random.uniform(0, _JITTER_S))  # noqa: S311 - no secret
        yield_s, self._yield_s = self._yield_s, 2 * self._yield_s
        return min(poll_s, yield_s)

    def _come_back(self, seats: Sequence[Sent]) -> None:
        self._seats.extend(seats)
        self._again_s = _AGAIN_S
        if self._is_alone:
            self._is_alone = False
            self._log.info("lane_shared_again", lane=self._name)
        if seats or self.throttle.pause_s(monotonic_s()):
            self._waiters.serve()

    async def _go_alone(self, error: Exception) -> None:
        """Go on with our share of what was known last, and wait before the board is asked again."""
        if not self._is_alone:
            self._log.warning(
                "lane_alone", lane=self._name, workers=self._rivals, detail=repr(error)
            )
            self._is_alone = True
            self._clock = None  # it may be another server's afterwards
            self.throttle.divide(self._rivals, monotonic_s())
            self.throttle.in_flight = self._in_flight + len(self._replies)
            for reply in self._replies:
                reply.tell(self.throttle)
            self._replies.clear()
        self._waiters.serve()
        await asyncio.sleep(random.uniform(self._again_s / 2, self._again_s))  # noqa: S311 - no secret
        self._again_s = min(_MAX_AGAIN_S, 2 * self._again_s)
