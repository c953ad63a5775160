"""The two clocks: one for what people read, one for durations."""

import asyncio
import time
from datetime import UTC, datetime


def wall_s() -> float:
    """Seconds since 1970, for what people read and what outlives the process."""
    return time.time()


def monotonic_s() -> float:
    """Seconds on the running loop's clock, for durations: wall-clock jumps don't move it."""
    return asyncio.get_running_loop().time()


def to_iso(at_s: float) -> str:
    """`at_s` seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    return (
        datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
