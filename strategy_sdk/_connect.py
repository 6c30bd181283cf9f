"""Opens a market stream: over the relay's Unix socket where it is on this machine, else over gRPC."""

from __future__ import annotations

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.client import Backoff
from strategy_sdk._config import Addresses
from strategy_sdk._freshness import GapPolicy
from strategy_sdk._grpc_transport import GrpcTransport
from strategy_sdk._link import Link
from strategy_sdk._stream import MarketStream
from strategy_sdk._transport import Alternatives, Transport
from strategy_sdk._unix_transport import UnixTransport

AGENT = "alphapulse-sdk 0.1.0"


def connect(
    address: str = "",
    *,
    egress_socket: str | None = None,
    name: str = "",
    gap_policy: GapPolicy = GapPolicy.CONTINUE,
    heartbeat_seconds: float = 1.0,
    with_definitions: bool = True,
    connect_timeout: float = 10.0,
    backoff: Backoff | None = None,
    addresses: Addresses | None = None,
) -> MarketStream:
    """A stream of market events; an async context manager.

    `egress_socket` is the path of the relay's Unix socket; without it RELAY_EGRESS_SOCKET is taken when such a socket exists
    and no `address` is given; "" means gRPC. `address` is the relay's `host:port`, else RELAY_ADDRESS, else 127.0.0.1:50061; several,
    separated by commas, are relays of one log, of which any will do.
    `name` is what the relay shows in its list of subscribers. Entering it raises DeadlineExceeded when no relay answers
    within `connect_timeout` seconds; afterwards a lost connection is mended however long it takes, by `backoff`.
    """
    where = addresses or Addresses.from_environment()
    socket = egress_socket if egress_socket is not None else ("" if address else where.usable_socket)
    transport: Transport = UnixTransport(socket) if socket else _over_grpc(address or where.relay)
    hello = relay.ClientHello(
        name=name,
        agent=AGENT,
        heartbeat_interval_ms=max(1, round(heartbeat_seconds * 1000)),
        with_definitions=with_definitions,
    )
    return MarketStream(
        Link(transport, hello, backoff or Backoff()),
        gap_policy=gap_policy,
        heartbeat_seconds=heartbeat_seconds,
        connect_timeout=connect_timeout,
    )


def _over_grpc(addresses: str) -> Transport:
    ways = [GrpcTransport(one.strip()) for one in addresses.split(",") if one.strip()]
    return ways[0] if len(ways) == 1 else Alternatives(ways)
