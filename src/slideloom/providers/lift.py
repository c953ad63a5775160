"""Pictures lifted out of a JSON answer while it comes in.

An answer of 30 MB is one short JSON document around a very long base64
string. `Lift` takes the bytes as they come, in pieces of any size, hands out
the string's decoded bytes at once, and keeps only what is left: the skeleton,
in which `lifted:0`, `lifted:1` … stand where the pictures were. Event streams
need nothing more: their framing stays in the skeleton. Nothing here awaits.

Where a picture may be (source: provider contracts, sections 1.2, 1.3 and 3.3):
`"b64_json": "…"`, a data URL in a string of its own or inside prose, `"data":
"…"` of an inline part, and `"url": "…"` holding bare base64.
"""

import re
from enum import Enum, auto

from msgspec import Struct

from slideloom.providers.decoder import Base64Decoder, unescape

PLACEHOLDER = b"lifted:%d"
"""Stands in the skeleton, with the picture's number, where its base64 was."""
SKELETON_BYTES = 1024 * 1024
"""How much of the rest is kept: more is a flood, not an answer."""
MOST_PICTURES = 100
"""Previews and thoughts among them; what looks like more of them is kept as text."""
_HEAD_BYTES = 96
"""How far a string is looked at before it is taken for a picture, unless it ends before."""

_MARKER = re.compile(rb'"(b64_json|data|url)"[ \t\r\n]{0,1000}:[ \t\r\n]{0,1000}"|(;(?i:base64),)')
_MARKER_WORDS = (b'"b64_json"', b'"data"', b'"url"', b";base64,", b";BASE64,")
"""One of them is in every marker: much faster to look for than the marker."""
_HALF_MARKER = re.compile(
    rb'"(?:[a-z0-9_]{0,8}|(?:b64_json|data|url)"[ \t\r\n]{0,1000}(?::[ \t\r\n]{0,1000})?)'
    rb"|;(?i:b(?:a(?:s(?:e(?:64?)?)?)?)?)?"
)
_OWN_STRING = re.compile(rb'(?<!\\)"(?i:data):[^"\s]{0,200},')
_INLINE_IMAGE = re.compile(
    rb'"(?:mime_?[tT]ype|media_type)"\s*:\s*"image\\?/[^"]{0,40}"\s*,\s*"data"\s*:\s*"\Z'
)
_CONTEXT_BYTES = 256
"""How much of what came before a marker is looked at."""
_INLINE_PART = re.compile(rb'"inline_?[dD]ata"\s*:\s*\{[^{}]*"data"\s*:\s*"\Z')
_THOUGHT = re.compile(rb'"thought"\s*:\s*true')
_SCHEME = re.compile(rb"[a-zA-Z]{1,10}:")
_PICTURE_HEAD = re.compile(
    rb"(?:iVBORw0KGg|(?:\\?/|\\u002[fF])9j(?:\\?/|\\u002[fF])|UklGR|R0lGOD)(?:[A-Za-z0-9+/_-]|\\[/nru]){30}"
)
"""How PNG, JPEG, WebP and GIF begin in base64, and go on."""
_PROSE_RUN = re.compile(rb"(?:[A-Za-z0-9+/_-]+|\\/|\\u002[bBfF])*")
_HALF_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_QUOTE = b'"'
_PADDING = b"="
_BLANKS = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_STREAM_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""First bytes of an event stream, whatever its Content-Type says."""


class PictureStart(Struct, frozen=True):
    """A picture begins; what came of an earlier one is outdated."""

    index: int
    is_draft: bool
    """A preview in an event stream, or a thought known as one: not the picture asked for."""
    may_be_thought: bool = False
    """It is in an inline part of Gemini's, whose mark as a thought may follow it."""


class PictureEnd(Struct, frozen=True):
    """The picture has come to its end."""

    index: int
    is_whole: bool
    """Whether all of it was base64."""


LiftEvent = PictureStart | PictureEnd | bytes
"""`bytes` are the next bytes of the picture begun last."""


class _Mode(Enum):
    TEXT = auto()
    HEAD = auto()
    """At the first bytes of what may be a picture."""
    STRING = auto()
    """In a picture that fills a JSON string."""
    PROSE = auto()
    """In a picture inside a longer text: it ends where base64 ends."""


class Lift:
    """One answer on its way in."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self.picture_count = 0
        self._mode = _Mode.TEXT
        self._skeleton = bytearray()
        self._held = b""
        """Bytes that only what follows can explain: half a marker, half an escape."""
        self._marker = b""
        self._base64 = Base64Decoder()
        self._is_announced = False
        self._events: list[LiftEvent] = []

    def feed(self, chunk: bytes) -> list[LiftEvent]:
        """Take the next bytes of the answer; whatever of pictures is in them."""
        if not self._skeleton and not self._held:
            chunk = chunk.lstrip(_BLANKS)
        if self._held:
            chunk = self._held + chunk
            self._held = b""
        position = 0
        while position < len(chunk):
            match self._mode:
                case _Mode.TEXT:
                    position = self._scan(chunk, position)
                case _Mode.HEAD:
                    position = self._weigh(chunk, position)
                case _Mode.STRING:
                    position = self._take_string(chunk, position)
                case _Mode.PROSE:
                    position = self._take_prose(chunk, position)
        events, self._events = self._events, []
        return events

    def skim(self, buffer: bytearray, size: int) -> list[bytes] | None:
        """`feed`, without a copy, for bytes that are a picture's middle and nothing else.

        Else `None`, and nothing is taken.
        """
        is_middle = self._mode is _Mode.STRING and self._is_announced and not self._held
        if not is_middle or buffer.find(_QUOTE, 0, size) >= 0:
            return None
        return self._base64.decode(memoryview(buffer)[:size])

    def find_mark(self, index: int) -> bool | None:
        """Whether that picture is marked as a thought; `None` while its part has not ended.

        Source: Gemini's inline parts; nothing else in them has braces (F29).
        """
        at = self._skeleton.rfind(PLACEHOLDER % index + _QUOTE)
        inner = self._skeleton.find(b"}", at)
        end = self._skeleton.find(b"}", inner + 1)
        if at < 0 or inner < 0 or end < 0:
            return None
        return _THOUGHT.search(self._skeleton, self._find_part(at), end) is not None

    def finish(self) -> bytes:
        """Everything but the pictures, once the last byte is in."""
        if not self.is_in_picture:
            self._keep(self._held)
        self._held = b""
        return bytes(self._skeleton).removeprefix(_BOM).strip(_BLANKS)

    @property
    def is_in_picture(self) -> bool:
        """Whether a picture has begun and not ended."""
        return self._mode in {_Mode.STRING, _Mode.PROSE}

    @property
    def is_stream(self) -> bool:
        """Whether the answer looks like an event stream, whatever its Content-Type says."""
        return self._skeleton[:16].removeprefix(_BOM).lstrip(_BLANKS).startswith(_STREAM_STARTS)

    @property
    def is_idle(self) -> bool:
        """Whether nothing has begun that must go on: blanks, comments, between two events."""
        if self._mode is not _Mode.TEXT or self._held:
            return False
        if not self.is_stream:
            return not self._skeleton
        line = self._skeleton[self._skeleton.rfind(b"\n") + 1 :].strip(_BLANKS)
        return not line or line.startswith(b":")

    @property
    def is_done(self) -> bool:
        """Whether an event stream has said that nothing follows."""
        return self._mode is _Mode.TEXT and bytes(self._skeleton[-40:]).rstrip(_BLANKS).endswith(
            b"[DONE]"
        )

    def _keep(self, text: bytes) -> None:
        self._skeleton += text[: SKELETON_BYTES - len(self._skeleton)]

    def _scan(self, chunk: bytes, position: int) -> int:
        """Keep text, up to where a picture may begin."""
        if self.picture_count >= MOST_PICTURES:
            self._keep(chunk[position:])
            return len(chunk)
        # Once for each chunk: a hostile one could be all markers.
        is_likely = position > 0 or any(word in chunk for word in _MARKER_WORDS)
        marker = _MARKER.search(chunk, position) if is_likely else None
        if marker is None:
            cut = _find_half_marker(chunk, position)
            self._keep(chunk[position:cut])
            self._held = chunk[cut:]
            return len(chunk)
        self._keep(chunk[position : marker.end()])
        self._marker = marker[1] or marker[2]
        self._mode = _Mode.HEAD
        return marker.end()

    def _weigh(self, chunk: bytes, position: int) -> int:
        """Decide by its first bytes whether this is a picture."""
        self._base64 = Base64Decoder()
        self._is_announced = False
        end = position + _HEAD_BYTES
        if end > len(chunk) and chunk.find(_QUOTE, position) < 0:
            self._held = chunk[position:]
            return len(chunk)
        self._mode = self._tell_mode(chunk, position)
        return position

    def _tell_mode(self, chunk: bytes, position: int) -> _Mode:
        tail = self._skeleton[-_CONTEXT_BYTES:]
        looks_so = _PICTURE_HEAD.match(chunk, position) is not None
        match self._marker:
            case b"b64_json":
                is_picture = _SCHEME.match(chunk, position) is None
            case b"url":
                is_picture = looks_so
            case b"data":
                # Others of that name hold no pictures, though base64: encrypted reasoning, for one.
                is_picture = looks_so or _INLINE_IMAGE.search(tail) is not None
            case _ if _OWN_STRING.fullmatch(tail, max(0, tail.rfind(_QUOTE))):
                is_picture = True
            case _:
                return _Mode.PROSE if looks_so else _Mode.TEXT
        return _Mode.STRING if is_picture else _Mode.TEXT

    def _take_string(self, chunk: bytes, position: int) -> int:
        """Decode up to the closing quote."""
        quote = chunk.find(_QUOTE, position)
        end = len(chunk) if quote < 0 else quote
        pieces = self._base64.decode(memoryview(chunk)[position:end])
        if pieces is None:
            raw = chunk[position:end]
            if quote < 0 and (half := _HALF_ESCAPE.search(raw, max(0, len(raw) - 5))):
                self._held = half[0]
                raw = raw[: half.start()]
            pieces = self._base64.decode_plain(unescape(raw))
        self._hand_out(pieces)
        if quote >= 0:
            self._end(is_certain=True)
        return end

    def _take_prose(self, chunk: bytes, position: int) -> int:
        """Decode up to the first byte that is not base64."""
        quote = chunk.find(_QUOTE, position)
        end = len(chunk) if quote < 0 else quote
        pieces = self._base64.decode(memoryview(chunk)[position:end])
        if pieces is not None:
            self._hand_out(pieces)
            if quote >= 0:
                self._end(is_certain=False)
            return end
        run = None if self._base64.is_padding else _PROSE_RUN.match(chunk, position, end)
        stop = run.end() if run else position
        self._hand_out(self._base64.decode_plain(unescape(chunk[position:stop])))
        while self._base64.wants_padding and chunk.startswith(_PADDING, stop):
            self._hand_out(self._base64.decode_plain(_PADDING))
            stop += 1
        if quote < 0 and (stop == len(chunk) or _HALF_ESCAPE.fullmatch(chunk, stop)):
            self._held = chunk[stop:]
            return len(chunk)
        self._end(is_certain=False)
        return stop

    def _hand_out(self, pieces: list[bytes]) -> None:
        if pieces and not self._is_announced:
            self._announce()
        self._events += pieces

    def _announce(self) -> None:
        self._is_announced = True
        is_part = _INLINE_PART.search(self._skeleton[-_CONTEXT_BYTES:]) is not None
        is_thought = is_part and self._is_marked()
        self._events.append(
            PictureStart(self.picture_count, is_thought or self._is_draft(), is_part)
        )
        self._keep(PLACEHOLDER % self.picture_count)
        self.picture_count += 1

    def _find_part(self, end: int) -> int:
        """Where the inline part begins that is open at `end`."""
        return max(0, self._skeleton.rfind(b"{", 0, max(0, self._skeleton.rfind(b"{", 0, end))))

    def _is_marked(self) -> bool:
        """Whether the part just begun has said already that it is a thought."""
        return _THOUGHT.search(self._skeleton, self._find_part(len(self._skeleton))) is not None

    def _is_draft(self) -> bool:
        if not self.is_stream:
            return False
        event = max(self._skeleton.rfind(b"\n\n"), self._skeleton.rfind(b"\r\n\r\n"), 0)
        return self._skeleton.find(b"partial_image", event) >= 0

    def _end(self, *, is_certain: bool) -> None:
        """Go back to text; a broken string counts as a picture if it was meant to be one."""
        self._hand_out(self._base64.finish())
        if self._base64.is_broken and is_certain and not self._is_announced:
            self._announce()
        if self._is_announced:
            self._events.append(PictureEnd(self.picture_count - 1, not self._base64.is_broken))
        self._mode = _Mode.TEXT


def _find_half_marker(chunk: bytes, position: int) -> int:
    """Where the beginning of a marker may stand at the end of `chunk`; its length when nowhere."""
    last = chunk.rfind(_QUOTE, position)
    before = chunk.rfind(_QUOTE, position, max(last, position))
    for start in (before, last, chunk.rfind(b";", position)):
        if start >= 0 and _HALF_MARKER.fullmatch(chunk, start):
            return start
    return len(chunk)
