"""The extra `slideloom[otel]`: spans in OpenTelemetry's words, and no cost without it."""

import asyncio
import gzip
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from slideloom.assembly.rules import open_tracer
from slideloom.errors import ContentBlocked, UpstreamDown
from slideloom.otel import OtelTracer
from slideloom.tracing import Tracer
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What every service in the test exports."""
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(
        "slideloom.assembly.services.open_tracer",
        lambda _: (OtelTracer(SimpleSpanProcessor(exporter)), ()),
    )
    return exporter


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> ScriptedProvider:
    """Makes the pictures of every service in the test, at once."""
    made = ScriptedProvider(seconds=0.0)
    monkeypatch.setattr("slideloom.assembly.lanes.open_providers", lambda _: [made])
    return made


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def outline(spans: Sequence[ReadableSpan]) -> dict[str, list[str]]:
    """The names of the spans below each name, in the order they ended."""
    names = {span.context.span_id: span.name for span in spans}
    below: dict[str, list[str]] = {}
    for span in spans:
        parent = span.parent
        above = "" if parent is None else names.get(parent.span_id, f"{parent.span_id:016x}")
        below.setdefault(above, []).append(span.name)
    return below


async def make(service: Running, **headers: str) -> dict[str, Any]:
    """A deck of two slides, made one after the other."""
    body = deck(2, max_workers=1)
    _, answer, _ = await service.post("/slide/batch/generate", body, headers=headers)
    await asyncio.sleep(0.05)  # the request's own span ends after its answer
    result: dict[str, Any] = answer
    return result


async def test_request_batch_slides_and_attempts_are_spans(
    spans: InMemorySpanExporter, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider._script = iter([UpstreamDown(retry_after_s=0.01), None, ContentBlocked()])  # type: ignore[list-item]
    async with running_service(tmp_path) as service:
        answer = await make(service, traceparent=f"00-{TRACE_ID}-{PARENT_ID}-01", tracestate="a=1")
        await service.get("/healthz")
        told = spans.get_finished_spans()
    post, call = "POST /api/slide/batch/generate", "generate_content scripted-1"
    assert outline(told) == {
        PARENT_ID: [post],
        post: ["batch"],
        "batch": ["slide", "slide"],
        "slide": [call] * 3,
    }
    assert {f"{span.context.trace_id:032x}" for span in told} == {TRACE_ID}
    assert {span.context.trace_state.to_header() for span in told} == {"a=1"}
    (request,) = (span for span in told if span.name == post)
    assert request.kind is SpanKind.SERVER
    assert facts(request)["http.request.method"] == "POST"
    assert facts(request)["http.route"] == "/api/slide/batch/generate"
    assert facts(request)["http.response.status_code"] == 200
    (batch,) = (span for span in told if span.name == "batch")
    assert facts(batch)["slideloom.batch.id"] == answer["batch_id"]
    assert (facts(batch)["slideloom.batch.slides"], batch.kind) == (2, SpanKind.INTERNAL)
    assert facts(batch)["slideloom.batch.status"] == "completed"
    slides = {facts(span).get("error.type"): span for span in told if span.name == "slide"}
    assert slides.keys() == {None, "content_blocked"}
    assert slides[None].status.status_code is StatusCode.UNSET
    assert slides["content_blocked"].status.status_code is StatusCode.ERROR
    calls = [span for span in told if span.name == call]
    assert {span.kind for span in calls} == {SpanKind.CLIENT}
    ends = {facts(span).get("error.type"): facts(span) for span in calls}
    assert ends.keys() == {"upstream_unavailable", None, "content_blocked"}
    assert ends[None] == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.output.type": "image",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "scripted-1",
        "gen_ai.response.model": "scripted-1",
        "slideloom.attempt": ends[None]["slideloom.attempt"],
        "slideloom.provider.request_id": "r-1",
        "slideloom.cost_usd": 0.04,
    }


async def test_trace_that_its_sender_does_not_sample_is_not_exported(
    spans: InMemorySpanExporter, provider: ScriptedProvider, tmp_path: Path
) -> None:
    del provider
    async with running_service(tmp_path) as service:
        await make(service, traceparent=f"00-{TRACE_ID}-{PARENT_ID}-00")
        assert spans.get_finished_spans() == ()


async def test_service_is_named_unless_the_operator_names_it(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for named, told in (("", "slideloom"), ("decks", "decks")):
        monkeypatch.setenv("OTEL_SERVICE_NAME", named)
        OtelTracer(SimpleSpanProcessor(spans)).begin("batch", None).end()
        assert spans.get_finished_spans()[-1].resource.attributes["service.name"] == told


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Where a collector listens, and what it was sent: path and body."""
    seen: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_packed = self.headers.get("Content-Encoding") == "gzip"
            seen.append((self.path, gzip.decompress(body) if is_packed else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()
        thread.join()


async def test_spans_arrive_where_the_environment_says_at_the_latest_at_the_stop(
    collector: tuple[str, list[tuple[str, bytes]]],
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    del provider
    url, seen = collector
    monkeypatch.setenv(ENDPOINT, url)
    async with running_service(tmp_path) as service:
        await make(service)
        assert service.services.warnings == ()
    assert {path for path, _ in seen} == {"/v1/traces"}
    names = [
        span.name
        for _, body in seen
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert sorted(set(names)) == [
        "POST /api/slide/batch/generate",
        "batch",
        "generate_content scripted-1",
        "slide",
    ]


async def test_collector_that_does_not_answer_holds_no_stop_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/traces"
        exporter = OTLPSpanExporter(url, timeout=1.0)
        tracer = OtelTracer(BatchSpanProcessor(exporter), last_s=0.05)
        tracer.begin("batch", None).end()
        began_s = time.monotonic()
        await tracer.close()
        assert time.monotonic() - began_s < 0.9


async def test_missing_extra_is_said_once_and_the_service_works(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del provider
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.delitem(sys.modules, "slideloom.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    async with running_service(tmp_path) as service:
        (warning,) = service.services.warnings
        assert (await make(service))["successful"] == 2
    assert warning.startswith(f"{ENDPOINT} is set, but opentelemetry")
    assert warning.endswith("install slideloom[otel].")


@pytest.mark.parametrize(
    "environ", [{}, {ENDPOINT: ""}, {ENDPOINT: "http://x", "OTEL_SDK_DISABLED": "True"}]
)
def test_nothing_is_exported_unless_that_is_asked_for(environ: dict[str, str]) -> None:
    tracer, doubts = open_tracer(environ)
    assert (type(tracer), doubts) == (Tracer, ())


@pytest.mark.slow
def test_nothing_is_imported_unless_that_is_asked_for() -> None:
    code = (
        "import os, sys, slideloom.cli, slideloom.app, slideloom.assembly.rules as parts;"
        "parts.open_tracer(os.environ);"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == 0
