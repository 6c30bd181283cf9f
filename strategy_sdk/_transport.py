"""What a stream needs of a way to the relay; `_grpc_transport` and `_unix_transport` are the two there are."""

from __future__ import annotations

from collections.abc import Sequence
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


class Alternatives:
    """Several ways to relays of one log: each attempt takes the next, so that a stream goes on at whichever answers."""

    def __init__(self, ways: Sequence[Transport]) -> None:
        self._ways = ways
        self._tried = 0

    @property
    def name(self) -> str:
        """Of the way tried last."""
        return self._ways[max(self._tried - 1, 0) % len(self._ways)].name

    async def open(self) -> Connection:
        """A new connection by the next way. Raises ConnectionLost."""
        way = self._ways[self._tried % len(self._ways)]
        self._tried += 1
        return await way.open()


class Transport(Protocol):
    """A way to a relay."""

    @property
    def name(self) -> str:
        """Such as "grpc 127.0.0.1:50061", for messages."""

    async def open(self) -> Connection:
        """A new connection. Raises ConnectionLost."""
