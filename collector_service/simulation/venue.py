"""A simulated venue: connections, subscriptions and what is sent on them. Its protocol is a separate object."""

from __future__ import annotations

import random
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from collector_service.simulation.ladder import FRAMES_A_STEP, Ladder, Step
from collector_service.simulation.market import Market
from collector_service.simulation.pairs import SimulatedPair
from collector_service.spec import Channel

_NANOS: Final = 10**9
_CATCH_UP_SECONDS: Final = 0.5
_BURST_CHANCE: Final = 0.25
"""How often the pair of a planted dislocation is the one that moves: where something happens, more is said."""

Subscription = tuple[Channel, str]
"""(channel, the pair's name)."""


@dataclass(slots=True)
class Wish:
    """What a client's message asks for."""

    replies: list[str] = field(default_factory=list)
    added: list[Subscription] = field(default_factory=list)
    removed: list[Subscription] = field(default_factory=list)


class Protocol(typing.Protocol):
    """How a venue talks."""

    websocket_path: str
    heartbeats: bool

    def symbol(self, pair: SimulatedPair) -> str:
        """The venue's spelling on its streams."""
        ...

    def request(self, path: str, ladders: Mapping[str, Ladder]) -> bytes | None:
        """The answer to a REST request, None for 404."""
        ...

    def welcome(self) -> list[str]:
        """What a new connection hears."""
        ...

    def understand(self, message: Any, pairs: Mapping[str, SimulatedPair]) -> Wish:
        """What a client's message asks for. `pairs` by the venue's spelling."""
        ...

    def opening(self, ladder: Ladder, channel: Channel, time_ns: int) -> list[str]:
        """What a new subscription hears first."""
        ...

    def frames(self, step: Step, ladder: Ladder) -> list[tuple[Channel, str]]:
        """What a step says on each channel."""
        ...

    def heartbeat(self, pairs: Iterable[SimulatedPair], time_ns: int) -> list[str]:
        """What is said once a second."""
        ...


class SimulatedVenue:
    """Advances in steps; each step moves one pair. The same seed, rate and calls give the same frames."""

    def __init__(
        self, source: str, protocol: Protocol, market: Market, pairs: Sequence[SimulatedPair], rate: float
    ) -> None:
        self.source = source
        self.protocol = protocol
        self.market = market
        self.steps_per_second = rate / FRAMES_A_STEP
        self.steps = 0
        self._dice = random.Random(f"venue|{market.seed}|{source}")  # noqa: S311 - a simulation, not a secret
        self._pairs = {protocol.symbol(pair): pair for pair in pairs}
        self._names = [pair.name for pair in pairs]
        self._ladders = {pair.name: Ladder(pair, self._dice) for pair in pairs}
        self._subscriptions: dict[int, set[Subscription]] = {}
        self._connections = 0
        self._second = 0
        for ladder in self._ladders.values():
            ladder.step(self._mid(ladder.pair), self.now_ns)

    @property
    def now_s(self) -> float:
        """Seconds since the market opened, by steps."""
        return self.steps / self.steps_per_second

    @property
    def now_ns(self) -> int:
        """The venue's clock, nanoseconds since the Unix epoch."""
        return self.market.start_ns + int(self.now_s * _NANOS)

    @property
    def websocket_path(self) -> str:
        """Where its WebSocket is."""
        return self.protocol.websocket_path

    def request(self, path: str, body: bytes | None = None) -> bytes | None:
        """Answers a REST request, None for 404."""
        return None if body is not None else self.protocol.request(path, self._ladders)

    def connect(self) -> tuple[int, list[str]]:
        """A new connection's number, and what it hears first."""
        self._connections += 1
        self._subscriptions[self._connections] = set()
        return self._connections, self.protocol.welcome()

    def disconnect(self, connection: int) -> None:
        """The connection is gone."""
        self._subscriptions.pop(connection, None)

    def receive(self, connection: int, text: str) -> list[str]:
        """A client's message; answers what is sent back."""
        try:
            wish = self.protocol.understand(msgspec.json.decode(text), self._pairs)
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            return ['{"type":"error","message":"not understood"}']
        held = self._subscriptions[connection]
        held.difference_update(wish.removed)
        held.update(wish.added)
        replies = list(wish.replies)
        for channel, name in wish.added:
            replies += self.protocol.opening(self._ladders[name], channel, self.now_ns)
        return replies

    def due(self, seconds: float) -> int:
        """How many steps a venue that has run for so many seconds should have made. One that was held up for long does not make up for
        it: the market went on without anybody listening."""
        wanted = int(seconds * self.steps_per_second)
        self.steps = max(self.steps, wanted - int(_CATCH_UP_SECONDS * self.steps_per_second))
        return wanted

    def step(self) -> list[tuple[int, str]]:
        """One step: (connection, frame) for everybody who subscribed to it."""
        self.steps += 1
        name = self._choose()
        ladder = self._ladders[name]
        step = ladder.step(self._mid(ladder.pair), self.now_ns)
        frames = self.protocol.frames(step, ladder)
        sent = [
            (connection, text)
            for connection, held in self._subscriptions.items()
            for channel, text in frames
            if (channel, name) in held
        ]
        return [*self._heartbeats(), *sent]

    def _choose(self) -> str:
        planted = self.market.dislocations.active(self.now_s)
        if planted is not None and planted.pair in self._ladders and self._dice.random() < _BURST_CHANCE:
            return planted.pair
        return self._dice.choice(self._names)

    def _mid(self, pair: SimulatedPair) -> float:
        return self.market.venue_price(self.source, pair, self.now_s)

    def _heartbeats(self) -> list[tuple[int, str]]:
        if int(self.now_s) == self._second or not self.protocol.heartbeats:
            return []
        self._second = int(self.now_s)
        beats: list[tuple[int, str]] = []
        for connection, held in self._subscriptions.items():
            names = {name for _, name in held}
            pairs = [ladder.pair for name, ladder in self._ladders.items() if name in names]
            beats += [(connection, text) for text in self.protocol.heartbeat(pairs, self.now_ns)]
        return beats
