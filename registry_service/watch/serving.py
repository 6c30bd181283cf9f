"""How a watch is served over gRPC: bytes from the shared pieces, bounded by the call's own deadline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from alphapulse.runtime.deadline import ends_in
from registry_service.watch.encoding import messages
from registry_service.watch.hub import Hub
from registry_service.watch.model import WatchEvent, WatchSpec


async def serve(hub: Hub, spec: WatchSpec, request: Any, context: Any) -> AsyncIterator[bytes]:
    """The responses of one watch of venues or synthetics, serialized. `request` has resume_token and skip_snapshot."""
    async for event in events(hub, spec, request, context):
        for message in messages(event):
            yield message


async def events(hub: Hub, spec: WatchSpec, request: Any, context: Any) -> AsyncIterator[WatchEvent]:
    """The pieces of one watch. What it waits for ends before the caller would be gone, with an error that says what is missing."""
    remaining = context.time_remaining()
    if remaining is not None:
        ends_in(remaining)
    async for event in hub.watch(spec, resume_token=request.resume_token, skip_snapshot=request.skip_snapshot):
        yield event


def watch_route(
    full_name: str, method: str, serve_bytes: Callable[[Any, Any], AsyncIterator[bytes]], request_type: type[Any]
) -> grpc.GenericRpcHandler:
    """The route of a watch whose responses are bytes already. It has to be added before the generated servicer."""
    handler: grpc.RpcMethodHandler[Any, bytes] = grpc.unary_stream_rpc_method_handler(
        serve_bytes, request_deserializer=request_type.FromString
    )
    return grpc.method_handlers_generic_handler(full_name, {method: handler})
