"""Odd framing and oversize: what no scenario names, but the policy or good sense does."""

import gzip
import struct
import zlib
from typing import Final

from tests.support.upstream.answers import LAST_CHUNK, chunk, render, render_head, size_of
from tests.support.upstream.envelopes import html_page
from tests.support.upstream.faults.base import ONCE, UNBILLED, Player, fine, lost
from tests.support.upstream.scripts import (
    Case,
    answer,
    build_skeleton,
    good_body,
    good_head,
    good_type,
    refuse,
    succeed,
)
from tests.support.upstream.steps import Pause, Pieces, Script, Send, Shut, Work

_BLOCK_BYTES: Final = 1024 * 1024
_HUGE_BLOCKS: Final = 96
"""MiB of base64, well over the 64 MB an answer may have."""


def _gzipped(case: Case) -> Script:
    body = gzip.compress(b"".join(good_body(case)), 1)
    headers = (("Content-Encoding", "gzip"),)
    head = render_head(200, media_type=good_type(case), length=len(body), headers=headers)
    return (Work(), Send((head, body)))


def _gzip_bomb(case: Case) -> Script:
    before, after = b"".join(render(build_skeleton(case), ((b"\0",),))).split(b"\0")
    body = _zip_repeated(before, b"A" * _BLOCK_BYTES, _HUGE_BLOCKS, after)
    headers = (("Content-Encoding", "gzip"),)
    return (Work(), Send((render_head(200, length=len(body), headers=headers), body)))


def _zip_repeated(before: bytes, block: bytes, count: int, after: bytes) -> bytes:
    """Gzip of the block many times over; a full flush makes its compressed bytes repeatable."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = deflate.compress(before) + deflate.flush(zlib.Z_FULL_FLUSH)
    middle = deflate.compress(block) + deflate.flush(zlib.Z_FULL_FLUSH)
    last = deflate.compress(after) + deflate.flush()
    check = zlib.crc32(before)
    for _ in range(count):
        check = zlib.crc32(block, check)
    length = len(before) + len(block) * count + len(after)
    trailer = struct.pack("<II", zlib.crc32(after, check), length & 0xFFFFFFFF)
    return b"\x1f\x8b\x08" + bytes(5) + b"\x02\xff" + first + middle * count + last + trailer


def _huge_body(case: Case) -> Pieces:
    """A picture that begins well and goes on for 96 MiB."""
    start, stamp, _ = case.picture()
    return render(build_skeleton(case), ((start, stamp, *(b"A" * _BLOCK_BYTES,) * _HUGE_BLOCKS),))


def _huge(case: Case) -> Script:
    body = _huge_body(case)
    return (Work(), Send((render_head(200, length=size_of(body)), *body)))


def _huge_chunked(case: Case) -> Script:
    head = render_head(200, chunked=True)
    return (Work(), Send((head, *chunk(_huge_body(case)), LAST_CHUNK)))


def _huge_error(case: Case) -> Script:
    del case
    block = b" " * _BLOCK_BYTES
    return (
        Work(),
        Send((render_head(502, length=_HUGE_BLOCKS * _BLOCK_BYTES), *(block,) * _HUGE_BLOCKS)),
    )


def _with_headers(*headers: tuple[str, str]) -> Player:
    return lambda case: answer(case, good_body(case), media_type=good_type(case), headers=headers)


def _cookies(case: Case) -> Script:
    count = int(case.number_argument(100))
    cookies = (("Set-Cookie", f"c{number}={'x' * 60}; Path=/; Secure") for number in range(count))
    return _with_headers(*cookies)(case)


def _http_1_0(case: Case) -> Script:
    head = good_head(case, close=True).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    return (Work(), Send((head, *good_body(case))), Shut())


def _early_hints(case: Case) -> Script:
    return (
        Send((b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",)),
        Pause(0.005),
        *succeed(case),
    )


FRAMING_FAULTS: Final = (
    fine("X_gzip", "gzip though identity was asked for", _gzipped),
    lost("X_gzip_bomb", "100 KB of gzip that become 96 MiB", _gzip_bomb, also=("invalid_image",)),
    lost(
        "X_huge",
        "96 MiB of base64, told by Content-Length",
        _huge,
        also=("invalid_image",),
    ),
    lost("X_huge_chunked", "96 MiB of base64, chunked", _huge_chunked, also=("invalid_image",)),
    lost("X_huge_error", "502 with 96 MiB of blanks", _huge_error, calls=UNBILLED, billed=False),
    fine(
        "X_bom",
        "a byte-order mark before the JSON",
        lambda case: answer(case, (b"\xef\xbb\xbf", *good_body(case)), media_type=good_type(case)),
    ),
    fine(
        "X_cookies",
        "many cookies",
        _cookies,
        argument="how many, default 100",
    ),
    lost(
        "X_headers_1000",
        "1,000 headers",
        _with_headers(*((f"X-Filler-{n}", "x" * 20) for n in range(1000))),
        may_succeed=True,
    ),
    lost(
        "X_long_header",
        "a header of 16 KiB",
        _with_headers(("X-Long", "x" * 16384)),
        may_succeed=True,
    ),
    fine(
        "X_text_plain",
        "JSON declared as text/plain",
        lambda case: answer(case, good_body(case), media_type="text/plain"),
    ),
    fine("X_http_1_0", "an HTTP/1.0 answer, closed at its end", _http_1_0),
    fine("X_early_hints", "103 before the answer", _early_hints),
    lost(
        "X_html_200",
        "200 with a proxy's HTML page",
        lambda _: (
            Work(),
            *refuse(200, html_page(200, "Just a moment..."), media_type="text/html; charset=UTF-8"),
        ),
        calls=UNBILLED,
        billed=False,
        also=("no_image",),
    ),
    lost(
        "X_not_http",
        "bytes that are no HTTP",
        lambda _: (Work(), Send((b"SSH-2.0-OpenSSH_9.2\r\n",)), Shut()),
        billed=False,
    ),
    lost(
        "X_redirect",
        "302 to the file host: the key must not follow",
        lambda case: refuse(
            302, b"", headers=(("Location", f"{case.files_base}/ok-{case.number}.png"),)
        ),
        wanted="bad_request",
        also=("upstream_unavailable",),
        calls=ONCE,
        billed=False,
    ),
)
