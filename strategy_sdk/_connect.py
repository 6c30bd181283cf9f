"""Opens a market stream: over the relay's Unix socket where it is on this machine, else over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.client import Backoff
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.partitions import MAX_PARTITIONS, Partition
from strategy_sdk._config import Addresses
from strategy_sdk._freshness import GapPolicy
from strategy_sdk._grpc_transport import GrpcTransport
from strategy_sdk._link import Link
from strategy_sdk._partitioned import PartitionedStream, PartitionStream
from strategy_sdk._stream import MarketStream
from strategy_sdk._transport import Alternatives, Transport
from strategy_sdk._unix_transport import UnixTransport

AGENT = "alphapulse-sdk 0.1.0"
_APART = ";"
"""Between the addresses of partitions."""


def connect(
    address: str = "",
    *,
    egress_socket: str | None = None,
    partition: str = "",
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
    `partition` is which part of a divided market that relay has, "k/n" as its RELAY_PARTITION; without it all of the market is wanted from one.
    `name` is what the relay shows in its list of subscribers. Entering it raises DeadlineExceeded when no relay answers
    within `connect_timeout` seconds, and WrongPartition where the relay has another part of the market than is wanted (`connect_partitions` reads all
    parts); afterwards a lost connection is mended however long it takes, by `backoff`.
    """
    where = addresses or Addresses.from_environment()
    socket = egress_socket if egress_socket is not None else ("" if address else where.usable_socket)
    told = address or where.relay
    if not socket and _APART in told:
        text = "several partitions: connect_partitions, or StrategyRun, reads all of them"
        raise InvalidArgument.field("address", told, "one-partition", text)
    hello = _hello(name, heartbeat_seconds, with_definitions, Partition.parse(partition) if partition else Partition())
    return MarketStream(
        Link(_way(socket, told), hello, backoff or Backoff()),
        gap_policy=gap_policy,
        heartbeat_seconds=heartbeat_seconds,
        connect_timeout=connect_timeout,
    )


def connect_partitions(
    partitions: Sequence[str] = (),
    *,
    name: str = "",
    gap_policy: GapPolicy = GapPolicy.CONTINUE,
    heartbeat_seconds: float = 1.0,
    with_definitions: bool = True,
    connect_timeout: float = 10.0,
    backoff: Callable[[], Backoff] = Backoff,
    addresses: Addresses | None = None,
) -> PartitionedStream:
    """A stream of the events of all partitions, where the market is divided among relays; an async context manager.

    `partitions` has for each of 0/n to n-1/n, in this order, what reaches its relay or edges: `host:port`, several with commas where any will do, or
    the path of an egress socket, which holds a slash. Without it they are those of RELAY_ADDRESS and RELAY_EGRESS_SOCKET, with semicolons between
    partitions. All have to answer within `connect_timeout` seconds at first (DeadlineExceeded), and be what they are taken for (WrongPartition);
    afterwards each is waited for by itself, by a back-off of its own.
    """
    where = addresses or Addresses.from_environment()
    ways = list(partitions) or where.partitions
    count = len(ways)
    if not 2 <= count <= MAX_PARTITIONS or not all(ways):
        text = f"an address for each of 2 to {MAX_PARTITIONS} partitions; connect is for one"
        raise InvalidArgument.field("partitions", str(ways), "partitions", text)
    parts = []
    for index, way in enumerate(ways):
        hello = _hello(name, heartbeat_seconds, with_definitions, Partition(index, count))
        transport = _way(way, "") if "/" in way else _way("", way)
        stream = partial(PartitionStream, gap_policy=gap_policy, heartbeat_seconds=heartbeat_seconds)
        parts.append(stream(Link(transport, hello, backoff()), connect_timeout=connect_timeout))
    return PartitionedStream(parts)


def stream_of(addresses: Addresses | None, name: str, gap_policy: GapPolicy) -> MarketStream | PartitionedStream:
    """The whole market, from one relay or all partitions, as the addresses say."""
    where = addresses or Addresses.from_environment()
    if where.partitions:
        return connect_partitions(addresses=where, name=name, gap_policy=gap_policy)
    return connect(addresses=where, name=name, gap_policy=gap_policy)


def _hello(name: str, heartbeat_seconds: float, with_definitions: bool, part: Partition) -> relay.ClientHello:
    hello = relay.ClientHello(
        name=name,
        agent=AGENT,
        heartbeat_interval_ms=max(1, round(heartbeat_seconds * 1000)),
        with_definitions=with_definitions,
    )
    if not part.is_whole:
        hello.partition.index, hello.partition.count = part.index, part.count
    return hello


def _way(socket: str, addresses: str) -> Transport:
    if socket:
        return UnixTransport(socket)
    ways = [GrpcTransport(one.strip()) for one in addresses.split(",") if one.strip()]
    return ways[0] if len(ways) == 1 else Alternatives(ways)
