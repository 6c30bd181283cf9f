"""What a stream needs of a way to the relay; `_grpc_transport` and `_unix_transport` are the two there are."""

from __future__ import annotations

from typing import Protocol

from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import Unavailable
from strategy_sdk._inbox import Received


class ConnectionLost(Unavailable):
    """The connection to the relay ended; connecting again may help."""

    reason = "RELAY_CONNECTION_LOST"


class Connection(Protocol):
    """One stream to a relay."""

    async def send(self, request: relay.SubscribeRequest) -> None:
        """Say something to the relay. Raises ConnectionLost."""

    async def receive(self) -> Received:
        """The next thing the relay says, by one caller at a time. Raises ConnectionLost, or what the relay refused it with."""

    def abort(self) -> None:
        """End it now: a waiting `receive` raises ConnectionLost."""

    async def close(self) -> None:
        """End it and free what it holds. Never raises."""


class Transport(Protocol):
    """A way to a relay."""

    @property
    def name(self) -> str:
        """Such as "grpc 127.0.0.1:50061", for messages."""

    async def open(self) -> Connection:
        """A new connection. Raises ConnectionLost."""
