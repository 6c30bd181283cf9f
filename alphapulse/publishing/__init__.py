"""Sending events to a relay, for whatever is a source: a collector, a strategy with signals, a gateway with reports of orders.

Here: a source's side (`port`), one that keeps what it sends until it is acknowledged (`kept`), the connection on the ingress socket (`link`) and
over gRPC (`grpc_link`), the connections to the relays of several partitions (`split`), and the messages of all (`messages`). Not here: what is sent,
and how a relay takes it.
"""

from alphapulse.publishing.grpc_link import GrpcLink
from alphapulse.publishing.kept import KeptPort, RowBuffer
from alphapulse.publishing.link import RelayLink
from alphapulse.publishing.port import MAX_WAITING_ROWS, Port, RowSource
from alphapulse.publishing.split import SplitLink, SplitPort, links_to

__all__ = [
    "MAX_WAITING_ROWS",
    "GrpcLink",
    "KeptPort",
    "Port",
    "RelayLink",
    "RowBuffer",
    "RowSource",
    "SplitLink",
    "SplitPort",
    "links_to",
]
