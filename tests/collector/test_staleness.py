"""An instrument that falls silent while its market does not."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from alphapulse.domain.provenance import Provenance
from alphapulse.runtime import load
from collector_service.config import CollectorConfig
from collector_service.fleet import Fleet
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.metrics import CollectorFigures
from collector_service.runtime import SourceRunner
from collector_service.servicer import CollectorServicer
from collector_service.session import Session
from collector_service.sources import SOURCES
from collector_service.staleness import Staleness, StalenessRules
from collector_service.transport import Arrival, ArrivalKind
from collector_service.transport.simulated import SimulatedTransport

SECOND = 1_000_000_000
RULES = StalenessRules(factor=30.0, floor_s=60.0, silences=16)


class Market:
    """So many instruments, each heard of in a second with its own chance, however busy the market is."""

    def __init__(self, chances: list[float], seed: int = 1) -> None:
        self.chances = chances
        self.dice = random.Random(seed)
        self.staleness = Staleness(RULES)
        self.now = 0
        self.told: list[int] = []

    def run(self, seconds: int, *, busy: float = 1.0, silent: frozenset[int] = frozenset()) -> None:
        for _ in range(seconds):
            self.now += SECOND
            heard = [
                key
                for key, chance in enumerate(self.chances)
                if key not in silent and self.dice.random() < chance * busy
            ]
            self.told += self.staleness.take(heard, self.now)


def test_one_that_falls_silent_alone_is_told_once_and_returns() -> None:
    market = Market([0.9, 0.8, 0.7, 0.5])
    market.run(300)
    assert market.told == []
    market.run(59, silent=frozenset({0}))
    assert market.told == []
    market.run(200, silent=frozenset({0}))
    assert market.told == [0]
    assert set(market.staleness.stale) == {0}
    market.run(5)
    assert not market.staleness.stale
    assert not market.staleness.returned
    market.run(100, silent=frozenset({0}))
    assert market.told == [0, 0]


def test_one_that_is_seldom_heard_of_has_more_time() -> None:
    market = Market([0.9, 0.9, 0.9, 0.02])
    market.run(3_000)
    market.run(300, silent=frozenset({3}))
    assert market.told == []
    market.run(6_000, silent=frozenset({3}))
    assert market.told == [3]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.05, 1.0), min_size=3, max_size=12),
    st.lists(st.tuples(st.integers(30, 400), st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0])), min_size=1, max_size=6),
    st.integers(0, 2**32),
)
def test_nothing_is_stale_where_all_are_quiet(chances: list[float], phases: list[tuple[int, float]], seed: int) -> None:
    """Nights of any depth and length, for all alike."""
    market = Market(chances, seed)
    market.run(200)
    for seconds, busy in phases:
        market.run(seconds, busy=busy)
    assert market.told == []


def shown(session: Session) -> tuple[int, list[str], float | None]:
    """(how many, which, the metric) of a source in whose place the session is."""
    fleet = Fleet(load(CollectorConfig, {}), None, None)
    fleet._runners["KRAKEN"] = runner = SourceRunner(session.spec, lambda: SimulatedTransport(None))  # type: ignore[arg-type]
    runner._session = session
    source = CollectorServicer(fleet)._source("KRAKEN")
    registry = CollectorRegistry()
    registry.register(CollectorFigures(fleet.statuses, None))
    value = registry.get_sample_value("collector_stale_listings", {"source": "KRAKEN"})
    return source.stale_listings, list(source.stale_symbols), value


def test_a_session_declares_it_for_the_listing() -> None:
    spec = SOURCES["KRAKEN"]
    entries = [VenueSymbol(f"{base}/USD", base, "USD", frozenset({"USD"})) for base in ("BTC", "ETH", "LTC")]
    listings = ListingIndex(spec.venue)
    listings.learn(entries)
    session = Session(spec, listings, Provenance.LIVE, subscriptions=[entries])
    now, number = 1_700_000_000 * SECOND, 0
    session.handle(Arrival(ArrivalKind.OPENED, now))
    for second in range(200):
        for entry in entries if second < 60 else entries[1:]:
            now, number = now + SECOND // 3, number + 1
            line = {"symbol": entry.symbol, "side": "buy", "price": 100.0, "qty": 1.0, "ord_type": "market",
                    "trade_id": number, "timestamp": "2026-01-01T00:00:00.000000Z"}  # fmt: skip
            frame = json.dumps({"channel": "trade", "type": "update", "data": [line]}).encode()
            session.handle(Arrival(ArrivalKind.FRAME, now, frame))
    assert not session.rejects
    assert session.take_gaps() == [("STALE", listings.key("BTC/USD"))]
    assert session.stale == ["BTC/USD"]
    assert shown(session) == (1, ["BTC/USD"], 1.0)
    session.handle(Arrival(ArrivalKind.CLOSED, now))
    assert session.stale == []
