"""A simulated venue: the mock of a source's specification at the prices of the market that all simulated venues share."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Final

from collector_service.mock import MockVenue, Terms, UnwritableError
from collector_service.mock.plans import records_of
from collector_service.simulation.market import Market
from collector_service.simulation.pairs import OWN_CODES, PAIRS, REFERENCE, SPELLINGS, SimulatedPair
from collector_service.source import Source

_FRAMES_A_STEP: Final = 2.7
"""A book, a quote, and mostly a trade."""
_CATCH_UP_SECONDS: Final = 0.5
_AT_ONCE: Final = 200
"""Steps without a pause: others wait for them."""
_BURST_CHANCE: Final = 0.25
"""How often the pair of a planted dislocation is the one that moves: where something happens, more is said."""
_NANOS: Final = 10**9
_TERMS: Final = {
    name: MappingProxyType({(pair.base, pair.quote): pair.terms for pair in pairs}) for name, pairs in PAIRS.items()
}


class SimulatedVenue:
    """Advances in steps; each step moves one instrument. The same seed, rate and calls give the same frames. What is no pair of the market, a
    share, keeps its price.
    """

    def __init__(self, source: Source, market: Market, rate: float) -> None:
        """`rate` in frames a second. Raises UnwritableError for a source of which no venue can be made."""
        self.source = source.name
        self.market = market
        self.steps = 0
        self.steps_per_second = rate / _FRAMES_A_STEP
        self._dice = random.Random(f"venue|{market.seed}|{source.name}")  # noqa: S311 - a simulation, not a secret
        self._second = 0
        self.mock = MockVenue(source, market.seed, self)

    @property
    def websocket_path(self) -> str:
        """Where its WebSocket is."""
        return self.mock.dialect.path

    @property
    def now_s(self) -> float:
        """Seconds since the market opened, by steps."""
        return self.steps / self.steps_per_second

    @property
    def now_ns(self) -> int:
        """The venue's clock, nanoseconds since the Unix epoch."""
        return self.market.start_ns + int(self.now_s * _NANOS)

    @property
    def pairs(self) -> Mapping[tuple[str, str], Terms]:
        """What it lists; empty: whatever its list can say."""
        return _TERMS.get(self.source, {})

    def symbol(self, base: str, quote: str) -> str:
        """How it spells a pair; empty: as its list can say it."""
        own = OWN_CODES.get(self.source, {})
        return SPELLINGS.get(self.source, "").format(base=own.get(base, base), quote=own.get(quote, quote))

    def mid(self, base: str, quote: str) -> float | None:
        """The price of a pair now, on this venue; None for one that the market does not have."""
        if base not in REFERENCE or quote not in REFERENCE:
            return None
        return self.market.venue_price(self.source, SimulatedPair(base, quote, 0, 0), self.now_s)

    def request(self, path: str, body: bytes | None = None) -> bytes | None:
        """Answers a REST request, None for 404."""
        if body is not None:
            return self.mock.lists.posted(path.partition("#")[0], body) or self.mock.answer(path)
        return self.mock.answer(path)

    def connect(self) -> tuple[int, list[bytes]]:
        """A new connection's number, and what it hears first."""
        return self.mock.connect(), [said.data for said in self.mock.welcome()]

    def disconnect(self, connection: int) -> None:
        """The connection is gone."""
        self.mock.disconnect(connection)

    def receive(self, connection: int, text: str) -> list[bytes]:
        """A client's message; answers what is sent back."""
        return [one.data for one in self.mock.receive(connection, text)]

    def due(self, seconds: float) -> int:
        """How many steps a venue that has run for so many seconds should have made. One that was held up for long does not make up for
        it: the market went on without anybody listening."""
        wanted = int(seconds * self.steps_per_second)
        self.steps = max(self.steps, wanted - min(_AT_ONCE, int(_CATCH_UP_SECONDS * self.steps_per_second)))
        return wanted

    def step(self) -> list[tuple[int, bytes]]:
        """One step: (connection, frame) for everybody who subscribed to it."""
        self.steps += 1
        self.mock.forget_notes()
        told = [] if not self.mock.channels else self.mock.step(self._choose())
        beats = self._heartbeats()
        sent = [
            (connection, said.data)
            for said in told
            for connection in self.mock.connections
            if self.mock.takes(connection, said)
        ]
        return beats + sent

    def _choose(self) -> str:
        planted = self.market.dislocations.active(self.now_s)
        symbol = self._symbols.get(planted.pair) if planted is not None else None
        return symbol if symbol is not None and self._dice.random() < _BURST_CHANCE else ""

    @cached_property
    def _symbols(self) -> Mapping[str, str]:
        """What streams and is no contract, by the pair's name."""
        entries = (one.entry for one in self.mock.instruments.values())
        return {entry.pair: entry.symbol for entry in entries if entry.contract is None}

    def _heartbeats(self) -> list[tuple[int, bytes]]:
        if int(self.now_s) == self._second:
            return []
        self._second = int(self.now_s)
        return [(connection, said.data) for said in self.mock.beat() for connection in self.mock.connections]


def can_be_simulated(source: Source) -> bool:
    """Whether a venue can be made of a source's specification that has something to say: what another
    library reads has one without messages, and texts, such as news, are nothing that happens at a mock venue."""
    try:
        if source.spec is None or source.reach is not None:
            return False
        venue = MockVenue(source)
        return any(venue.market.sample(record, venue.writer) is not None for record in records_of(venue.dialect))
    except UnwritableError:
        return False
