"""Spans for OpenTelemetry: the extra `slideloom[otel]`, imported only where it is asked for.

Names as the HTTP conventions and those for generative AI have them; the latter are
still developing, so all of them stand in one table. No span has prompts or texts.
Source: opentelemetry.io/docs/specs/semconv, http-spans and gen-ai-spans (Development).
"""

import asyncio
import threading
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Span as ApiSpan

from slideloom.tracing import Fact, Kind, Span, Trace, Tracer

_LAST_S = 3.0
"""A stop waits so long for a collector; one that is there takes milliseconds."""
_NAMES: Mapping[Kind, str] = {
    "request": "{method}",
    "resume": "batch resume",
    "batch": "batch",
    "slide": "slide",
    "attempt": "generate_content {model}",
}
_KINDS: Mapping[Kind, SpanKind] = {"request": SpanKind.SERVER, "attempt": SpanKind.CLIENT}
_CONSTANTS: Mapping[Kind, Mapping[str, str]] = {
    "attempt": {"gen_ai.operation.name": "generate_content", "gen_ai.output.type": "image"},
}
_ATTRIBUTES = {
    "error_code": "error.type",
    # HTTP
    "method": "http.request.method",
    "scheme": "url.scheme",
    "path": "url.path",
    "route": "http.route",
    "status": "http.response.status_code",
    "http_status": "http.response.status_code",
    # Generative AI
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "served_model": "gen_ai.response.model",
    # Ours
    "request_id": "slideloom.request.id",
    "batch_id": "slideloom.batch.id",
    "session_id": "slideloom.session.id",
    "slide_count": "slideloom.batch.slides",
    "max_workers": "slideloom.batch.max_workers",
    "outcome": "slideloom.batch.status",
    "slide_id": "slideloom.slide.id",
    "cached": "slideloom.slide.cached",
    "attempt": "slideloom.attempt",
    "provider_request_id": "slideloom.provider.request_id",
    "cost_usd": "slideloom.cost_usd",
}
"""Our facts, in OpenTelemetry's words."""


class OtelSpan(Span):
    """A span that is exported once it has ended, unless its trace is not sampled."""

    def __init__(self, tracer: Tracer, trace: Trace, span: ApiSpan, *, method: Fact) -> None:
        super().__init__(tracer, trace)
        self._span = span
        self._method = method

    def note(self, **facts: Fact) -> None:
        """See `Span`."""
        self._span.set_attributes(_to_attributes(facts))
        if facts.get("error_code") is not None:
            self._span.set_status(StatusCode.ERROR)
        if facts.get("route"):
            self._span.update_name(f"{self._method} {facts['route']}")

    def end(self) -> None:
        """See `Span`."""
        self._span.end()


class OtelTracer(Tracer):
    """Begins spans that go to `processor`."""

    def __init__(self, processor: SpanProcessor, *, last_s: float = _LAST_S) -> None:
        """Give what is left at the stop `last_s` to be taken."""
        self._last_s = last_s
        named = Resource({"service.name": "slideloom"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(
            resource=Resource.create(named.attributes), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("slideloom")

    def begin(self, kind: Kind, parent: Trace | None, **facts: Fact) -> Span:
        """See `Tracer`."""
        span = self._tracer.start_span(
            _NAMES[kind].format_map(facts),
            context=_to_context(parent),
            kind=_KINDS.get(kind, SpanKind.INTERNAL),
            attributes={**_CONSTANTS.get(kind, {}), **_to_attributes(facts)},
        )
        told = span.get_span_context()
        trace = Trace(
            trace_id=f"{told.trace_id:032x}",
            span_id=f"{told.span_id:016x}",
            flags=told.trace_flags,
            state="" if parent is None else parent.state,
        )
        return OtelSpan(self, trace, span, method=facts.get("method"))

    async def close(self) -> None:
        """See `Tracer`; what a collector does not take in time is lost."""
        # A daemon, for the SDK goes on for half a minute when nobody answers.
        last = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        last.start()
        await asyncio.to_thread(last.join, self._last_s)


def open_exporting() -> Tracer:
    """A tracer whose spans go where OpenTelemetry's variables say, by OTLP over HTTP."""
    return OtelTracer(BatchSpanProcessor(OTLPSpanExporter()))


def _to_context(parent: Trace | None) -> Context:
    if parent is None:
        return Context()
    there = SpanContext(
        trace_id=int(parent.trace_id, 16),
        span_id=int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags),
        trace_state=TraceState.from_header([parent.state] if parent.state else []),
    )
    return set_span_in_context(NonRecordingSpan(there), Context())


def _to_attributes(facts: Mapping[str, Fact]) -> dict[str, str | int | float | bool]:
    return {_ATTRIBUTES[name]: fact for name, fact in facts.items() if fact is not None}
