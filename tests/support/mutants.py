"""Good input gone wrong, in ways drawn from a random source: the same seed gives the same input."""

import random
from collections.abc import Callable, Sequence

_Change = Callable[[random.Random, bytearray], None]

_DIGITS = (
    b"0",
    b"-1",
    b"1e999",
    b"9" * 5000,
    b"-9" * 300,
    b"1.5",
    b"NaN",
    b"Infinity",
    b"00",
    b"1_0",
)
_PIECES = (
    *(b"\0", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf4\x90\x80\x80", b"\x7f"),
    *(b"\\ud800", b"\\udfff\\ud800", b"\\u0000", b"\\u2028", b"\\x41", b"\\", b'"', b"'", b"\r\n"),
    *(b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"//", b"/*", b"lifted:0", b"%00"),
    *("\u0661\u06f2\uff13".encode(), "\u2028".encode(), "\U0010ffff".encode(), b"[" * 1100),
    *_DIGITS,
)


def mutate(source: random.Random, good: bytes, *, most: int = 4) -> bytes:
    """`good` with one to `most` changes."""
    data = bytearray(good)
    for _ in range(source.randint(1, most)):
        source.choice(_CHANGES)(source, data)
    return bytes(data)


def _span(source: random.Random, data: Sequence[int]) -> tuple[int, int]:
    start = source.randint(0, len(data))
    return start, min(len(data), start + source.choice((0, 1, 2, 8, 64, 4096)))


def _drop(source: random.Random, data: bytearray) -> None:
    start, end = _span(source, data)
    del data[start:end]


def _cut(source: random.Random, data: bytearray) -> None:
    del data[source.randint(0, len(data)) :]


def _flip(source: random.Random, data: bytearray) -> None:
    if data:
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)


def _repeat(source: random.Random, data: bytearray) -> None:
    start, end = _span(source, data)
    data[start:start] = data[start:end] * source.choice((1, 2, 50))


def _put(source: random.Random, data: bytearray) -> None:
    start, end = _span(source, data)
    data[start : source.choice((start, end))] = source.choice(_PIECES)


def _noise(source: random.Random, data: bytearray) -> None:
    start, end = _span(source, data)
    data[start:end] = source.randbytes(end - start)


def _swap_value(source: random.Random, data: bytearray) -> None:
    """Another value behind a colon of the JSON."""
    colon = data.find(b":", source.randint(0, len(data)))
    if colon >= 0:
        ends = [at for mark in b",}]" if (at := data.find(mark, colon)) >= 0]
        data[colon + 1 : min(ends, default=len(data))] = source.choice(_VALUES)


_VALUES = (b"null", b"[]", b"{}", b'""', b'"1"', b"true", b"[[[[1]]]]", b'"\\ud83d"', *_DIGITS)
_CHANGES: tuple[_Change, ...] = (
    *(_drop, _cut, _flip, _repeat, _put, _noise),
    *(_swap_value, _swap_value, _swap_value),  # the others rarely leave JSON
)
