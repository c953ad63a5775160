"""Trace contexts: what is believed of a header, and what is carried along."""

import asyncio

import pytest

from slideloom.tracing import Trace, Tracer, find_trace, read_trace, step, trace_headers, within

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE_ID}-{SPAN_ID}-01"


def read(*parents: str, states: tuple[str, ...] = ()) -> dict[str, str] | None:
    """The headers of a request that is caused by one with these."""
    headers = [(b"host", b"x"), *((b"traceparent", parent.encode()) for parent in parents)]
    headers += [(b"tracestate", state.encode()) for state in states]
    trace = read_trace(headers)
    return None if trace is None else trace.to_headers()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (GOOD, GOOD),
        (f" \t{GOOD} ", GOOD),
        (GOOD[:-2] + "00", GOOD[:-2] + "00"),
        (GOOD[:-2] + "03", GOOD[:-2] + "03"),
        (GOOD[:-2] + "ff", GOOD[:-2] + "03"),  # flags nobody knows are not passed on
        ("cc" + GOOD[2:], GOOD),  # later versions are read as this one
        ("cc" + GOOD[2:] + "-what the future holds", GOOD),
    ],
)
def test_valid_header_is_kept(sent: str, kept: str) -> None:
    assert read(sent) == {"traceparent": kept}


@pytest.mark.parametrize(
    "sent",
    [
        "",
        GOOD.upper(),
        GOOD + "-more",
        GOOD + "-",
        GOOD + "0",
        GOOD[:-1],
        "ff" + GOOD[2:],
        "0" + GOOD[2:],
        "cc" + GOOD[2:] + ".more",
        GOOD.replace(TRACE_ID, "0" * 32),
        GOOD.replace(SPAN_ID, "0" * 16),
        GOOD.replace(TRACE_ID, TRACE_ID[1:]),
        GOOD.replace("-", "_"),
        GOOD[:-2] + "0x",
        GOOD.replace("4", "٤"),
    ],
)
def test_invalid_header_is_as_none(sent: str) -> None:
    assert read(sent, states=("a=1",)) is None


def test_two_headers_are_as_none() -> None:
    assert read() is None
    assert read(GOOD, GOOD) is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (("a=1,b=2",), "a=1,b=2"),
        (("a=1", "b=2"), "a=1,b=2"),
        ((" a=1 ,, b=2,",), "a=1,b=2"),
        (("t0@vendor=x;y:z w",), "t0@vendor=x;y:z w"),
        ((",".join(f"k{n}={n}" for n in range(32)),),) * 2,
        ((",".join(f"k{n}={n}" for n in range(33)),), ""),
        (("a=1,a=2",), ""),
        (("A=1",), ""),
        (("a=1,b",), ""),
        (("a=b=c",), ""),
        (("a=",), ""),
        (("a=" + "x" * 256,), "a=" + "x" * 256),
        (("a=" + "x" * 257,), ""),
        (("a=" + "x" * 256 + ",b=" + "x" * 256,), ""),
        (("a=é",), ""),
    ],
)
def test_state_is_passed_on_if_it_is_valid(sent: tuple[str, ...], kept: str) -> None:
    kept = kept if isinstance(kept, str) else kept[0]
    told = read(GOOD, states=sent)
    assert told is not None
    assert (told["traceparent"], told.get("tracestate", "")) == (GOOD, kept)


async def test_tasks_belong_to_the_trace_they_were_begun_in() -> None:
    async def later() -> Trace | None:
        await asyncio.sleep(0)
        return find_trace()

    tracer = Tracer()
    with within(tracer.begin("request", None)) as one:
        first = asyncio.create_task(later())
    with within(tracer.begin("request", None)) as other:
        second = asyncio.create_task(later())
    assert (await first, await second) == (one.trace, other.trace)
    assert one.trace.trace_id != other.trace.trace_id
    assert (find_trace(), dict(trace_headers())) == (None, {})


def test_each_step_has_an_id_of_its_own_in_the_same_trace() -> None:
    begun = Tracer().begin("request", read_trace([(b"traceparent", GOOD.encode())]))
    with within(begun), step("slide") as slide, step("attempt") as attempt:
        told = trace_headers()["traceparent"].split("-")
    assert told == ["00", TRACE_ID, attempt.trace.span_id, "01"]
    ids = {SPAN_ID, begun.trace.span_id, slide.trace.span_id, attempt.trace.span_id}
    assert len(ids) == 4
