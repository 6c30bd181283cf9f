"""Formats of before that no recording here holds: files are written as recordings are, and decoded. Each venue has a module in `older/`."""

from __future__ import annotations

import gzip
import importlib
import json
import pkgutil
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.records import QUOTE, TRADE
from collector import older
from collector.older import Recording
from collector_service.decode import DecodeReport, decode_files, read_instruments, recording_files
from collector_service.instruments import instrument_of
from collector_service.listing_index import ListingIndex
from collector_service.session import Session
from collector_service.sources import source_named
from collector_service.transport.base import Send
from collector_service.transport.recording import is_stream, read_recording

SIDES: Final = {1: "buy", 2: "sell"}
FLAGS: Final = (
    ("bid_price", RecordFlag.BID_ABSENT),
    ("bid_size", RecordFlag.BID_ABSENT | RecordFlag.BID_SIZE_ABSENT),
    ("ask_price", RecordFlag.ASK_ABSENT),
    ("ask_size", RecordFlag.ASK_ABSENT | RecordFlag.ASK_SIZE_ABSENT),
)
LATER: Final = 1_688_000_000
"""Seconds since the Unix epoch: in June 2023."""
ENDED: Final = frozenset({"BITCOINCOM", "OKCOIN"})
"""Whose format was another one by then."""
NAMES: Final = sorted(module.name.upper() for module in pkgutil.iter_modules(older.__path__))


def _recording(name: str) -> Recording:
    found: Recording = importlib.import_module(f"collector.older.{name.lower()}").RECORDING
    return found


def _write(folder: Path, name: str, told: Recording) -> None:
    """One file for the lists, one a connection; a frame a millisecond."""
    with gzip.open(folder / f"{name}.0.gz", "wt") as file:
        for url, answer in told.lists.items():
            file.write(f"{url} -> {told.at}.5: {json.dumps(answer)}\n")
        file.write("configuration: {}\n")
    if told.asked:
        with gzip.open(folder / f"{name}.http.0.0.gz", "wt") as file:
            for url, answer in told.asked.items():
                file.write(f"{url} -> {told.at}.7: {json.dumps(answer)}\n")
    for number, (url, frames) in enumerate(told.connections.items(), 1):
        with gzip.open(folder / f"{name}.ws.{number}.0.gz", "wt") as file:
            address = url.partition(" ")[0]
            file.write(f"{address} <-> {told.at}.6\n{address} <- {told.at}.6: {{}}\n")
            for place, frame in enumerate(frames):
                text = frame if isinstance(frame, str) else json.dumps(frame)
                file.write(f"{told.at}.7{place:03}: {text}\n")


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def told(name: str) -> Recording:
    return _recording(name)


@pytest.fixture(scope="module")
def files(name: str, told: Recording, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp(name.lower())
    _write(folder, name, told)
    return recording_files(folder, name)


@pytest.fixture(scope="module")
def report(name: str, files: list[Path]) -> DecodeReport:
    return decode_files(files, name)


def test_the_list_is_read(name: str, told: Recording, files: list[Path]) -> None:
    assert told.of.startswith("http")
    listed = read_instruments(files, name)
    assert len(listed.refused) == len(told.unlisted)
    assert all(reason in line for line, reason in zip(listed.refused, told.unlisted, strict=True))
    venue = source_named(name).venue
    assert {entry.symbol: instrument_of(entry, venue).name for entry in listed.entries} == told.listed
    rules = {entry.symbol: entry.rules for entry in listed.entries}
    assert {symbol: str(rules[symbol].tick_size) for symbol in told.ticks} == told.ticks
    assert {symbol: str(rules[symbol].lot_size) for symbol in told.lots} == told.lots


def test_everything_is_understood(told: Recording, report: DecodeReport) -> None:
    assert report.frames == sum(map(len, told.connections.values()))
    assert not report.rejects
    assert not report.unknown_messages
    assert not report.unknown_symbols
    assert not report.unknown_values
    assert not report.venue_errors
    assert len(report.refused_lines) == len(told.unlisted)
    assert report.resyncs == 0


def test_trades_and_quotes_are_what_was_said(told: Recording, report: DecodeReport) -> None:
    assert tuple(_trade(report, row) for row in report.rows.get(TRADE.event_type, ())) == told.trades
    assert tuple(_quote(report, row) for row in report.rows.get(QUOTE.event_type, ())) == told.quotes


def test_books_are_in_step(told: Recording, report: DecodeReport) -> None:
    assert sum(report.book_updates.values()) == told.updates
    assert set(report.books) == set(told.books)
    for symbol, machine in report.books.items():
        assert machine.synced, symbol
        for side, wanted in zip((machine.book.bids, machine.book.asks), told.books[symbol], strict=True):
            found = {_number(*price): _number(*size) for price, size in side}
            assert found == {Decimal(price): Decimal(size) for price, size in wanted.items()}, symbol


def test_the_venue_hears_what_it_wants_to(name: str, told: Recording, files: list[Path]) -> None:
    spec = source_named(name)
    listings = ListingIndex(spec.venue)
    listings.learn(read_instruments(files, name).entries)
    session = Session(spec, listings, Provenance.REPLAY)
    said = [
        request.text
        for arrival in read_recording(filter(is_stream, files))
        for request in session.handle(arrival)
        if isinstance(request, Send)
    ]
    assert tuple(said) == told.replies


def test_it_was_spoken_in_2023_still(name: str, told: Recording, tmp_path_factory: pytest.TempPathFactory) -> None:
    if name in ENDED:
        pytest.skip("its format was another one by then")
    folder = tmp_path_factory.mktemp(f"{name.lower()}_later")
    _write(folder, name, replace(told, at=LATER))
    found = recording_files(folder, name)
    assert {entry.symbol for entry in read_instruments(found, name).entries} == set(told.listed)
    later = decode_files(found, name)
    test_everything_is_understood(told, later)
    test_trades_and_quotes_are_what_was_said(told, later)
    test_books_are_in_step(told, later)


def _number(mantissa: Any, exponent: Any) -> Decimal:
    return Decimal(int(mantissa)).scaleb(int(exponent))


def _time(nanos: int) -> str | None:
    """To the last digit that is not zero."""
    if not nanos:
        return None
    second = datetime.fromtimestamp(nanos // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{nanos % 10**9:09}".rstrip("0")
    return f"{second}.{fraction}Z" if fraction else f"{second}Z"


def _trade(report: DecodeReport, row: Any) -> tuple[Any, ...]:
    return (
        report.listings.symbol_of_key(int(row["listing_key"])),
        format(_number(row["price"], row["price_exponent"]), "f"),
        format(_number(row["size"], row["size_exponent"]), "f"),
        SIDES.get(int(row["aggressor"])),
        int(row["trade_id"]),
        _time(int(row["venue_time_ns"])),
    )


def _quote(report: DecodeReport, row: Any) -> tuple[Any, ...]:
    amounts = [
        None
        if int(row["flags"]) & flag
        else format(_number(row[field], row[f"{field.rpartition('_')[2]}_exponent"]).normalize(), "f")
        for field, flag in FLAGS
    ]
    symbol = report.listings.symbol_of_key(int(row["listing_key"]))
    return (symbol, *amounts, _time(int(row["venue_time_ns"])))
