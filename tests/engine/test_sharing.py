"""Whose call is next, of several processes; time is a number that the test gives."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideloom.engine.lane import Demand, Reply
from slideloom.engine.pace import Crowd, Pace, Span
from slideloom.engine.sharing import FORMAT, Common, Turn, Worker, take_turn
from slideloom.engine.throttle import Sent, Throttle


class Office:
    """A worker of the test: what it has, and its turns."""

    def __init__(self, common: Common, name: str, *, parties: int = 1) -> None:
        self.common = common
        self.name = name
        self.parties = parties
        self.calls: list[Sent] = []
        self.replies: list[Reply] = []
        self.singles = 0

    def turn(self, now_s: float, *, wants: int = 0, singles: int = 0) -> int:
        """How many seats it gets."""
        demand = Demand(batch_calls=wants, single_calls=singles, parties=self.parties)
        turn = Turn(
            worker=self.name,
            in_flight=len(self.calls),
            singles=self.singles,
            replies=self.replies,
            demand=demand,
            now_s=now_s,
        )
        seats = take_turn(self.common, turn)
        self.replies = []
        self.calls += seats
        return len(seats)

    def end(self, now_s: float, *, hint_s: float | None = None) -> None:
        """Its oldest call gave a picture, or was rejected with `hint_s`."""
        kind = "accepted" if hint_s is None else "rejected"
        sent = self.calls.pop(0)
        self.replies.append(
            Reply(kind=kind, sent=sent, at_s=now_s, retry_after_s=hint_s)  # type: ignore[arg-type]
        )


def offices(count: int, *, width: int, **facts: int) -> tuple[Common, list[Office]]:
    common = Common(throttle=Throttle(start=width, ceiling=width))
    return common, [Office(common, f"w{number}", **facts) for number in range(count)]


def test_all_workers_together_have_the_width_of_one() -> None:
    common, (one, other) = offices(2, width=10)
    assert one.turn(0.0, wants=50) == 10
    assert other.turn(0.0, wants=50) == 0
    assert common.throttle.in_flight == 10


def test_whoever_has_more_leaves_seats_until_all_have_the_same() -> None:
    _, (one, other) = offices(2, width=10)
    one.turn(0.0, wants=50)
    for now_s in range(1, 10):
        other.turn(float(now_s), wants=50)
        one.end(float(now_s))
        one.turn(float(now_s), wants=50)
        other.turn(float(now_s), wants=50)
    assert (len(one.calls), len(other.calls)) == (5, 5)


def test_worker_takes_what_the_others_do_not_want() -> None:
    _, (one, other) = offices(2, width=10)
    assert other.turn(0.0, wants=2) == 2
    assert one.turn(0.0, wants=50) == 8


def test_seats_go_by_batches_not_by_workers() -> None:
    common, (small,) = offices(1, width=10)
    large = Office(common, "large", parties=4)
    large.turn(0.0, wants=90)
    for step in range(1, 30):
        now_s = step / 10
        small.turn(now_s, wants=90)
        large.end(now_s)
        large.turn(now_s, wants=90)
        small.turn(now_s, wants=90)
    assert (len(large.calls), len(small.calls)) == (8, 2)


def test_fewer_seats_than_workers_go_round() -> None:
    _, workers = offices(3, width=1)
    seats: list[str] = []
    for step in range(30):
        now_s = step / 10
        for worker in workers:  # always in this order
            if worker.calls:
                worker.end(now_s)
            if worker.turn(now_s, wants=5):
                seats.append(worker.name)
    counts = [seats.count(worker.name) for worker in workers]
    assert max(counts) - min(counts) <= 1


def test_worker_that_fell_silent_is_waited_for_no_longer() -> None:
    common, (one, other) = offices(2, width=4)
    one.turn(0.0, wants=9)
    other.turn(0.0, wants=9)
    one.end(0.1)
    assert one.turn(0.1, wants=9) == 0, "the other has none"
    assert one.turn(1.4, wants=9) == 0
    assert one.turn(1.6, wants=9) == 1
    assert set(common.workers) == {"w0", "w1"}


def test_calls_of_a_dead_worker_are_counted_for_four_seconds() -> None:
    common, (one, other) = offices(2, width=10)
    one.turn(0.0, wants=10)
    assert other.turn(3.9, wants=50) == 0
    assert other.turn(4.1, wants=50) == 10
    assert set(common.workers) == {"w1"}


def test_lane_is_not_widened_while_a_worker_may_be_dead() -> None:
    common = Common(throttle=Throttle(start=4))
    one, other = Office(common, "w0"), Office(common, "w1")
    one.turn(0.0, wants=2)
    other.turn(0.0, wants=50)
    assert other.turn(1.0, wants=50) == 1
    assert other.turn(2.0, wants=50) == 0, "the first has been silent for two seconds"
    assert other.turn(4.1, wants=50) >= 2


def test_worker_that_was_taken_for_dead_is_counted_again() -> None:
    common, (one, other) = offices(2, width=10)
    one.turn(0.0, wants=10)
    other.turn(5.0, wants=50)
    assert one.turn(6.0) == 0
    assert common.throttle.in_flight == 20
    for _ in range(10):
        one.end(7.0)
    one.turn(7.0)
    assert common.throttle.in_flight == 10


def test_rejection_of_one_shuts_the_lane_for_all() -> None:
    common, (one, other) = offices(2, width=10)
    one.turn(0.0, wants=3)
    one.end(0.1, hint_s=30.0)
    one.turn(0.1)
    assert other.turn(0.2, wants=9) == 0
    assert common.throttle.pause_s(0.2) == pytest.approx(29.9)


def test_worker_with_nothing_to_do_leaves_the_board() -> None:
    common, (one, _) = offices(2, width=10)
    one.turn(0.0, wants=1)
    one.end(5.0)
    one.turn(5.0)
    assert common.workers == {}
    assert common.throttle.in_flight == 0


def test_single_slide_goes_beyond_the_width_one_in_eight_of_all() -> None:
    _, (one, other) = offices(2, width=16)
    one.turn(0.0, wants=50)
    assert other.turn(0.0, singles=3) == 2
    other.singles = 2
    assert one.turn(0.0, singles=1) == 0, "the other's two count"


def test_single_slide_does_not_go_into_a_pause() -> None:
    _, (one, other) = offices(2, width=4)
    one.turn(0.0, wants=4)
    one.end(0.1, hint_s=30.0)
    one.turn(0.1)
    assert other.turn(0.2, singles=1) == 0


def test_format_is_raised_when_what_stands_on_the_board_changes() -> None:
    kinds = (Common, Worker, Throttle, Pace, Crowd, Span)
    fields = " ".join(name for kind in kinds for name in kind.__struct_fields__)
    assert (FORMAT, crc32(fields.encode())) == (1, 4155698829)


@given(ahead_s=st.floats(-1e9, 1e9), hint_s=st.sampled_from([None, 0.2, 3.0]))
def test_what_is_read_from_the_board_decides_as_what_was_put(
    ahead_s: float, hint_s: float | None
) -> None:
    common = Common(throttle=Throttle(start=4))
    one = Office(common, "w0")
    for step in range(40):
        now_s = step / 4
        one.turn(now_s, wants=3)
        if step % 7 == 3:
            one.end(now_s, hint_s=hint_s)
    read = Common.decode(common.encode(ahead_s=ahead_s), ahead_s=ahead_s)
    for now_s in (10.0, 10.5, 12.0, 20.0):
        wait_s = common.throttle.wait_s(now_s)
        assert read.throttle.wait_s(now_s) == pytest.approx(wait_s, abs=1e-5)
    assert read.throttle.in_flight == common.throttle.in_flight
    assert read.workers.keys() == common.workers.keys()
