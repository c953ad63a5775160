"""One lane's width, pauses and pace; time is a number that the test gives."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideloom.engine.throttle import Sent, Throttle


def fill(throttle: Throttle, now_s: float) -> list[Sent]:
    """Send as much as goes at this moment."""
    calls: list[Sent] = []
    while throttle.wait_s(now_s) == 0:
        calls.append(throttle.send(now_s))
    return calls


def fill_until(throttle: Throttle, now_s: float, end_s: float) -> list[Sent]:
    """Keep sending; callers never run out."""
    calls: list[Sent] = []
    while now_s < end_s:
        calls += fill(throttle, now_s)
        now_s += min(1.0, throttle.wait_s(now_s)) + 1e-9
    return calls


def reject(
    throttle: Throttle, sent: Sent, now_s: float, hint_s: float | None = None, jitter: float = 0.5
) -> None:
    throttle.reject(sent, now_s, retry_after_s=hint_s, jitter=jitter)


def limited(width: int) -> tuple[Throttle, list[Sent]]:
    """A lane that has just met its limit, with that many calls accepted."""
    throttle = Throttle(start=width)
    calls = fill(throttle, 0.0)
    probe = fill_until(throttle, 0.01, throttle.wait_s(0.0) + 0.001)[0]
    reject(throttle, probe, probe.at_s + 0.1)
    return throttle, calls


def test_start_is_sent_at_once_and_no_more() -> None:
    throttle = Throttle(start=8)
    assert len(fill(throttle, 0.0)) == 8
    assert 0 < throttle.wait_s(0.0) < 0.5


def test_wide_start_holds_nothing_back() -> None:
    assert len(fill(Throttle(start=200), 0.0)) == 200


def test_lane_widens_each_moment_without_a_rejection() -> None:
    throttle = Throttle(start=8)
    assert len(fill_until(throttle, 0.0, 0.5)) >= 16
    fill_until(throttle, 0.5, 1.5)
    assert throttle.in_flight >= 50


def test_lane_never_goes_above_its_ceiling() -> None:
    throttle = Throttle(start=8, ceiling=20)
    fill_until(throttle, 0.0, 60.0)
    assert throttle.in_flight == 20
    assert throttle.wait_s(60.0) == math.inf


def test_unused_width_does_not_grow() -> None:
    throttle = Throttle(start=8)
    for now_s in range(100):
        throttle.succeed(throttle.send(float(now_s)), now_s + 0.5)
    assert len(fill(throttle, 100.0)) == 8


def test_rejected_probe_tells_the_width() -> None:
    throttle, calls = limited(20)
    assert throttle.in_flight == 20
    assert throttle.wait_s(1.0) > 0
    throttle.succeed(calls[0], 1.0)
    assert throttle.wait_s(1.0) == 0  # whoever ends is followed at once
    throttle.send(1.0)
    assert throttle.wait_s(1.0) > 0


def test_probes_back_off_while_they_are_rejected() -> None:
    throttle, _ = limited(20)
    waits_s, now_s = [], 0.2
    for _ in range(4):
        waits_s.append(throttle.wait_s(now_s))
        now_s += waits_s[-1] + 0.001
        probe = throttle.send(now_s)
        now_s += 0.1
        reject(throttle, probe, now_s)
    assert waits_s == pytest.approx([2, 4, 8, 8], rel=0.1)


def test_accepted_probes_follow_each_other_ever_faster() -> None:
    throttle, _ = limited(20)
    fill_until(throttle, 0.2, 6.0)
    assert throttle.in_flight > 60


def test_burst_of_rejections_counts_once() -> None:
    throttle = Throttle(start=50)
    calls = fill(throttle, 0.0)
    for sent in calls[10:]:
        reject(throttle, sent, 0.1, jitter=0.999)
    assert 0.9 < throttle.pause_s(0.1) <= 1.0  # the first back-off, not the fortieth
    assert len(fill_until(throttle, 1.1, 1.2)) <= 2
    assert throttle.in_flight <= 12


def test_retry_after_shuts_the_whole_lane() -> None:
    throttle = Throttle(start=8)
    calls = fill(throttle, 0.0)
    reject(throttle, calls[5], 0.1, hint_s=60)
    throttle.succeed(calls[0], 10.0)
    assert throttle.pause_s(10.0) == pytest.approx(50.1)
    assert throttle.wait_s(10.0) >= throttle.pause_s(10.0)
    assert throttle.pause_s(61.0) == 0


def test_later_retry_after_of_the_same_burst_prolongs_the_pause() -> None:
    throttle = Throttle(start=8)
    calls = fill(throttle, 0.0)
    reject(throttle, calls[5], 0.1, hint_s=2)
    reject(throttle, calls[6], 0.1, hint_s=30)
    reject(throttle, calls[7], 0.1, hint_s=1)
    assert throttle.pause_s(0.1) == pytest.approx(30)


def test_retry_after_tomorrow_is_asked_again_after_a_quarter_of_an_hour() -> None:
    throttle = Throttle(start=8)
    reject(throttle, throttle.send(0.0), 0.0, hint_s=86_400)
    assert throttle.pause_s(0.0) == 900


@pytest.mark.parametrize("hint_s", [None, 0.0, 0.4])
def test_back_off_doubles_while_nothing_is_accepted(hint_s: float | None) -> None:
    throttle, now_s, pauses_s = Throttle(start=8), 0.0, []
    for _ in range(7):
        reject(throttle, throttle.send(now_s), now_s, hint_s, jitter=0.999)
        pauses_s.append(throttle.pause_s(now_s))
        now_s += throttle.wait_s(now_s) + 0.001
    assert pauses_s == pytest.approx([1, 2, 4, 8, 16, 30, 30], rel=0.01)


def test_back_off_is_never_shorter_than_a_short_hint() -> None:
    throttle = Throttle(start=8)
    reject(throttle, throttle.send(0.0), 0.0, hint_s=0.4, jitter=0.0)
    assert throttle.pause_s(0.0) == pytest.approx(0.4)


def test_lane_is_paced_after_a_pause_that_the_upstream_named() -> None:
    throttle = Throttle(start=50)
    calls = fill(throttle, 0.0)
    for sent in calls[10:]:
        reject(throttle, sent, 0.1, hint_s=5)
    for sent in calls[:10]:
        throttle.succeed(sent, 5.0)
    opened_s = 0.0 + throttle.wait_s(0.0) + 0.001
    assert len(fill(throttle, opened_s)) == 1
    assert len(fill_until(throttle, opened_s, opened_s + 0.4)) == 0


def test_pace_is_what_was_accepted_between_two_rejections() -> None:
    throttle, tokens, now_s, sends = Throttle(start=8), 10.0, 0.0, []
    while now_s < 120:  # a bucket of ten, two a second; images take no time
        while throttle.wait_s(now_s) == 0:
            sent = throttle.send(now_s)
            if tokens >= 1:
                tokens -= 1
                sends.append(now_s)
                throttle.succeed(sent, now_s)
            else:
                reject(throttle, sent, now_s, hint_s=1)
        now_s += 0.05
        tokens = min(10.0, tokens + 0.1)
    late = [at_s for at_s in sends if at_s > 60]
    assert len(late) / 60 == pytest.approx(2, rel=0.1)


def test_untrue_retry_after_is_backed_off_from() -> None:
    throttle, now_s, pauses_s = Throttle(start=8), 0.0, []
    for _ in range(5):
        reject(throttle, throttle.send(now_s), now_s, hint_s=1, jitter=0.999)
        pauses_s.append(throttle.pause_s(now_s))
        now_s += throttle.wait_s(now_s) + 0.001
    assert pauses_s == pytest.approx([1, 2, 4, 8, 16], rel=0.01)


def test_limit_that_says_retry_after_is_no_rate() -> None:
    throttle = Throttle(start=20)
    calls = fill(throttle, 0.0)
    for now_s in (0.1, 1.3):  # rejected at the same number in flight
        at_s = now_s + throttle.wait_s(now_s)
        reject(throttle, throttle.send(at_s), at_s + 0.1, hint_s=1)
    for sent in calls[:10]:
        throttle.succeed(sent, 4.0)
    assert len(fill_until(throttle, 4.0, 8.5)) == 10  # free places are taken soon, none above


def test_slow_rejections_slow_the_growth() -> None:
    throttle = Throttle(start=8)
    calls = fill(throttle, 0.0)
    reject(throttle, calls[7], 2.0)
    fill_until(throttle, 2.0, 8.0)
    slow = throttle.in_flight
    quick, _ = limited(7)
    fill_until(quick, 0.2, 6.2)
    assert slow < quick.in_flight / 2


def test_outage_is_tried_with_one_call_at_a_time() -> None:
    throttle, now_s, tried = Throttle(start=50), 0.0, 0
    for sent in fill(throttle, now_s):
        throttle.fail(sent, 0.1, jitter=0.5)
    while now_s < 60:
        calls = fill(throttle, now_s)
        assert len(calls) <= 1
        tried += len(calls)
        now_s += 0.1
        for sent in calls:
            throttle.fail(sent, now_s, jitter=0.5)
    assert 8 <= tried <= 25
    assert throttle.pause_s(now_s) == 0  # no rejection asked for it


def test_lane_is_as_wide_as_before_soon_after_an_outage() -> None:
    throttle = Throttle(start=50)
    for sent in fill(throttle, 0.0):
        throttle.fail(sent, 0.1, jitter=0.5)
    fill_until(throttle, 0.1, 6.0)
    assert throttle.in_flight >= 50


def test_few_failures_change_nothing() -> None:
    throttle = Throttle(start=50)
    calls = fill(throttle, 0.0)
    for sent in calls[:4]:
        throttle.fail(sent, 0.1, jitter=0.5)
    assert len(fill(throttle, 0.1)) >= 4


def test_dropped_call_makes_room_and_says_nothing() -> None:
    throttle, calls = limited(20)
    throttle.drop(calls[0], 1.0)
    assert throttle.wait_s(1.0) == 0


def test_queue_upstream_narrows_the_lane() -> None:
    throttle = Throttle(start=8)
    first = fill_until(throttle, 0.0, 1.7)
    for number, sent in enumerate(first):  # ten at a time, ten seconds each
        throttle.succeed(sent, 10.0 + 10 * (number // 10))
    end_s = 10.0 * (len(first) // 10) + 10
    assert len(fill(throttle, end_s)) < len(first) / 2


def test_quick_answers_are_never_slow() -> None:
    throttle = Throttle(start=8)
    first = fill_until(throttle, 0.0, 1.7)
    for number, sent in enumerate(first):
        throttle.succeed(sent, sent.at_s + 0.01 * (1 + number))
    assert len(fill(throttle, 3.0)) >= len(first)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "succeed", "reject", "hint", "fail", "drop"]),
            st.floats(0, 20),
            st.floats(0, 0.999),
            st.integers(0, 50),
        ),
        max_size=150,
    )
)
def test_lane_always_opens_again(steps: list[tuple[str, float, float, int]]) -> None:
    throttle, now_s = Throttle(start=4, ceiling=30), 0.0
    calls: list[Sent] = []
    for what, seconds, jitter, which in steps:
        now_s += seconds
        if what == "send" and throttle.wait_s(now_s) == 0:
            calls.append(throttle.send(now_s))
        elif what != "send" and calls:
            _answer(throttle, what, calls.pop(which % len(calls)), now_s, jitter)
        assert throttle.in_flight == len(calls)
        assert 0 <= throttle.pause_s(now_s) <= throttle.wait_s(now_s)
        if len(calls) < 30:
            assert throttle.wait_s(now_s) <= 120


def _answer(throttle: Throttle, what: str, sent: Sent, now_s: float, jitter: float) -> None:
    match what:
        case "succeed":
            throttle.succeed(sent, now_s)
        case "reject" | "hint":
            hint_s = 60 * jitter if what == "hint" else None
            throttle.reject(sent, now_s, retry_after_s=hint_s, jitter=jitter)
        case "fail":
            throttle.fail(sent, now_s, jitter=jitter)
        case _:
            throttle.drop(sent, now_s)
