"""Recorded venues: what they sent is what comes out, to the digit. Each has a module in `recorded/`."""

from __future__ import annotations

import gzip
import importlib
import json
import pkgutil
import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from alphapulse.domain.identity import mint_listing_id
from alphapulse.domain.provenance import RecordFlag, provenance_of
from alphapulse.records import BOOK_LEVEL, LAYOUTS, QUOTE, TRADE
from collector import recorded
from collector.recorded import Ladder, change
from collector_service.decode import DecodeReport, decode_files, read_instruments, recording_files
from collector_service.instruments import instrument_of, listing_of, pair_of
from collector_service.sources import SOURCES

pytestmark = pytest.mark.recordings
LINE_TIME: Final = re.compile(r"\b1\d{9}\.\d+(?=:|$)", re.MULTILINE)
"""When a line of a recording was said."""
VENUES: Final = sorted(module.name.upper() for module in pkgutil.iter_modules(recorded.__path__))


def _module(source: str) -> Any:
    return importlib.import_module(f"collector.recorded.{source.lower()}")


@pytest.fixture(scope="module", params=VENUES)
def report(request: pytest.FixtureRequest, recordings_dir: Path) -> DecodeReport:
    return decode_files(recording_files(recordings_dir, request.param), request.param)


def test_counts_equal_those_of_the_recordings_own_project(report: DecodeReport, recordings_dir: Path) -> None:
    expected = json.loads((recordings_dir / "expected.json").read_text())[report.source]
    assert report.count(TRADE.event_type) == expected.get("trades", 0)
    assert report.count(QUOTE.event_type) == expected.get("ticker", 0)
    wanted = getattr(_module(report.source), "BOOK_UPDATES", expected.get("l2_book", 0))
    assert sum(report.book_updates.values()) == wanted


def test_nothing_is_refused_and_nothing_is_unknown(report: DecodeReport) -> None:
    assert not report.rejects
    assert not report.unknown_messages
    assert not report.unknown_symbols
    assert not report.unknown_values
    assert not report.venue_errors
    assert not report.refused_lines
    assert report.resyncs == 0


def test_every_row_is_protobuf_of_a_replay_with_a_listing(report: DecodeReport) -> None:
    for kind, rows in report.rows.items():
        assert LAYOUTS[kind].is_rows(rows.tobytes())
        assert {provenance_of(int(flags)) for flags in set(rows["flags"])} == {provenance_of(2)}
        assert not (rows["flags"] & RecordFlag.UNKNOWN_LISTING).any()
        assert not (rows["flags"] & RecordFlag.OVERSIZE).any()
        assert (rows["listing_key"] != 0).all()
        assert (rows["collector_time_ns"] > 1_600_000_000_000_000_000).all()
        assert not any(rows[name].any() for name in ("sequence", "relay_in_ns", "relay_out_ns"))


def test_the_venues_times_are_those_of_the_recording(report: DecodeReport) -> None:
    """A wrong unit is off by a factor of a thousand: a day is nearer than that. Trades of before may come with a subscription."""
    day = 24 * 3600 * 10**9
    for kind, rows in report.rows.items():
        told = rows[rows["venue_time_ns"] != 0]
        late = told["collector_time_ns"] - told["venue_time_ns"]
        assert (late > -day).all(), kind
        if kind != TRADE.event_type:
            assert (late < day).all(), kind
    trades = report.rows.get(TRADE.event_type)
    assert trades is None or (trades["venue_time_ns"] != 0).all()


def test_books_are_in_step_and_never_crossed(report: DecodeReport) -> None:
    assert report.books
    assert all(machine.synced for machine in report.books.values())
    assert not (report.rows[BOOK_LEVEL.event_type]["flags"] & RecordFlag.CROSSED).any()


def test_the_rows_alone_rebuild_every_book(report: DecodeReport) -> None:
    rows = report.rows[BOOK_LEVEL.event_type]
    books: dict[int, tuple[Ladder, Ladder]] = {}
    fields = ("listing_key", "flags", "side", "price", "price_exponent", "size", "size_exponent")
    for key, flags, kind, *numbers in zip(*(rows[name].tolist() for name in fields), strict=True):
        bids, asks = books.setdefault(key, ({}, {}))
        if flags & RecordFlag.SNAPSHOT_BEGIN:
            bids.clear()
            asks.clear()
        change(bids if kind == 1 else asks, _number(*numbers[:2]), _number(*numbers[2:]))
    for symbol, machine in report.books.items():
        key = report.listings.key(symbol)
        assert key is not None
        # A book that was always empty has no rows.
        assert books.get(key, ({}, {})) == (_ladder(machine.book.bids), _ladder(machine.book.asks)), symbol
    ends = rows["flags"] & RecordFlag.LAST_OF_UPDATE != 0
    assert int(ends.sum()) <= sum(report.book_updates.values())


def test_final_books_equal_an_independent_reading(report: DecodeReport, recordings_dir: Path) -> None:
    books = _module(report.source).books(recordings_dir)
    assert set(books) == set(report.books)
    for symbol, (bids, asks) in books.items():
        machine = report.books[symbol]
        assert _ladder(machine.book.bids) == bids, symbol
        assert _ladder(machine.book.asks) == asks, symbol
        best_bid, best_ask = report.top_of_book(symbol)
        assert (best_bid and _number(*best_bid[0])) == max(bids, default=None)
        assert (best_ask and _number(*best_ask[0])) == min(asks, default=None)


def test_sizes_a_venue_did_not_give_are_marked(report: DecodeReport) -> None:
    quotes = report.rows.get(QUOTE.event_type)
    if quotes is None:
        return
    absent = (quotes["flags"] & RecordFlag.BID_SIZE_ABSENT) != 0
    nobody = (quotes["flags"] & RecordFlag.BID_ABSENT) != 0
    assert absent.all() == getattr(_module(report.source), "NO_QUOTE_SIZES", False)
    assert (quotes["bid_size"][~absent & ~nobody] > 0).all()


@pytest.mark.parametrize("source", VENUES)
def test_every_listed_instrument_becomes_an_identity_and_back(source: str, recordings_dir: Path) -> None:
    listed = read_instruments(recording_files(recordings_dir, source), source)
    assert len(listed.entries) == _module(source).LISTED
    assert not listed.refused
    venue = SOURCES[source].venue
    symbols: dict[str, str] = {}
    for entry in listed.entries:
        listing, instrument = listing_of(entry, venue), instrument_of(entry, venue)
        assert instrument.id == listing.instrument_id
        assert instrument.id is not None
        assert listing.id == mint_listing_id(venue, entry.symbol, instrument.id)
        symbols[listing.id.hex] = entry.symbol
    assert len(symbols) == len(listed.entries)
    assert set(symbols.values()) == {entry.symbol for entry in listed.entries}


def test_one_pair_is_one_instrument_on_every_venue(recordings_dir: Path) -> None:
    found = {
        source: {
            entry.pair: pair_of(entry).id
            for entry in read_instruments(recording_files(recordings_dir, source), source).entries
        }
        for source in ("BINANCE", "COINBASE", "KRAKEN")
    }
    common = set.intersection(*(set(pairs) for pairs in found.values()))
    assert {"BTC/EUR", "ETH/EUR", "ETH/BTC"} <= common
    for pair in common:
        assert len({pairs[pair] for pairs in found.values()}) == 1


def test_exact_decimals_from_the_venues_text(recordings_dir: Path) -> None:
    report = decode_files(recording_files(recordings_dir, "BINANCE"), "BINANCE")
    first, second = report.rows[TRADE.event_type]
    exact = [int(first[name]) for name in ("price", "price_exponent", "size", "size_exponent")]
    assert exact == [35280000, -8, 5800000000, -8]
    assert int(first["trade_id"]) == 15683430
    assert int(first["aggressor"]) == 1
    assert int(first["venue_time_ns"]) == 1633998523963_000_000
    assert (int(second["price"]), int(second["price_exponent"])) == (638, -8)


def _number(mantissa: Any, exponent: Any) -> Decimal:
    return Decimal(int(mantissa)).scaleb(int(exponent))


def _ladder(side: Any) -> Ladder:
    return {_number(*price): _number(*size) for price, size in side}


@pytest.mark.parametrize("source", ["OKX", "KRAKEN_FUTURES"])
def test_another_connection_that_is_a_little_behind_takes_no_book_back(
    source: str, recordings_dir: Path, tmp_path: Path
) -> None:
    """One of the two sums its books, the other one numbers them: what is told again later fits neither."""
    once = recording_files(recordings_dir, source)
    for path in once:
        shutil.copy(path, tmp_path)
    with (
        gzip.open(recordings_dir / f"{source}.ws.1.0.gz", "rt") as told,
        gzip.open(tmp_path / f"{source}.ws.2.0.gz", "wt") as again,
    ):
        again.writelines(LINE_TIME.sub(lambda found: f"{float(found[0]) + 0.35:.7f}", line, count=1) for line in told)
    expected, found = decode_files(once, source), decode_files(recording_files(tmp_path, source), source)
    assert found.frames == 2 * expected.frames
    assert found.resyncs == 0
    assert found.book_updates == expected.book_updates
    for symbol, machine in expected.books.items():
        assert found.books[symbol].synced == machine.synced
        assert list(found.books[symbol].book.bids) == list(machine.book.bids)
        assert list(found.books[symbol].book.asks) == list(machine.book.asks)
    assert found.count(TRADE.event_type) == 2 * expected.count(TRADE.event_type)
