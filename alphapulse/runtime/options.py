"""Options of a gRPC server; a client's are `alphapulse.client.channel.channel_options`."""

from __future__ import annotations

from typing import Any


def server_options(max_message_bytes: int) -> list[tuple[str, Any]]:
    """Message sizes in bytes, keepalive, and a port that two servers cannot share unnoticed."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients ping every 20 s on idle streams; without this the server would cut them for it.
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
