"""A span for each RPC, a child of the caller's, when traces are made."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id, get_current_span

from alphapulse.domain.errors import NotFound
from alphapulse.runtime import serve_in_background

SERVICE = "alphapulse.test.v1.Scripted"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def test_an_rpc_is_a_span_under_the_callers(scripted: Any) -> None:
    inside: list[str] = []

    async def get(request: bytes, context: Any) -> bytes:
        inside.append(format_trace_id(get_current_span().get_span_context().trace_id))
        if request:
            raise NotFound("no such thing")
        return b""

    exporter = InMemorySpanExporter()
    app = scripted({"Get": grpc.unary_unary_rpc_method_handler(get)})
    async with (
        serve_in_background(app, exporter=exporter) as handle,
        grpc.aio.insecure_channel(handle.address) as channel,
    ):
        call = channel.unary_unary(f"/{SERVICE}/Get")
        await call(b"", metadata=(("traceparent", f"00-{TRACE}-{PARENT}-01"),))
        with pytest.raises(grpc.RpcError):
            await call(b"x")
    assert inside[0] == TRACE
    found, missing = exporter.get_finished_spans()
    assert found.name == f"{SERVICE}/Get"
    assert found.kind is SpanKind.SERVER
    assert found.parent is not None
    assert format_span_id(found.parent.span_id) == PARENT
    assert found.attributes is not None
    assert found.attributes["rpc.grpc.status_code"] == 0
    assert missing.parent is None
    assert missing.status.status_code is StatusCode.ERROR
    assert missing.attributes is not None
    assert missing.attributes["rpc.grpc.status_code"] == 5
    assert not missing.events


async def test_without_an_exporter_there_is_no_span(scripted: Any) -> None:
    async def get(request: bytes, context: Any) -> bytes:
        return str(get_current_span().get_span_context().is_valid).encode()

    app = scripted({"Get": grpc.unary_unary_rpc_method_handler(get)})
    async with serve_in_background(app) as handle, grpc.aio.insecure_channel(handle.address) as channel:
        metadata = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
        assert await channel.unary_unary(f"/{SERVICE}/Get")(b"", metadata=metadata) == b"False"
