"""Any source that has a specification is simulated by its mock venue: at the prices of the market that all simulated venues share."""

from __future__ import annotations

import pytest

from alphapulse.domain.errors import FailedPrecondition
from alphapulse.domain.provenance import Provenance, RecordFlag, provenance_of
from alphapulse.records import BOOK_LEVEL, QUOTE, STATISTIC, TRADE
from alphapulse.runtime import load
from collector_service.catalogue import UNTRIED, verified_by
from collector_service.config import CollectorConfig
from collector_service.decode import report_of
from collector_service.fleet import Fleet
from collector_service.listing_index import ListingIndex
from collector_service.mock import MockVenue
from collector_service.session import Session
from collector_service.simulation import PAIRS, Market, SimulatedVenue, can_be_simulated
from collector_service.sources import NATIVE, SOURCES
from collector_service.sources.chains import CHAIN_OF
from collector_service.spec import Verification
from collector_service.transport.simulated import SimulatedTransport

OPENED_NS = 1_700_000_000_000_000_000
TEXTS = {
    "ALPACA_NEWS", "ALPHA_VANTAGE", "ECB_PRESS", "FEDERAL_RESERVE", "FINNHUB_CALENDAR", "FRED_RELEASES", "GDELT", "REDDIT", "SEC_EDGAR",
}  # fmt: skip
MOCKED = sorted(NATIVE.keys() - CHAIN_OF.keys() - {"SOLANA"} - TEXTS)


async def heard(name: str, market: Market, steps: int, rate: float = 500.0) -> Session:
    """A whole conversation with a mocked venue."""
    source = SOURCES[name]
    transport = SimulatedTransport(SimulatedVenue(source, market, rate), steps=steps)
    async with transport:
        listed = await transport.instruments(source)
        assert not listed.refused
        listings = ListingIndex(source.venue)
        listings.learn(listed.entries)
        chosen = [entry for entry in listed.entries if entry.streamed]
        session = Session(source, listings, transport.provenance, subscriptions=[chosen])
        async for arrival in transport.arrivals(1):
            for request in session.handle(arrival):
                transport.submit(request)
    return session


@pytest.mark.parametrize("name", MOCKED)
async def test_every_source_that_has_a_specification_runs_without_its_venue(name: str) -> None:
    session = await heard(name, Market(1, OPENED_NS), 8)
    found = report_of(session)
    assert session.frames > 0
    assert not found.rejects
    assert not found.unknown_messages
    assert sum(found.count(kind.event_type) for kind in (TRADE, QUOTE, BOOK_LEVEL, STATISTIC))
    for rows in found.rows.values():
        assert {provenance_of(int(flags)) for flags in set(rows["flags"])} == {Provenance.SIMULATED}
        assert not (rows["flags"] & RecordFlag.CROSSED).any()


@pytest.mark.parametrize("name", ["OKX", "COINBASE"])
async def test_its_prices_are_those_of_the_market_and_follow_it(name: str) -> None:
    market = Market(1, OPENED_NS)
    session = await heard(name, market, 300, rate=30.0)
    rows = report_of(session).rows[TRADE.event_type]
    listings = session.emitter.listings
    seen: set[str] = set()
    for row in rows:
        entry = listings.entry(listings.symbol_of_key(int(row["listing_key"])) or "")
        assert entry is not None
        wanted = SimulatedVenue(SOURCES[name], market, 30.0)
        wanted.steps = round((int(row["collector_time_ns"]) - OPENED_NS) / 1e9 * wanted.steps_per_second)
        mid = wanted.mid(entry.base, entry.quote)
        if mid is not None:
            seen.add(entry.pair)
            assert abs(int(row["price"]) * 10.0 ** int(row["price_exponent"]) / mid - 1) < 0.002
    assert len(seen) >= 2


async def test_a_seed_gives_the_same_rows() -> None:
    first, again, other = [
        {kind: rows.tobytes() for kind, rows in report_of(await heard("OKX", Market(seed, OPENED_NS), 30)).rows.items()}
        for seed in (7, 7, 8)
    ]
    assert first == again
    assert first != other


async def test_what_cannot_be_simulated_is_said() -> None:
    assert all(can_be_simulated(SOURCES[name]) for name in PAIRS)
    assert {name for name, source in SOURCES.items() if can_be_simulated(source)} == {*MOCKED}
    # The table of sources says the same of them, and of the chains, which have a node.
    tried = {name for name, source in NATIVE.items() if Verification.MOCK in verified_by(source)}
    assert tried - UNTRIED.keys() == {*MOCKED, *CHAIN_OF}
    fleet = Fleet(load(CollectorConfig, {}), None, None)
    with pytest.raises(FailedPrecondition, match="ETHEREUM cannot be simulated"):
        fleet.start("ETHEREUM", "simulated")


def test_a_venue_that_is_asked_for_more_than_it_can_say_skips_what_nobody_could_hear() -> None:
    venue = SimulatedVenue(SOURCES["OKX"], Market(1, OPENED_NS), 100_000.0)
    wanted = venue.due(60.0)
    assert wanted == int(60 * venue.steps_per_second)
    assert 0 < wanted - venue.steps <= 200


def test_a_long_life_leaves_nothing_behind() -> None:
    """Prices wander: the numbers of levels that are gone are forgotten, and none is given twice."""
    venue = MockVenue(SOURCES["BITMEX"])
    book = venue.books[next(iter(venue.books))]
    given: dict[int, tuple[int, object]] = {}
    for turn in range(2_000):
        book.aim(6_400_000 + 1_000 * turn)
        for level in book.step():
            assert given.setdefault(level.number, (level.side, level.price)) == (level.side, level.price)
    assert len(given) > 10_000
    assert len(book._numbers) <= 4_096


def test_another_address_of_a_source_keeps_what_its_requests_bear() -> None:
    config = load(CollectorConfig, {"SOURCE_URLS": "ALPACA.rest=http://127.0.0.1:1"})
    assert config.spec("ALPACA").endpoints.headers == SOURCES["ALPACA"].endpoints.headers
    assert config.spec("ALPACA").endpoints.rest == "http://127.0.0.1:1"
