r"""Base64 as providers really write it, decoded in pieces.

Plain base64 goes through SIMD code untouched; only a piece that it refuses is
looked at again for what JSON and MIME may do to it: `\/`, `\u002b`, `\n`,
blanks, the URL-safe alphabet, missing padding (source: provider contracts, F14).
"""

import re
from binascii import Error as NotBase64
from binascii import a2b_base64

import pybase64

_PLAIN_REST = re.compile(rb"[A-Za-z0-9+/]{0,3}|[A-Za-z0-9+/]{2}=")
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|(.)|\Z)", re.DOTALL)
_SHORT_ESCAPES = {b"/": b"/", b"n": b"", b"r": b"", b"t": b""}
_NOT_BASE64 = b"?"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BLANKS = b" \t\r\n"
_QUAD = 4


class Base64Decoder:
    """One base64 string on its way in."""

    def __init__(self) -> None:
        """Begin before the first character."""
        self.is_broken = False
        """It is not base64; nothing more is decoded."""
        self.is_padded = False
        """Its padding has come: nothing may follow."""
        self._carry = b""

    @property
    def is_padding(self) -> bool:
        """Whether its padding has begun: no more than the rest of it may follow."""
        return self.is_padded or self._carry.endswith(b"=")

    @property
    def wants_padding(self) -> bool:
        """Whether the next character may be `=`."""
        return len(self._carry) >= 2  # noqa: PLR2004 - one or two of four are missing

    def decode(self, run: memoryview) -> list[bytes] | None:
        """The next bytes, or `None`, and nothing taken, when `run` is not plain base64."""
        if self.is_broken:
            return []
        if self.is_padded and run:
            return None
        lead = min(-len(self._carry) % _QUAD, len(run))
        head = self._carry + bytes(run[:lead])
        if len(head) % _QUAD:
            return self._extend(head)
        cut = len(run) - (len(run) - lead) % _QUAD
        rest = bytes(run[cut:])
        try:
            # pybase64 lets go of the interpreter lock: too dear for a single group of four.
            pieces = [a2b_base64(head, strict_mode=True)] if head else []
            if cut > lead:
                pieces.append(pybase64.b64decode(run[lead:cut], validate=True))
        except NotBase64:
            return None
        is_padded = head.endswith(b"=") or bytes(run[lead:cut][-1:]) == b"="
        if (
            not _PLAIN_REST.fullmatch(rest)
            or (head.endswith(b"=") and lead < len(run))
            or (is_padded and rest)
        ):
            return None
        self.is_padded = is_padded
        self._carry = rest
        return pieces

    def decode_plain(self, text: bytes) -> list[bytes]:
        """The next bytes of `text`, from which everything but base64 was removed."""
        if self.is_broken or not text:
            return []
        text = self._carry + text
        cut = len(text) - len(text) % _QUAD
        try:
            piece = pybase64.b64decode(text[:cut], validate=True)
        except NotBase64:
            self.is_broken = True
            return []
        has_padding = text[:cut].endswith(b"=")
        self._carry = text[cut:]
        self.is_broken = self.is_padded or (has_padding and bool(self._carry))
        self.is_padded |= has_padding
        return [piece] if piece and not self.is_broken else []

    def finish(self) -> list[bytes]:
        """The last bytes, at the end of the string; padding may be missing."""
        rest = self._carry.rstrip(b"=")
        self._carry = b""
        if self.is_broken or not rest:
            return []
        try:
            return [pybase64.b64decode(rest + b"=" * (-len(rest) % _QUAD), validate=True)]
        except NotBase64:
            self.is_broken = True
            return []

    def _extend(self, head: bytes) -> list[bytes] | None:
        """Take too few characters for a byte."""
        if not _PLAIN_REST.fullmatch(head):
            return None
        self._carry = head
        return []


def unescape(text: bytes) -> bytes:
    """The base64 that a piece of a JSON string means: standard alphabet, no blanks."""
    if b"\\" not in text:
        return text.translate(_URL_SAFE, _BLANKS)
    if text.count(b"\\") == text.count(b"\\/"):
        # PHP escapes every slash, and nothing else: worth a fast way.
        return text.translate(_URL_SAFE, b"\\" + _BLANKS)
    return _ESCAPE.sub(_unescape_one, text).translate(_URL_SAFE, _BLANKS)


def _unescape_one(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        code = int(escape[1], 16)
        return bytes([code]) if code < 0x80 else _NOT_BASE64  # noqa: PLR2004 - beyond ASCII
    return _SHORT_ESCAPES.get(escape[2], _NOT_BASE64)
