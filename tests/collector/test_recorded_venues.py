"""The three recorded venues: what they sent is what comes out, to the digit."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alphapulse.domain.identity import mint_listing_id
from alphapulse.domain.provenance import RecordFlag, provenance_of
from alphapulse.records import BOOK_LEVEL, LAYOUTS, QUOTE, TRADE
from collector_service.decode import DecodeReport, decode_files, read_instruments, recording_files
from collector_service.listings import listing_of, pair_of
from collector_service.sources import SOURCES

pytestmark = pytest.mark.recordings
VENUES = ("BINANCE", "COINBASE", "KRAKEN")
Ladder = dict[Decimal, Decimal]


@pytest.fixture(scope="module", params=VENUES)
def report(request: pytest.FixtureRequest, recordings_dir: Path) -> DecodeReport:
    return decode_files(recording_files(recordings_dir, request.param), request.param)


def test_counts_equal_those_of_the_recordings_own_project(report: DecodeReport, recordings_dir: Path) -> None:
    expected = json.loads((recordings_dir / "expected.json").read_text())[report.source]
    assert report.count(TRADE.event_type) == expected["trades"]
    assert report.count(QUOTE.event_type) == expected["ticker"]
    assert sum(report.book_updates.values()) == expected["l2_book"]


def test_nothing_is_refused_and_nothing_is_unknown(report: DecodeReport) -> None:
    assert not report.rejects
    assert not report.unknown_messages
    assert not report.unknown_symbols
    assert not report.refused_lines
    assert report.resyncs == 0


def test_every_row_is_protobuf_of_a_replay_with_a_listing(report: DecodeReport) -> None:
    for kind, rows in report.rows.items():
        assert LAYOUTS[kind].is_rows(rows.tobytes())
        assert {provenance_of(int(flags)) for flags in set(rows["flags"])} == {provenance_of(2)}
        assert not (rows["flags"] & RecordFlag.UNKNOWN_LISTING).any()
        assert (rows["listing_key"] != 0).all()
        assert (rows["collector_time_ns"] > 1_600_000_000_000_000_000).all()
        assert not any(rows[name].any() for name in ("sequence", "relay_in_ns", "relay_out_ns"))


def test_books_are_in_step_and_never_crossed(report: DecodeReport) -> None:
    assert all(machine.synced for machine in report.books.values())
    assert not (report.rows[BOOK_LEVEL.event_type]["flags"] & RecordFlag.CROSSED).any()


def test_the_rows_alone_rebuild_every_book(report: DecodeReport) -> None:
    rows = report.rows[BOOK_LEVEL.event_type]
    books: dict[int, tuple[Ladder, Ladder]] = {}
    for row in rows:
        bids, asks = books.setdefault(int(row["listing_key"]), ({}, {}))
        if row["flags"] & RecordFlag.SNAPSHOT_BEGIN:
            bids.clear()
            asks.clear()
        side = bids if row["side"] == 1 else asks
        _set(side, _number(row["price"], row["price_exponent"]), _number(row["size"], row["size_exponent"]))
    for symbol, machine in report.books.items():
        key = report.listings.key(symbol)
        assert key is not None
        assert books[key] == (_ladder(machine.book.bids), _ladder(machine.book.asks)), symbol
    ends = rows["flags"] & RecordFlag.LAST_OF_UPDATE != 0
    assert int(ends.sum()) <= sum(report.book_updates.values())


def test_final_books_equal_an_independent_reading(report: DecodeReport, recordings_dir: Path) -> None:
    independent = {"BINANCE": _read_binance, "COINBASE": _read_coinbase, "KRAKEN": _read_kraken}[report.source]
    books = independent(recordings_dir)
    assert set(books) == set(report.books)
    for symbol, (bids, asks) in books.items():
        machine = report.books[symbol]
        assert _ladder(machine.book.bids) == bids, symbol
        assert _ladder(machine.book.asks) == asks, symbol
        best_bid, best_ask = report.top_of_book(symbol)
        assert best_bid is not None
        assert best_ask is not None
        assert _number(*best_bid[0]) == max(bids)
        assert _number(*best_ask[0]) == min(asks)


def test_sizes_a_venue_did_not_give_are_marked(report: DecodeReport) -> None:
    quotes = report.rows[QUOTE.event_type]
    absent = (quotes["flags"] & RecordFlag.BID_SIZE_ABSENT) != 0
    assert absent.all() == (report.source == "COINBASE")  # in 2021 its ticker had no sizes
    assert (quotes["bid_size"][~absent] > 0).all()


@pytest.mark.parametrize("source", VENUES)
def test_every_listed_instrument_becomes_an_identity_and_back(source: str, recordings_dir: Path) -> None:
    listed = read_instruments(recording_files(recordings_dir, source), source)
    assert len(listed.entries) == {"BINANCE": 1695, "COINBASE": 162, "KRAKEN": 304}[source]
    assert not listed.refused
    venue = SOURCES[source].venue
    symbols: dict[str, str] = {}
    for entry in listed.entries:
        listing, pair = listing_of(entry, venue), pair_of(entry)
        assert pair.id == listing.instrument_id
        assert pair.id is not None
        assert listing.id == mint_listing_id(venue, entry.symbol, pair.id)
        assert listing.rules.tick_size is not None
        assert listing.rules.tick_size.is_positive
        symbols[listing.id.hex] = entry.symbol
    assert len(symbols) == len(listed.entries)
    assert set(symbols.values()) == {entry.symbol for entry in listed.entries}


def test_one_pair_is_one_instrument_on_every_venue(recordings_dir: Path) -> None:
    found = {
        source: {
            entry.pair: pair_of(entry).id
            for entry in read_instruments(recording_files(recordings_dir, source), source).entries
        }
        for source in VENUES
    }
    common = set.intersection(*(set(pairs) for pairs in found.values()))
    assert {"BTC/EUR", "ETH/EUR", "ETH/BTC"} <= common
    for pair in common:
        assert len({pairs[pair] for pairs in found.values()}) == 1


def test_exact_decimals_from_the_venues_text(recordings_dir: Path) -> None:
    report = decode_files(recording_files(recordings_dir, "BINANCE"), "BINANCE")
    first, second = report.rows[TRADE.event_type]
    assert [int(first[name]) for name in ("price", "price_exponent", "size", "size_exponent")] == [
        35280000,
        -8,
        5800000000,
        -8,
    ]
    assert int(first["trade_id"]) == 15683430
    assert int(first["aggressor"]) == 1
    assert int(first["venue_time_ns"]) == 1633998523963_000_000
    assert (int(second["price"]), int(second["price_exponent"])) == (638, -8)


def _number(mantissa: Any, exponent: Any) -> Decimal:
    return Decimal(int(mantissa)).scaleb(int(exponent))


def _ladder(side: Any) -> Ladder:
    return {_number(*price): _number(*size) for price, size in side}


def _set(side: Ladder, price: Decimal, size: Decimal) -> None:
    if size:
        side[price] = size
    else:
        side.pop(price, None)


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def _frames(path: Path) -> list[Any]:
    return [json.loads(line.split(": ", 1)[1]) for line in _lines(path) if line[:1].isdigit()]


def _read_binance(folder: Path) -> dict[str, tuple[Ladder, Ladder]]:
    books: dict[str, tuple[int, Ladder, Ladder]] = {}
    for line in _lines(folder / "BINANCE.http.0.0.gz"):
        if "/depth?symbol=" in line:
            body = json.loads(line.split(": ", 1)[1])
            symbol = line.split("symbol=")[1].split("&")[0]
            sides = [{Decimal(p): Decimal(q) for p, q in body[name]} for name in ("bids", "asks")]
            books[symbol] = (body["lastUpdateId"], *sides)
    for frame in _frames(folder / "BINANCE.ws.1.0.gz"):
        data = frame["data"]
        if data.get("e") == "depthUpdate" and data["u"] > books[data["s"]][0]:
            for name, side in zip("ba", books[data["s"]][1:], strict=True):
                for price, size in data[name]:
                    _set(side, Decimal(price), Decimal(size))
    return {symbol: (bids, asks) for symbol, (_, bids, asks) in books.items()}


def _read_coinbase(folder: Path) -> dict[str, tuple[Ladder, Ladder]]:
    books: dict[str, tuple[Ladder, Ladder]] = {}
    for frame in _frames(folder / "COINBASE.ws.28.0.gz"):
        if frame["type"] == "snapshot":
            sides = [{Decimal(p): Decimal(q) for p, q in frame[name]} for name in ("bids", "asks")]
            books[frame["product_id"]] = (sides[0], sides[1])
        elif frame["type"] == "l2update":
            for side, price, size in frame["changes"]:
                _set(books[frame["product_id"]][0 if side == "buy" else 1], Decimal(price), Decimal(size))
    return books


def _read_kraken(folder: Path) -> dict[str, tuple[Ladder, Ladder]]:
    books: dict[str, tuple[Ladder, Ladder]] = {}
    for frame in _frames(folder / "KRAKEN.ws.50.0.gz"):
        if not isinstance(frame, list):
            continue
        for part in frame[1:-2]:
            if "as" in part:
                sides = [{Decimal(level[0]): Decimal(level[1]) for level in part[name]} for name in ("bs", "as")]
                books[frame[-1]] = (sides[0], sides[1])
                continue
            for name, side in zip("ba", books[frame[-1]], strict=True):
                for level in part.get(name, ()):
                    _set(side, Decimal(level[0]), Decimal(level[1]))
        bids, asks = books[frame[-1]]
        for price in sorted(bids, reverse=True)[1000:]:
            del bids[price]
        for price in sorted(asks)[1000:]:
            del asks[price]
    return books
