"""How a channel to a service is opened: message sizes, keepalive, retries of reads, deadlines."""

from __future__ import annotations

import json
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor

from alphapulse.api.instrument.v1 import instrument_service_pb2
from alphapulse.api.synthetic.v1 import synthetic_service_pb2
from alphapulse.api.venue.v1 import venue_service_pb2

MAX_MESSAGE_BYTES: Final = 8 << 20
READ_DEADLINE: Final = 20.0
"""Seconds a unary read of a registry may take, whatever longer deadline its caller sets."""
WRITE_DEADLINE: Final = 30.0
"""Seconds a unary write to a registry may take, whatever longer deadline its caller sets."""

_REGISTRIES: Final = (instrument_service_pb2, venue_service_pb2, synthetic_service_pb2)


def unary_methods() -> tuple[tuple[MethodDescriptor, ...], tuple[MethodDescriptor, ...]]:
    """The unary reads and the unary writes of the registries. A write is known by its WriteOptions."""
    methods = [
        method
        for module in _REGISTRIES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if not method.client_streaming and not method.server_streaming
    ]
    writes = tuple(method for method in methods if "write" in method.input_type.fields_by_name)
    return tuple(method for method in methods if method not in writes), writes


def channel_options(
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    read_deadline: float = READ_DEADLINE,
    write_deadline: float = WRITE_DEADLINE,
) -> list[tuple[str, Any]]:
    """Options of a client channel; the server's are `alphapulse.runtime.options.server_options`."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_metadata_size", 32 << 10),
        # A dead peer is noticed within 30 s even on an idle stream.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # A service that comes back is found soon.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.service_config", _service_config(read_deadline, write_deadline)),
        ("grpc.enable_retries", 1),
        # Each channel has its own connection: one stream's flow control does not hold up another channel's.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def open_channel(
    address: str,
    *,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    read_deadline: float = READ_DEADLINE,
    write_deadline: float = WRITE_DEADLINE,
) -> grpc.aio.Channel:
    """A channel to `address` (`host:port` or `unix:path`); an async context manager. It connects at the first call.

    The registries' unary calls have these deadlines, in seconds; a caller's own counts when it is shorter. A read that is
    answered UNAVAILABLE is asked again, up to four times.
    """
    return grpc.aio.insecure_channel(address, options=channel_options(max_message_bytes, read_deadline, write_deadline))


def _service_config(read_deadline: float, write_deadline: float) -> str:
    reads, writes = unary_methods()
    # A read answered UNAVAILABLE did nothing, so it may be asked again; a write is repeated by its caller alone, under the
    # same request_id.
    retry = {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    configs = [
        {"name": _names(reads), "timeout": f"{read_deadline:.3f}s", "retryPolicy": retry},
        {"name": _names(writes), "timeout": f"{write_deadline:.3f}s"},
    ]
    return json.dumps({"methodConfig": configs})


def _names(methods: tuple[MethodDescriptor, ...]) -> list[dict[str, str]]:
    return [{"service": method.containing_service.full_name, "method": method.name} for method in methods]
