"""Simulated venues: the same for a seed, spoken in the venue's own protocol, with the dislocations that were planted."""

from __future__ import annotations

import pytest

from alphapulse.domain.provenance import Provenance, RecordFlag, provenance_of
from alphapulse.records import BOOK_LEVEL, QUOTE, TRADE
from collector_service.decode import DecodeReport, report_of
from collector_service.instruments import pair_of
from collector_service.listing_index import ListingIndex
from collector_service.runtime import RunnerOptions, SourceRunner, SourceState
from collector_service.session import Session
from collector_service.simulation import COMMON, PAIRS, Market, SimulatedVenue
from collector_service.sources import SOURCES
from collector_service.transport import Arrival
from collector_service.transport.simulated import SimulatedTransport

OPENED_NS = 1_700_000_000_000_000_000
VENUES = sorted(PAIRS)


async def arrivals_of(source: str, seed: int, steps: int) -> tuple[list[Arrival], Session]:
    """A whole conversation with a simulated venue."""
    spec = SOURCES[source]
    transport = SimulatedTransport(SimulatedVenue(SOURCES[source], Market(seed, OPENED_NS), 500.0), steps=steps)
    async with transport:
        listings = ListingIndex(spec.venue)
        listed = await transport.instruments(spec)
        assert not listed.refused
        listings.learn(listed.entries)
        session = Session(spec, listings, transport.provenance, subscriptions=[listed.entries])
        arrivals = []
        async for arrival in transport.arrivals(1):
            arrivals.append(arrival)
            for request in session.handle(arrival):
                transport.submit(request)
    return arrivals, session


async def report(source: str, seed: int = 1, steps: int = 2_000) -> DecodeReport:
    return report_of((await arrivals_of(source, seed, steps))[1])


@pytest.mark.parametrize("source", VENUES)
async def test_a_seed_gives_the_same_frames_and_another_seed_others(source: str) -> None:
    first, _ = await arrivals_of(source, 7, 300)
    again, _ = await arrivals_of(source, 7, 300)
    other, _ = await arrivals_of(source, 8, 300)
    assert first == again
    assert first != other


@pytest.mark.parametrize("source", VENUES)
async def test_the_source_understands_every_word(source: str) -> None:
    found = await report(source)
    assert not found.rejects
    assert not found.unknown_messages
    assert not found.unknown_symbols
    assert found.resyncs == 0
    assert len(found.books) == len(PAIRS[source])
    assert all(machine.synced and not machine.book.crossed for machine in found.books.values())
    assert found.count(TRADE.event_type) > 500
    assert found.count(QUOTE.event_type) >= 2_000
    for rows in found.rows.values():
        assert {provenance_of(int(flags)) for flags in set(rows["flags"])} == {Provenance.SIMULATED}
        assert not (rows["flags"] & RecordFlag.CROSSED).any()


@pytest.mark.parametrize("source", VENUES)
async def test_quotes_and_books_agree(source: str) -> None:
    _, session = await arrivals_of(source, 3, 1_500)
    found = report_of(session)
    quotes = found.rows[QUOTE.event_type]
    last = {int(row["listing_key"]): row for row in quotes}
    for symbol, machine in found.books.items():
        key = found.listings.key(symbol)
        assert key is not None
        if key not in last:
            continue
        bid, ask = machine.book.bids.best(), machine.book.asks.best()
        assert bid is not None
        assert ask is not None
        assert (int(last[key]["bid_price"]), int(last[key]["ask_price"])) == (bid[0][0], ask[0][0])


async def test_the_common_pairs_are_the_same_instruments_everywhere() -> None:
    ids = []
    for source in VENUES:
        listings = (await report(source, steps=1)).listings
        ids.append({entry.pair: pair_of(entry).id for entry in listings})
    for pair in COMMON:
        assert len({found[pair.name] for found in ids}) == 1
    assert len(COMMON) >= 20


async def test_planted_dislocations_are_there_to_be_found_and_nothing_else_is() -> None:
    market = Market(5, OPENED_NS)
    mids: dict[tuple[str, int], list[tuple[float, str, float]]] = {}
    for source in VENUES:
        found = await report(source, seed=5, steps=4_000)
        for row in found.rows[QUOTE.event_type]:
            symbol = found.listings.symbol_of_key(int(row["listing_key"]))
            entry = found.listings.entry(symbol or "")
            assert entry is not None
            time_s = (int(row["collector_time_ns"]) - OPENED_NS) / 1e9
            mid = (int(row["bid_price"]) + int(row["ask_price"])) / 2 * 10.0 ** int(row["price_exponent"])
            pair = next(pair for pair in PAIRS[source] if pair.name == entry.pair)
            off = (mid / market.fair_price(pair, time_s) - 1) * 10_000
            mids.setdefault((source, int(time_s // 2.5)), []).append((time_s, pair.name, off))
    seen = 0
    for (source, slot), points in mids.items():
        planted = market.dislocations.of_slot(slot)
        for time_s, pair_name, off in points:
            hit = planted.venue == source and planted.pair == pair_name and planted.start_s <= time_s < planted.end_s
            assert abs(off - (planted.bps if hit else 0.0)) < 6
            seen += hit
    assert seen > 20
    assert all(abs(one.bps) > 150 for one in market.dislocations.until(60))


@pytest.mark.parametrize("source", VENUES)
async def test_a_runner_reaches_the_end_of_a_simulation(source: str) -> None:
    market = Market(1, OPENED_NS)
    runner = SourceRunner(
        SOURCES[source],
        lambda: SimulatedTransport(SimulatedVenue(SOURCES[source], market, 500.0), steps=200),
        options=RunnerOptions(pairs=frozenset({"BTC/USDT", "ETH/EUR"})),
    )
    await runner.run()
    status = runner.status()
    assert status.state is SourceState.FINISHED
    assert status.events[BOOK_LEVEL.event_type] > 0
    assert runner.session is not None
    assert len(runner.session.emitter.books) == 2


@pytest.mark.parametrize("source", ["BINANCE", "KRAKEN"])
async def test_a_lost_update_is_noticed_and_costs_only_its_own_book(source: str) -> None:
    arrivals, whole = await arrivals_of(source, 2, 600)
    symbol = "BTCUSDT" if source == "BINANCE" else "BTC/USDT"
    words = (b"btcusdt@depth",) if source == "BINANCE" else (b'"book"', b'"update"', b'"BTC/USDT"')
    places = [at for at, arrival in enumerate(arrivals) if all(word in arrival.data for word in words)][1:-1]
    assert len(places) > 5
    noticed = 0
    for lost in places:
        session = Session(SOURCES[source], whole.emitter.listings, Provenance.SIMULATED)
        for at, arrival in enumerate(arrivals):
            if at != lost:
                session.handle(arrival)
        noticed += session.resyncs
        for name, machine in session.emitter.books.items():
            truth = whole.emitter.books[name].book
            # A checksum speaks for the ten best levels; a book that is not equal there may not pass as one that is.
            same = machine.book.bids.top(10) == truth.bids.top(10) and machine.book.asks.top(10) == truth.asks.top(10)
            assert same if machine.synced else name == symbol
        assert [key for reason, key in session.gaps if reason == "BOOK_RESYNC"] == [
            session.emitter.listings.key(symbol)
        ] * session.resyncs
    assert noticed == len(places) if source == "BINANCE" else noticed > 0
