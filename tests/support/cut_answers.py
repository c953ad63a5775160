"""Answers as `Lift` reads them, cut into pieces: what must be the same wherever the cuts are."""

import base64
import re
from collections.abc import Iterable

from slideloom.providers.lift import SKELETON_BYTES, Lift, PictureEnd, PictureStart

PNG = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x28\0\0\0\x1e\x08\2\0\0\0\0\0\0\0"
    + bytes(range(0, 256, 5)) * 2
    + b"\0\0\0\0IEND\xaeB`\x82"
)
_BASE64 = base64.b64encode(PNG)
TOKENS = (
    *(
        b'"',
        b"\\",
        b"\\/",
        b"\\n",
        b"\\u002f",
        b"\\u00",
        b"\\u",
        b"/",
        b"+",
        b"-",
        b"=",
        b"==",
        b" ",
    ),
    *(b"\n", b"{", b"}", b"[", b",", b":", b'"b64_json"', b'"data"', b'"url"', b";base64,", b";b"),
    *(
        b";BASE64,",
        b'"data:image/png;base64,',
        b'"b64_json":"',
        b'"url" : "',
        b'"data":"',
        b"data: ",
    ),
    *(
        b'{"inlineData":{"mimeType":"image/png","data":"',
        b'"thought":true',
        b"partial_image",
        b"\n\n",
    ),
    *(
        b"\xff",
        b"\0",
        b"\xef\xbb\xbf",
        b" " * 1001,
        b"data: [DONE]",
        b"iVBORw0KGg",
        b"\\/9j\\/",
        b"UklGR",
    ),
    *(_BASE64, _BASE64[:5], _BASE64[:41], _BASE64[7:90], _BASE64.replace(b"/", b"\\/"), b"A" * 95),
    *(b"A" * 97, b"R0lGOD"),
)
"""What such answers are made of."""

Read = tuple[list[tuple[bool, bool, bytes]], bytes, bool]
"""Each picture that ended (whole, draft, its bytes), the skeleton, and whether one did not end."""


def read_cut(data: bytes, cuts: Iterable[int]) -> Read:
    """What the answer is, read in pieces that begin at `cuts`, which go up.

    Raises:
        AssertionError: more is kept of it than should be.
    """
    lifter = Lift()
    found: list[tuple[bool, bool, bytes]] = []
    is_draft, raw, start = False, b"", 0
    for end in (*cuts, len(data)):
        for event in lifter.feed(data[start:end]):
            match event:
                case PictureStart():
                    is_draft, raw = event.is_draft, b""
                case PictureEnd(is_whole=is_whole):
                    # What a broken picture has of bytes is nobody's business.
                    found.append((is_whole, is_draft, raw if is_whole else b""))
                case bytes(piece):
                    raw += piece
        assert len(lifter._held) < 4096
        assert len(lifter._skeleton) <= SKELETON_BYTES
        start = end
    skeleton = lifter.finish()
    if lifter.is_in_picture:  # with or without its name, as far as anything came of it
        skeleton = re.sub(rb"lifted:[0-9]+\Z", b"", skeleton)
    return found, skeleton, lifter.is_in_picture
