"""Traces by OpenTelemetry: made when an exporter is configured, and otherwise nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter


@contextmanager
def tracing(service: str, endpoint: str, exporter: SpanExporter | None = None) -> Iterator[trace.Tracer | None]:
    """A tracer that exports to `endpoint` (OTLP over gRPC) while open; None when the endpoint is empty.

    Another `exporter` takes the endpoint's place (tests). Spans not yet sent are sent at the end.
    """
    if exporter is None and not endpoint:
        yield None
        return
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    target = exporter or OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://"), timeout=2)
    provider.add_span_processor(BatchSpanProcessor(target))
    try:
        yield provider.get_tracer("alphapulse.runtime")
    finally:
        provider.shutdown()
