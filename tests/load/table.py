"""What a run came to, in a table that explains itself."""

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tests.load.gauges import find_slope
from tests.load.run import Findings

_HOUR_S = 3600.0
_FIRST_SHARE = 0.5
"""Memory still fills up in the first half: the slope is that of the second."""


class Row(Struct, frozen=True):
    """One figure."""

    name: str
    found: str
    goal: str = ""
    is_met: bool = True


def build_rows(found: Findings) -> list[Row]:
    """All figures of a run."""
    return [*_client_rows(found), *_count_rows(found), *_service_rows(found)]


def _client_rows(found: Findings) -> Iterator[Row]:
    tally = found.tally
    polls_ms, own_ms = sorted(tally.polls_ms), sorted(tally.own_lag_ms)
    errors = tally.errors.total()
    yield Row("errors, all clients", str(errors), "0", errors == 0)
    for text, count in tally.errors.most_common(10):
        yield Row(f"  {count} times", text)
    rate = len(polls_ms) / found.wall_s
    yield Row("polls", f"{len(polls_ms)} ({rate:.0f}/s, {tally.unchanged} answered 304)")
    p99_ms = _share(polls_ms, 0.99)
    yield Row("poll p50 ms", f"{_share(polls_ms, 0.5):.1f}")
    yield Row("poll p99 ms", f"{p99_ms:.1f}", "<= 100", p99_ms <= 100)
    yield Row("poll worst ms", f"{_share(polls_ms, 1.0):.1f}")
    yield Row(
        "clients' own loop lag p99 ms",
        f"{_share(own_ms, 0.99):.1f}",
        "small: it is in every poll's time",
    )


def _count_rows(found: Findings) -> Iterator[Row]:
    tally, plan = found.tally, found.plan
    ended = len(tally.ended)
    yield Row(
        "batches that ended with all slides done",
        str(ended),
        f">= {plan.batches}",
        ended >= plan.batches,
    )
    wanted = ended * plan.slides
    yield Row(
        "slides billed",
        str(found.slides_billed),
        f"{wanted}: all once",
        found.slides_billed == wanted and not found.slides_billed_twice,
    )
    streams = sum(map(len, tally.heard.values()))
    due = sum(len(lasts) for batch_id, lasts in tally.heard.items() if batch_id in tally.ended)
    yield Row(
        "event streams read to their end",
        f"{streams} ({tally.resumed} resumptions)",
        f"{due}",
        streams == due > 0 or not plan.readers,
    )
    yield Row(
        "events lost, doubled or out of order", str(found.lost_events), "0", found.lost_events == 0
    )
    yield Row(
        "idle and slow connections closed by the service",
        str(tally.closed_on),
        "opened again each time",
    )
    yield Row("tracebacks in the log", str(found.tracebacks), "0", found.tracebacks == 0)


def _service_rows(found: Findings) -> Iterator[Row]:
    before, busy, after = found.before, found.busy, found.after
    lag_ms = busy.find_lag_ms(before, 0.99)
    yield Row("service's loop lag p99 ms", _bound(lag_ms), "<= 50", lag_ms <= 50)
    yield Row("service's loop lag worst ms", _bound(busy.find_lag_ms(before, 1.0)))
    cpu = (busy.cpu_s - before.cpu_s) / found.wall_s
    yield Row("service's CPU", f"{cpu:.0%} of one processor")
    waited = (busy.waited_s - before.waited_s) / found.wall_s
    yield Row(
        "service could not run for want of a processor",
        f"{waited:.0%} of the time",
        "small: else times tell of the machine",
    )
    yield Row(
        "open files before, under load, after",
        f"{before.files}, {busy.files}, {after.files}",
        f"{before.files} again",
        after.files <= before.files,
    )
    yield Row(
        "asyncio tasks before, under load, after",
        f"{before.tasks}, {busy.tasks}, {after.tasks}",
        f"{before.tasks} again",
        after.tasks <= before.tasks,
    )
    yield Row(
        "resident MB before, under load, after",
        f"{before.memory_mb:.0f}, {busy.memory_mb:.0f}, {after.memory_mb:.0f}",
    )
    half = found.memory_mb[int(len(found.memory_mb) * _FIRST_SHARE) :]
    yield Row(
        "resident MB/h, second half",
        f"{find_slope(half) * _HOUR_S:+.0f}",
        "minutes cannot show 1 MB/h: the soak test does",
    )


def print_table(found: Findings) -> bool:
    """Print it; whether every goal is met."""
    plan, rows = found.plan, build_rows(found)
    print(
        f"\n{plan.pollers} pollers at 1 Hz, {plan.batches} batches x {plan.slides} slides at once,"
        f" {plan.readers} readers, {plan.idle} idle and slow connections:"
        f" {found.wall_s:.0f} s until the last batch had ended"
    )
    print(f"{'':50} {'measured':34} {'':6} goal")
    for row in rows:
        verdict = "" if not row.goal else "ok" if row.is_met else "MISSED"
        print(f"{row.name:50} {row.found:34} {verdict:6} {row.goal}")
    return all(row.is_met for row in rows)


def _bound(lag_ms: float) -> str:
    return "more than the last bucket, 1000" if math.isinf(lag_ms) else f"<= {lag_ms:g}"


def _share(rising: Sequence[float], share: float) -> float:
    return rising[min(len(rising) - 1, int(len(rising) * share))] if rising else 0.0
