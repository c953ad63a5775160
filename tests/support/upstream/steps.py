"""What can happen on the wire: the steps an answer is made of."""

from msgspec import Struct

Pieces = tuple[bytes, ...]
"""Bytes in order, unjoined, so that big shared parts are never copied."""


class Send(Struct, frozen=True):
    """Write bytes."""

    pieces: Pieces
    segment_bytes: int = 0
    """Write that many at a time, one TCP segment each; 0 is all at once."""
    gap_s: float = 0.0
    """Pause between segments."""


class Work(Struct, frozen=True):
    """Make the image: takes the plan's latency; then the call is billed, if its kind ever is."""

    beat: bytes = b""
    """Sent meanwhile, to keep the connection alive."""
    every_s: float = 0.0


class Pause(Struct, frozen=True):
    """Do nothing for a while."""

    seconds: float


class Drip(Struct, frozen=True):
    """Send the same bytes again and again until the client goes away."""

    piece: bytes
    every_s: float


class Shut(Struct, frozen=True):
    """Close in order (FIN) after what was written."""


class Reset(Struct, frozen=True):
    """Cut the connection (RST)."""


class Hang(Struct, frozen=True):
    """Never do anything again; ends when the client goes away."""


Step = Send | Work | Pause | Drip | Shut | Reset | Hang
Script = tuple[Step, ...]
"""An answer, well-behaved or not; after its last step the connection is kept if still open."""
