"""What is counted for operators, in Prometheus' words. Source: reliability findings, section 6.

No id, title or other text of a user's is ever a label. `model` is one of those the
operator set, or `other`: users may name any.
"""

import asyncio
from collections.abc import Callable, Collection

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)

from slideloom.clock import monotonic_s
from slideloom.errors import SettingsError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.5, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180)
"""Bounds for an image's time: models take 5 to 60 s."""
_LAG_EVERY_S = 0.5
_LAGS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


class Metrics:
    """One service's counters."""

    def __init__(self, *, models: Collection[str] = ()) -> None:
        """`models` may stand in labels."""
        self._models = frozenset(models)
        self.registry = CollectorRegistry()
        self._slides = Counter(
            "slides_generated",
            "Slides that ended, by how: done, cached, or an error code.",
            ("provider", "model", "outcome"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "slide_generation_duration_seconds",
            "From a slide's first call to its picture.",
            ("provider", "model"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._calls = Counter(
            "slide_upstream_requests",
            "Calls to the provider, by how they ended: ok, or an error code.",
            ("code",),
            registry=self.registry,
        )
        self._cost = Counter(
            "slide_cost_usd", "What the calls cost, as far as it is known.", registry=self.registry
        )
        self._lag = Histogram(
            "event_loop_lag_seconds",
            "How late the event loop comes to what is due.",
            buckets=_LAGS,
            registry=self.registry,
        )
        self._tasks = Gauge(
            "asyncio_tasks",
            "Tasks of the event loop, as it came by last.",
            registry=self.registry,
        )

    def count_active(self, count: Callable[[], float]) -> None:
        """Have `count` asked for the batches that have not ended."""
        gauge = Gauge("batches_active", "Batches that have not ended.", registry=self.registry)
        gauge.set_function(count)

    def note_slide(
        self, *, provider: str | None, model: str | None, outcome: str, seconds: float | None
    ) -> None:
        """A slide ended; `seconds` where it is a picture made now."""
        labels = (provider or "none", self._label(model))
        self._slides.labels(*labels, outcome).inc()
        if seconds is not None:
            self._seconds.labels(*labels).observe(seconds)

    def note_call(self, code: str, cost_usd: float | None) -> None:
        """A call to the provider ended: `ok`, or an error code."""
        self._calls.labels(code).inc()
        if cost_usd is not None:
            self._cost.inc(cost_usd)

    async def watch_loop(self) -> None:
        """Measure the running loop's lag, and count its tasks, without end."""
        while True:
            self._tasks.set(len(asyncio.all_tasks()))
            due_s = monotonic_s() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self._lag.observe(max(0.0, monotonic_s() - due_s))

    def serve(self, host: str, port: int) -> None:
        """Show them on a port of their own, from a thread, until the process ends.

        Raises:
            SettingsError: the port is not to be had.
        """
        try:
            start_http_server(port, host, self.registry)
        except OSError as error:
            message = f"cannot show metrics on {host}:{port}: {error.strerror or error}"
            raise SettingsError(message) from error

    def render(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)

    def _label(self, model: str | None) -> str:
        if model is None:
            return "none"
        return model if model in self._models else "other"
