"""Faults of the way: answers cut short, slow or silent, connections lost."""

from typing import Final

from tests.support.upstream.answers import chunk, size_of
from tests.support.upstream.faults.base import ONCE, UNBILLED, fine, lost
from tests.support.upstream.scripts import Case, good_body, good_head, succeed
from tests.support.upstream.steps import Drip, Hang, Pause, Pieces, Reset, Script, Send, Shut, Work

_NOTICE_S: Final = 0.02
"""Before a reset, so that the client has read what came before it."""
_LONG_BYTES: Final = 10 * 1024 * 1024
"""Told as length where the end never comes."""


def _cut_at(case: Case, body: Pieces) -> bytes:
    whole = b"".join(body)
    return whole[: max(1, int(len(whole) * case.number_argument(0.5)))]


def _cut_length(case: Case) -> Script:
    body = good_body(case)
    return (Work(), Send((good_head(case, length=size_of(body)), _cut_at(case, body))), Shut())


def _cut_chunked(case: Case) -> Script:
    body = good_body(case)
    sent = b"%x\r\n" % size_of(body) + _cut_at(case, body)
    return (Work(), Send((good_head(case, chunked=True), sent)), Shut())


def _cut_between_chunks(case: Case) -> Script:
    return (
        Work(),
        Send((good_head(case, chunked=True), *chunk((_cut_at(case, good_body(case)),)))),
        Shut(),
    )


def _no_last_chunk(case: Case) -> Script:
    return (Work(), Send((good_head(case, chunked=True), *chunk(good_body(case)))), Shut())


def _cut_close(case: Case) -> Script:
    return (Work(), Send((good_head(case, close=True), _cut_at(case, good_body(case)))), Shut())


def _cut_reset(case: Case) -> Script:
    body = good_body(case)
    head = good_head(case, length=size_of(body))
    return (Work(), Send((head, _cut_at(case, body))), Pause(_NOTICE_S), Reset())


def _cut_head(case: Case) -> Script:
    return (Work(), Send((good_head(case, length=100)[:30],)), Shut())


def _short_length(case: Case) -> Script:
    """The length says less than is sent: the client reads a body cut short and then rubbish."""
    body = good_body(case)
    return (Work(), Send((good_head(case, length=size_of(body) // 2), *body)), Shut())


def _stale(case: Case) -> Script:
    return (Shut(),) if case.is_reused else succeed(case)


def _slow(case: Case) -> Script:
    """A good answer that takes a while to come down."""
    body = b"".join(good_body(case))
    step = len(body) // 20 + 1
    gap_s = case.number_argument(0.4) / 20
    pieces = [
        item
        for at in range(0, len(body), step)
        for item in (Send((body[at : at + step],)), Pause(gap_s))
    ]
    return (Work(), Send((good_head(case, length=len(body)),)), *pieces)


def _slow_forever(case: Case) -> Script:
    """Base64 a few letters at a time: the bytes are real, so only the total deadline ends it."""
    start = b"".join(good_body(case))[:200]
    head = good_head(case, length=_LONG_BYTES) + start
    return (Work(), Send((head,)), Drip(b"AAAA", case.number_argument(0.05)))


CUT_FAULTS: Final = (
    lost(
        "F13_cut_length",
        "fewer bytes than Content-Length, then closed",
        _cut_length,
        argument="part sent",
    ),
    lost("F13_cut_chunked", "closed inside a chunk", _cut_chunked, argument="part sent"),
    lost(
        "F13_cut_between_chunks", "closed between chunks", _cut_between_chunks, argument="part sent"
    ),
    lost("F13_no_last_chunk", "all data, but no last chunk", _no_last_chunk, may_succeed=True),
    lost(
        "F13_cut_close",
        "closed early, and only closing tells the end",
        _cut_close,
        argument="part sent",
    ),
    lost("F13_cut_reset", "reset inside the body", _cut_reset, argument="part sent"),
    lost("F13_cut_head", "closed inside the headers", _cut_head),
    lost("F13_short_length", "Content-Length too small", _short_length),
    lost(
        "F26_silence",
        "never answers",
        lambda _: (Hang(),),
        wanted="timeout",
        calls=ONCE,
        billed=False,
    ),
    lost(
        "F26_silence_after_head",
        "200, headers, then nothing",
        lambda case: (Send((good_head(case, chunked=True),)), Work(), Hang()),
        wanted="timeout",
        calls=ONCE,
    ),
    lost(
        "F26_silence_in_body",
        "half an answer, then nothing",
        lambda case: (*_cut_length(case)[:-1], Hang()),
        wanted="timeout",
        calls=ONCE,
        argument="part sent",
    ),
    fine(
        "F26_slow_body",
        "a good answer that comes slowly",
        _slow,
        argument="seconds in all, default 0.4",
    ),
    lost(
        "F26_slow_forever",
        "base64 a few letters at a time, without end",
        _slow_forever,
        wanted="timeout",
        calls=ONCE,
        argument="seconds between",
    ),
    lost(
        "F26_reset_before_body",
        "reset when the headers are there, the body unread",
        lambda _: (Reset(),),
        before_body=True,
        calls=UNBILLED,
        billed=False,
    ),
    lost(
        "F26_reset",
        "reset when the request is read, nothing made",
        lambda _: (Reset(),),
        billed=False,
    ),
    lost(
        "F26_close",
        "closed without a byte when the request is read",
        lambda _: (Shut(),),
        billed=False,
    ),
    fine(
        "F26_stale_keepalive",
        "closed without a byte if the connection was used before, else a good answer",
        _stale,
    ),
    lost(
        "F33_lost_reset", "made and charged, then reset without a byte", lambda _: (Work(), Reset())
    ),
    lost(
        "F33_lost_close", "made and charged, then closed without a byte", lambda _: (Work(), Shut())
    ),
    lost(
        "F33_lost_after_head",
        "made and charged, headers, then reset",
        lambda case: (
            Work(),
            Send((good_head(case, length=_LONG_BYTES),)),
            Pause(_NOTICE_S),
            Reset(),
        ),
    ),
)
