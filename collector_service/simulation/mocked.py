"""Any source that has a specification, simulated: its mock venue at the prices of the market that all simulated venues share."""

from __future__ import annotations

from typing import Final

from collector_service.mock import MockVenue, UnwritableError
from collector_service.mock.plans import records_of
from collector_service.simulation.market import Market
from collector_service.simulation.pairs import REFERENCE, SimulatedPair
from collector_service.source import Source

_FRAMES_A_STEP: Final = 2.7
"""A book, a quote, and mostly a trade."""
_CATCH_UP_SECONDS: Final = 0.5
_AT_ONCE: Final = 100
"""Steps without a pause: each takes a mock about a millisecond, and others wait for it."""
_NANOS: Final = 10**9


class MockedVenue:
    """Advances in steps, as `SimulatedVenue` does; each step moves one instrument. What is no pair of the market, a share, keeps its price."""

    def __init__(self, source: Source, market: Market, rate: float) -> None:
        """`rate` in frames a second. Raises UnwritableError for a source of which no venue can be made."""
        self.source = source.name
        self.market = market
        self.steps = 0
        self.steps_per_second = rate / _FRAMES_A_STEP
        self._venue = MockVenue(source, market.seed, self)

    @property
    def websocket_path(self) -> str:
        """Where its WebSocket is."""
        return "" if self._venue.source.spec is None else self._venue.dialect.path

    @property
    def now_ns(self) -> int:
        """The venue's clock, nanoseconds since the Unix epoch."""
        return self.market.start_ns + int(self.steps / self.steps_per_second * _NANOS)

    def mid(self, base: str, quote: str) -> float | None:
        """The price of a pair now, on this venue; None for one that the market does not have."""
        if base not in REFERENCE or quote not in REFERENCE:
            return None
        pair = SimulatedPair(base, quote, 0, 0)
        return self.market.venue_price(self.source, pair, self.steps / self.steps_per_second)

    def request(self, path: str, body: bytes | None = None) -> bytes | None:
        """Answers a REST request, None for 404."""
        if body is not None:
            return self._venue.lists.posted(path.partition("#")[0], body) or self._venue.answer(path)
        self._venue.polled.clear()
        return self._venue.answer(path)

    def connect(self) -> tuple[int, list[bytes]]:
        """A new connection's number, and what it hears first."""
        return self._venue.connect(), [said.data for said in self._venue.welcome()]

    def disconnect(self, connection: int) -> None:
        """The connection is gone."""
        self._venue.disconnect(connection)

    def receive(self, connection: int, text: str) -> list[bytes]:
        """A client's message; answers what is sent back."""
        said = [one.data for one in self._venue.receive(connection, text)]
        # Notes for whoever examines a source; nobody does here.
        self._venue.replies.clear()
        self._venue.misunderstood.clear()
        return said

    def due(self, seconds: float) -> int:
        """How many steps a venue that has run for so many seconds should have made; one that was held up for long does not make up for it."""
        wanted = int(seconds * self.steps_per_second)
        self.steps = max(self.steps, wanted - min(_AT_ONCE, int(_CATCH_UP_SECONDS * self.steps_per_second)))
        return wanted

    def step(self) -> list[tuple[int, bytes]]:
        """One step: (connection, frame) for everybody who subscribed to it."""
        self.steps += 1
        told = self._venue.step() if self._venue.channels else []
        return [
            (connection, said.data)
            for said in told
            for connection in self._venue.connections
            if self._venue.takes(connection, said)
        ]


def can_be_mocked(source: Source) -> bool:
    """Whether a venue can be made of a source's specification that has something to say: what another
    library reads has one without messages, and texts, such as news, are nothing that happens at a mock venue."""
    try:
        if source.spec is None or source.reach is not None:
            return False
        venue = MockVenue(source)
        return any(venue.market.sample(record, venue.writer) is not None for record in records_of(venue.dialect))
    except UnwritableError:
        return False
