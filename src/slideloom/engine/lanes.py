"""Who may call a provider next: one lane per provider and key, shared by all batches.

Plain decisions but for `Lanes.sit`, which waits its turn: each other method reads
and changes the lanes without an `await` in between. How many calls a lane takes
is its throttle's business; here is decided whose call is next, over which lane.
"""

import asyncio
import math
from bisect import insort
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct, field

from slideloom.clock import monotonic_s
from slideloom.engine.fallback import ModelChoice
from slideloom.engine.lane import Demand, Lane, Reply, Waiters
from slideloom.engine.throttle import Sent
from slideloom.errors import (
    AnswerLost,
    NoAnswerInTime,
    ProviderError,
    RateLimited,
    RequestNotSent,
    UpstreamDown,
)
from slideloom.logs import Log
from slideloom.providers.base import Provider

SINGLES = ""
"""The party of all single slides; every batch is a party of its own."""
_USERS_PAUSE_S = 30.0
"""A model of a user's own choice shuts the lane no longer for all others."""
_FORBIDDEN = 403
_UPSTREAM_FAULTS = (UpstreamDown, RequestNotSent, AnswerLost, NoAnswerInTime)


class NotAdmitted(Exception):
    """No call was made, because of an earlier one: a turn of control, not an error of its own."""

    def __init__(self, by: ProviderError) -> None:
        super().__init__()
        self.by = by


class Wish(Struct, kw_only=True, eq=False):
    """A slide that wants to call."""

    party: str
    """Its batch, or `SINGLES`."""
    rank: tuple[int, int] = (0, 0)
    """Its turn within its party, the lowest first: setbacks, place in the deck."""
    since_s: float
    """When the work was taken, monotonic."""
    left_s: Callable[[], float]
    """Seconds it has left."""
    model: str | None
    """The model the user chose, if any."""
    is_turned_away: bool = False
    """Whether the first model has no room for it, so that the fallback is asked."""
    granted: asyncio.Future["Seat"] = field(default_factory=asyncio.Future)


class Seat(Struct, frozen=True, kw_only=True):
    """The right to make one call; to be closed with what came of it, or dropped."""

    lane: Lane
    model: str
    is_users_model: bool
    is_single: bool
    since_s: float
    """When the work was taken."""
    sent: Sent

    @property
    def provider(self) -> Provider:
        """Who is called."""
        return self.lane.provider


class Lanes:
    """All lanes, and the queue before them: fair between batches, single slides first."""

    def __init__(
        self, lanes: Sequence[Lane], *, log: Log, fallback_model: str | None = None
    ) -> None:
        self._lanes = tuple(lanes)
        self._log = log
        self._parties: dict[str, list[Wish]] = {}
        """Who waits, by rank; the party that has waited longest for a call is first."""
        self._models = ModelChoice(fallback_model)
        self._timer: asyncio.TimerHandle | None = None
        for lane in self._lanes:
            lane.join(Waiters(partial(self._measure, lane), self._serve))

    @property
    def first(self) -> Provider:
        """The provider of the first lane; the others differ in their keys."""
        return self._lanes[0].provider

    @property
    def fallback_model(self) -> str | None:
        """What is asked while the first model is down."""
        return self._models.fallback

    def list_models(self, wanted: str | None) -> list[str]:
        """Whom a call may ask, the likeliest first; `wanted` is the order's own model."""
        if wanted:
            return [wanted]
        return [model for model in (self.first.model, self.fallback_model) if model]

    async def close_providers(self) -> None:
        """Let go of all connections."""
        for lane in self._lanes:
            await lane.close()

    def pause_s(self) -> float:
        """How long every lane is shut by rejections."""
        now_s = monotonic_s()
        return min(lane.throttle.pause_s(now_s) for lane in self._lanes)

    async def sit(self, wish: Wish) -> Seat:
        """Wait for a seat.

        Raises:
            NotAdmitted: every lane stays closed for longer than the slide has.
        """
        insort(self._parties.setdefault(wish.party, []), wish, key=lambda waiting: waiting.rank)
        self._turn_away([wish], monotonic_s())
        self._hand_out()
        if not wish.granted.done():
            for lane in self._lanes:
                lane.ask()
        try:
            return await wish.granted
        except asyncio.CancelledError:
            granted = wish.granted
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.drop(granted.result())
            raise
        finally:
            self._remove(wish)

    def close(self, seat: Seat, error: ProviderError | None, *, jitter: float) -> None:
        """The call was answered: with a picture, or with `error`.

        An error that stops the lane is marked as `moves_on` where another lane is open.
        """
        now_s = monotonic_s()
        lane = seat.lane
        lane.single_count -= seat.is_single
        if not seat.is_users_model:
            self._models.note(seat.model, error, now_s=now_s)
        if isinstance(error, RateLimited) and not self._turns_away(seat, error):
            hint_s = error.retry_after_s
            if seat.is_users_model and hint_s is not None and hint_s > _USERS_PAUSE_S:
                error.own_pause_s, hint_s = hint_s, _USERS_PAUSE_S
            lane.take(
                Reply(
                    kind="rejected",
                    sent=seat.sent,
                    at_s=now_s,
                    retry_after_s=hint_s,
                    jitter=jitter,
                )
            )
            lane.paused_by = error
        elif isinstance(error, _UPSTREAM_FAULTS) and not seat.is_users_model:
            lane.take(Reply(kind="failed", sent=seat.sent, at_s=now_s, jitter=jitter))
        else:
            lane.take(Reply(kind="accepted", sent=seat.sent, at_s=now_s))
        if error is None:
            lane.note_success(seat.sent)
            if lane.throttle.pause_s(now_s) <= 0:
                lane.paused_by = None  # its traceback holds a whole deck in memory
        # A model of the user's own choice that the key may not use says nothing about the key.
        is_models_fault = seat.is_users_model and error and error.http_status == _FORBIDDEN
        if error is not None and error.stops_lane and not is_models_fault:
            self._stop(lane, error, now_s)
            error.moves_on = any(not other.find_stop(since_s=seat.since_s) for other in self._lanes)
        if error is not None:
            self._turn_away(self._list_wishes(), now_s)
        self._hand_out()

    def list_stops(self) -> list[str]:
        """The keys that were refused and have not worked since, in words."""
        return [
            f"key {number} of {len(self._lanes)} was refused: {lane.stopped_by.code}"
            for number, lane in enumerate(self._lanes, 1)
            if lane.stopped_by is not None
        ]

    def _stop(self, lane: Lane, error: ProviderError, now_s: float) -> None:
        if lane.stopped_by is None:
            place = f"{self._lanes.index(lane) + 1} of {len(self._lanes)}"
            self._log.error("key_refused", key=place, code=error.code, detail=error.detail)
        lane.stop(error, now_s)

    def _turns_away(self, seat: Seat, error: ProviderError) -> bool:
        """Whether it is only the first model that has no room, so that the lane stays open."""
        is_first = not seat.is_users_model and seat.model != self.fallback_model
        return error.is_capacity and is_first and self.fallback_model is not None

    def drop(self, seat: Seat) -> None:
        """The call was cut off by us."""
        seat.lane.single_count -= seat.is_single
        seat.lane.take(Reply(kind="dropped", sent=seat.sent, at_s=monotonic_s()))
        self._hand_out()

    def _turn_away(self, wishes: Sequence[Wish], now_s: float) -> None:
        """Refuse those for whom every lane is closed for good, or for too long."""
        for wish in wishes:
            if not wish.granted.done() and (by := self._find_refusal(wish, now_s)) is not None:
                wish.granted.set_exception(NotAdmitted(by))

    def _find_refusal(self, wish: Wish, now_s: float) -> ProviderError | None:
        stops = [lane.find_stop(since_s=wish.since_s) for lane in self._lanes]
        if all(stops):
            return stops[0]
        open_lanes = [lane for lane, stop in zip(self._lanes, stops, strict=True) if not stop]
        first = min(open_lanes, key=lambda lane: lane.throttle.pause_s(now_s))
        if (pause_s := first.throttle.pause_s(now_s)) <= wish.left_s():
            return None
        # Another process may have been rejected.
        return first.paused_by or RateLimited(retry_after_s=pause_s)

    def _list_wishes(self) -> list[Wish]:
        return [wish for party in self._parties.values() for wish in party]

    def _measure(self, lane: Lane) -> Demand:
        """This lane's part of all who wait."""
        now_s = monotonic_s()
        counts = {
            party: len(wishes)
            if lane.stopped_by is None
            else sum(not lane.find_stop(since_s=wish.since_s) for wish in wishes)
            for party, wishes in self._parties.items()
        }
        latest_s = max((wishes[0].since_s for wishes in self._parties.values()), default=now_s)
        open_count = sum(
            other is lane
            or not (other.find_stop(since_s=latest_s) or other.throttle.pause_s(now_s))
            for other in self._lanes
        )
        single_calls = -(-counts.pop(SINGLES, 0) // open_count)
        return Demand(
            batch_calls=-(-sum(counts.values()) // open_count),
            single_calls=single_calls,
            parties=sum(count > 0 for count in counts.values()) + (single_calls > 0),
        )

    def _serve(self) -> None:
        """A lane that other processes share has seats, or was shut by one of them."""
        if self.pause_s() > 0:
            self._turn_away(self._list_wishes(), monotonic_s())
        self._hand_out()

    def _hand_out(self) -> None:
        """Give out every seat there is, then see when the next one may be."""
        now_s = monotonic_s()
        while self._grant_one(now_s):
            pass
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waits_s = self._list_waits(now_s)
        waits = [
            wait_s
            for party, wishes in self._parties.items()
            for lane, wait_s in zip(self._lanes, waits_s[party == SINGLES], strict=True)
            if not lane.find_stop(since_s=wishes[0].since_s)
        ]
        if waits and not math.isinf(wait_s := min(waits)):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(wait_s, 0.001), self._hand_out)

    def _list_waits(self, now_s: float) -> tuple[list[float], list[float]]:
        """Each lane's wait, for a batch's call and for a single slide's."""
        return (
            [lane.wait_s(now_s, is_single=False) for lane in self._lanes],
            [lane.wait_s(now_s, is_single=True) for lane in self._lanes],
        )

    def _grant_one(self, now_s: float) -> bool:
        waits_s = self._list_waits(now_s)
        # Single slides are few and somebody watches: they are first.
        for party in sorted(self._parties, key=lambda name: name != SINGLES):
            if min(waits_s[party == SINGLES]) > 0:
                continue
            wish = next((wish for wish in self._parties[party] if not wish.granted.done()), None)
            lane = None if wish is None else self._find_lane(wish, now_s)
            if wish is not None and lane is not None:
                self._grant(wish, lane, now_s)
                return True
        return False

    def _find_lane(self, wish: Wish, now_s: float) -> Lane | None:
        """The emptiest lane that takes a call of this party now."""
        free = [
            lane
            for lane in self._lanes
            if not lane.find_stop(since_s=wish.since_s)
            and lane.wait_s(now_s, is_single=wish.party == SINGLES) <= 0
        ]
        return min(free, key=lambda lane: lane.throttle.in_flight, default=None)

    def _grant(self, wish: Wish, lane: Lane, now_s: float) -> None:
        is_single = wish.party == SINGLES
        lane.single_count += is_single
        seat = Seat(
            lane=lane,
            model=wish.model
            or self._models.choose(
                lane.provider.model, is_turned_away=wish.is_turned_away, now_s=now_s
            ),
            is_users_model=wish.model is not None,
            is_single=is_single,
            since_s=wish.since_s,
            sent=lane.send(now_s),
        )
        self._remove(wish)
        if wish.party in self._parties:  # to the end of the round
            self._parties[wish.party] = self._parties.pop(wish.party)
        wish.granted.set_result(seat)

    def _remove(self, wish: Wish) -> None:
        party = self._parties.get(wish.party)
        if party is not None and wish in party:
            party.remove(wish)
            if not party:
                del self._parties[wish.party]
