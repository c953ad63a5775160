"""One lane for several processes: what they keep in common, and whose call is next.

They share one throttle, so that they are to the upstream what one process would be. Each in its
turn takes what stands on the board, tells the throttle what its own calls came to, takes as many
seats as there are, and puts it back, all times on the board's clock. Plain decisions.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct, field

from slideloom.engine.lane import Demand, Reply, has_single_seat
from slideloom.engine.throttle import Sent, Throttle

FORMAT = 1
"""Of what stands on a board: raised when a field changes, so that old and new workers go apart."""
_GONE_S = 4.0
"""A worker that has said nothing for so long is dead, and so are its calls."""
_ATTENTIVE_S = 1.5
"""A seat is left to a worker only if it was heard of within that; else it may be dead."""


class Worker(Struct, kw_only=True, eq=False):
    """One process that calls over the lane."""

    in_flight: int = 0
    singles: int = 0
    """Of these for single slides."""
    waiting: int = 0
    """Calls that want a seat."""
    parties: int = 1
    """Batches they are for."""
    seen_s: float = 0.0
    """When it took its last turn."""
    taken_s: float = 0.0
    """When it last got a seat."""


class Common(Struct, kw_only=True, eq=False):
    """What stands on the board."""

    throttle: Throttle
    workers: dict[str, Worker] = field(default_factory=dict)

    @classmethod
    def decode(cls, body: bytes, *, ahead_s: float) -> "Common":
        """What stands on a board whose clock is ahead of ours by that much, on our clock.

        Raises:
            msgspec.DecodeError: another version of us wrote it.
        """
        common = msgspec.msgpack.decode(body, type=cls)
        common.shift(-ahead_s)
        return common

    def encode(self, *, ahead_s: float) -> bytes:
        """The opposite."""
        self.shift(ahead_s)
        body = msgspec.msgpack.encode(self)
        self.shift(-ahead_s)
        return body

    def shift(self, by_s: float) -> None:
        """Tell all times on a clock that is ahead by that much."""
        self.throttle.shift(by_s)
        for worker in self.workers.values():
            worker.seen_s += by_s
            worker.taken_s += by_s


class Turn(Struct, frozen=True, kw_only=True):
    """What one worker has to say, in its turn."""

    worker: str
    """Its name."""
    in_flight: int
    """Its calls under way, those in `replies` left out."""
    singles: int
    """Of these for single slides."""
    replies: Sequence[Reply]
    """What came of other calls since its last turn, in order."""
    demand: Demand
    now_s: float


def take_turn(common: Common, turn: Turn) -> list[Sent]:
    """The seats that the worker gets; `common` is changed to what is so from then on."""
    workers, throttle = common.workers, common.throttle
    mine = workers.get(turn.worker) or Worker(taken_s=turn.now_s - _GONE_S)
    for name, worker in list(workers.items()):
        # A clock that was set back is no sign of life.
        if abs(turn.now_s - worker.seen_s) > _GONE_S:
            del workers[name]
    workers[turn.worker] = mine
    mine.in_flight = turn.in_flight + len(turn.replies)
    mine.singles, mine.seen_s = turn.singles, turn.now_s
    throttle.in_flight = sum(worker.in_flight for worker in workers.values())
    for reply in turn.replies:
        reply.tell(throttle)
    mine.in_flight = turn.in_flight
    seats = _take_seats(common, mine, turn)
    mine.parties = max(1, turn.demand.parties)
    mine.waiting = turn.demand.calls - len(seats)
    if not mine.in_flight and not mine.waiting:
        del workers[turn.worker]
    return seats


def _take_seats(common: Common, mine: Worker, turn: Turn) -> list[Sent]:
    throttle, now_s = common.throttle, turn.now_s
    mine.parties = max(1, turn.demand.parties)
    seats: list[Sent] = []
    singles_left = turn.demand.single_calls
    while len(seats) < turn.demand.calls:
        is_free = throttle.wait_s(now_s) <= 0 and _is_next(common, mine, now_s)
        is_free = is_free and not (throttle.is_full and _is_in_doubt(common, now_s))
        if not is_free and not (singles_left and _may_go_beyond(common, now_s)):
            break
        seats.append(throttle.send(now_s))
        mine.in_flight += 1
        mine.taken_s = now_s
        if singles_left:
            singles_left -= 1
            mine.singles += 1
    return seats


def _may_go_beyond(common: Common, now_s: float) -> bool:
    """Whether a single slide's call may, as in a lane that is not shared."""
    singles = sum(worker.singles for worker in common.workers.values())
    return has_single_seat(common.throttle, singles) and not common.throttle.pause_s(now_s)


def _is_in_doubt(common: Common, now_s: float) -> bool:
    """Whether some worker may be dead: in the room of its calls, a probe would find too much."""
    return any(now_s - other.seen_s > _ATTENTIVE_S for other in common.workers.values())


def _is_next(common: Common, mine: Worker, now_s: float) -> bool:
    """Whether no other worker that waits has fewer calls for each of its batches."""
    return not any(
        other is not mine
        and other.waiting
        and now_s - other.seen_s <= _ATTENTIVE_S
        and _is_before(other, mine)
        for other in common.workers.values()
    )


def _is_before(other: Worker, mine: Worker) -> bool:
    if other.in_flight == mine.in_flight == 0:  # fewer seats than workers: in turns
        return other.taken_s < mine.taken_s
    return (other.in_flight + 1) * mine.parties <= mine.in_flight * other.parties
