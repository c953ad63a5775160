"""Fuzzing that follows the code's branches: `guided lift|pictures|headers SECONDS FOLDER`.

What it finds interesting is kept in `FOLDER`, for the next run to go on from; what breaks a promise
is written there, too, and ends the run with a traceback. Needs atheris, see `fuzz.sh`.
"""

import contextlib
import io
import math
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["slideloom"]):
    from slideloom.domain.images import MAX_PIXELS, NotAPicture, inspect_picture
    from slideloom.providers.answers import Answer
    from slideloom.providers.retry_after import find_retry_after, read_duration
    from slideloom.stores.cursor import parse_cursor
    from slideloom.tracing import read_trace
    from tests.support.cut_answers import PNG, TOKENS, read_cut

_SEED_BYTES = 4
_MOST_TOKENS = 200
_NAMES = ("retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-a")
_LONGEST_BYTES = 4096
_MOST_S = 5
"""Of one input: more, and it could hold up the loop."""


def check_lift(data: bytes) -> None:
    """The answer behind the first bytes is read the same, cut as those say."""
    answer, source = _to_answer(data[_SEED_BYTES:]), random.Random(data[:_SEED_BYTES])
    cuts = sorted(source.randrange(len(answer) + 1) for _ in range(source.randrange(1, 8)))
    whole = read_cut(answer, [])
    assert read_cut(answer, cuts) == whole
    if len(answer) < 200:
        assert read_cut(answer, range(1, len(answer))) == whole


def _to_answer(data: bytes) -> bytes:
    """The bytes themselves; or, where they begin with an odd one, tokens that they number."""
    if not data or data[0] % 2 == 0:
        return data
    pieces = (TOKENS[one] if one < len(TOKENS) else bytes([one]) for one in data[1:_MOST_TOKENS])
    return b"".join(pieces)


def check_picture(data: bytes) -> None:
    """It is a picture of a sane size, or none."""
    try:
        facts = inspect_picture(io.BytesIO(data))
    except NotAPicture:
        return
    assert 1 <= facts.width_px * facts.height_px <= MAX_PIXELS


def check_headers(data: bytes) -> None:
    """Each line as the value of a header is read, or taken for none."""
    lines = data.split(b"\n")
    trace = read_trace([(b"traceparent", lines[0]), *((b"tracestate", one) for one in lines[1:])])
    if trace is not None:
        "".join(trace.to_headers().values()).encode("ascii")
    texts = [line.decode("latin-1") for line in lines] + [data.decode("utf-8", "replace")]
    for text in texts:
        seconds = read_duration(text)
        assert seconds is None or math.isfinite(seconds)
        with contextlib.suppress(ValueError):
            parse_cursor(text)
    answer = Answer(status=429, headers=dict(zip(_NAMES, texts, strict=False)))
    wait_s = find_retry_after(answer, {}, texts[-1], now_s=1e9)
    assert wait_s is None or 0 <= wait_s < math.inf


CHECKS: Mapping[str, Callable[[bytes], None]] = {
    "lift": check_lift,
    "pictures": check_picture,
    "headers": check_headers,
}
_JPEG = (
    b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    b"\xff\xc0\0\x0b\x08\0\x1e\0\x28\1\1\x11\0\xff\xd9"
)
_WEBP = tuple(
    b"RIFF\x2a\0\0\0WEBP" + kind + b"\x0a\0\0\0" + b"\x2f\x9d\1\x2a\0\x1e\0\x28\0\0" * 3
    for kind in (b"VP8 ", b"VP8L", b"VP8X")
)
SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "lift": (
        *(b"seed" + one for one in (*TOKENS, b"".join(TOKENS))),
        *(b"seed\1" + bytes([26, one, 42, 0]) for one in range(len(TOKENS))),
        *(b"seed\1" + bytes([22, 42, one, 10]) for one in range(len(TOKENS))),
    ),
    "pictures": (PNG, _JPEG, *_WEBP),
    "headers": (
        b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01\nk=v,k@v=w",
        b"120\n47.4s\n1m2s\nFri, 31 Dec 1999 23:59:59 GMT\ntry again in 5s",
        b"1764000000.5_b\n1e999\n9999h",
    ),
}


def main() -> None:
    """Fuzz; the exit status says whether all went well."""
    name, seconds, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3]) / sys.argv[1]
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (folder / f"seed-{number}").write_bytes(seed)
    words = folder.with_suffix(".dict")
    lines = ("".join(f"\\x{byte:02x}" for byte in token) for token in TOKENS if len(token) < 100)
    words.write_text("".join(f'"{line}"\n' for line in lines), encoding="ascii")
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            f"-max_len={_LONGEST_BYTES}",
            f"-timeout={_MOST_S}",
            f"-dict={words}",
            f"-artifact_prefix={folder.parent}/{name}-",
            "-print_final_stats=1",
            "-verbosity=1",
            str(folder),
        ],
        CHECKS[name],
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
