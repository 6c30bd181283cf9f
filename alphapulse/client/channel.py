"""How a channel to a service is opened: message sizes, keepalive, retries of reads, deadlines."""

from __future__ import annotations

import json
from typing import Any, Final

import grpc

MAX_MESSAGE_BYTES: Final = 8 << 20
READ_DEADLINE: Final = 10.0
"""Seconds a read may take by default."""
WRITE_DEADLINE: Final = 30.0
"""Seconds a write may take by default."""

# A read answered UNAVAILABLE did nothing, so it may be asked again; a write is retried by its caller, under the same request_id.
READS: Final = {
    "alphapulse.api.instrument.v1.InstrumentService": (
        *("GetInstrument", "GetListing", "ListInstruments", "ListListings", "SearchInstruments", "LookupISIN"),
        *("LookupCUSIP", "LookupSEDOL", "LookupFIGI", "LookupSymbol", "BatchLookup", "GetInstrumentHistory"),
        *("ListCollisionCases", "GetCollisionCase"),
    ),
    "alphapulse.api.venue.v1.VenueService": (
        *("GetVenue", "ListVenues", "SearchVenues", "LookupMIC", "BatchGetVenues", "GetVenueHistory", "IsOpen"),
        *("ListSessions", "RankVenues", "PlanRoute"),
    ),
    "alphapulse.api.synthetic.v1.SyntheticService": (
        *("GetSynthetic", "ListSynthetics", "SearchSynthetics", "GetSyntheticHistory", "ValidateFormula"),
        *("EvaluateSynthetic", "ListDependents", "ListTemplates"),
    ),
}


def channel_options(max_message_bytes: int = MAX_MESSAGE_BYTES) -> list[tuple[str, Any]]:
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
        ("grpc.service_config", _service_config()),
        ("grpc.enable_retries", 1),
        # Each channel has its own connection: one stream's flow control does not hold up another channel's.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def open_channel(address: str, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> grpc.aio.Channel:
    """A channel to `address` (`host:port` or `unix:path`); an async context manager. It connects at the first call."""
    return grpc.aio.insecure_channel(address, options=channel_options(max_message_bytes))


def _service_config() -> str:
    names = [{"service": service, "method": method} for service, methods in READS.items() for method in methods]
    retry = {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": retry}]})
