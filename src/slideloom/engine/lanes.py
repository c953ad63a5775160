"""Who may call a provider next: one lane per provider and key, shared by all batches.

Plain decisions, no waiting: each method reads and changes the lane without an
`await` in between. (Concurrency that adapts to the upstream's load belongs here.)
"""

from slideloom.engine.retry import backoff_s
from slideloom.errors import ProviderError, RateLimited

_MIN_PAUSE_S = 0.1
"""A pause shorter than this would only be the same rejection again."""

_HINT_S = 0.5
"""A shorter Retry-After is no hint: the lane backs off as if there were none."""
_MAX_PAUSE_S = 900.0
"""A provider that says "tomorrow" is asked again after this: a rejection costs nothing."""


class Lane:
    """The way to one provider with one key; times are on the monotonic clock."""

    def __init__(self, *, backoff_base_s: float) -> None:
        self._backoff_base_s = backoff_base_s
        self._rejections = 0
        """In a row."""
        self._open_at_s = 0.0
        self.paused_by: ProviderError | None = None
        """The rejection that closed the lane last."""
        self._stopped_at_s = float("-inf")
        self._stopped_by: ProviderError | None = None

    def find_stop(self, *, since_s: float) -> ProviderError | None:
        """Why work taken at `since_s` must not call: its key was refused after that.

        Work taken after the stop asks anew: the operator may have mended the key.
        """
        return self._stopped_by if self._stopped_at_s > since_s else None

    def wait_s(self, now_s: float) -> float:
        """Seconds until the lane's pause is over; 0 when it is open."""
        return max(0.0, self._open_at_s - now_s)

    def succeeded(self) -> None:
        """A call gave a picture."""
        self._rejections = 0

    def failed(self, error: ProviderError, *, now_s: float, jitter: float) -> None:
        """A call gave none: a refused key stops the lane, a rejection pauses it."""
        if error.stops_lane:
            self._stopped_by, self._stopped_at_s = error, now_s
        elif isinstance(error, RateLimited):
            if now_s >= self._open_at_s:  # a burst of rejections counts once
                self._rejections += 1
            pause_s = error.retry_after_s
            if pause_s is None or pause_s < _HINT_S:
                own_s = backoff_s(self._rejections, self._backoff_base_s, jitter)
                pause_s = max(own_s, pause_s or 0.0)
            pause_s = min(max(pause_s, _MIN_PAUSE_S), _MAX_PAUSE_S)
            if now_s + pause_s > self._open_at_s:
                self._open_at_s, self.paused_by = now_s + pause_s, error
