"""What a row says beyond its numbers: which book is crossed or one-sided, what is absent, what did not fit."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from alphapulse.api.marketdata.v1 import marketdata_pb2
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.ids import source_id
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.domain.wide import WideDecimal, mantissa_of
from alphapulse.records import BOOK_LEVEL, LAYOUTS, QUOTE, TRADE, WIDE_AMOUNT, Rows, compile_writer
from collector_service.amounts import parse_amount
from collector_service.book import SnapshotUpdatesMachine
from collector_service.book.machine import ASK, BID, LevelChange
from collector_service.emitter import MAX_UNKNOWN, Emitter
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.rows import RowSink, as_array
from collector_service.sources import SOURCES


@pytest.fixture
def out() -> Emitter:
    listings = ListingIndex("COINBASE")
    listings.learn([VenueSymbol("BTC-USD", "BTC", "USD", frozenset({"USD"}))])
    return Emitter("COINBASE", listings, RowSink(source_id("COINBASE")), Provenance.LIVE, SnapshotUpdatesMachine)


def levels(side: int, *texts: tuple[str, str]) -> list[LevelChange]:
    return [(side, parse_amount(price), parse_amount(size)) for price, size in texts]


def rows_of(out: Emitter, kind: int) -> Rows:
    return as_array(LAYOUTS[kind], out.sink.take()[kind])


def test_a_book_update_is_marked_at_its_ends(out: Emitter) -> None:
    out.snapshot("BTC-USD", levels(BID, ("99", "1"), ("98", "1")) + levels(ASK, ("101", "2")), last=7)
    out.update("BTC-USD", levels(BID, ("100", "1")), last=8)
    flags = rows_of(out, BOOK_LEVEL.event_type)["flags"] & 0xFFFFFFFC
    begin, end = RecordFlag.SNAPSHOT_BEGIN, RecordFlag.LAST_OF_UPDATE
    assert flags.tolist() == [int(begin), 0, int(end), int(end)]


def test_crossed_and_one_sided_books_are_marked(out: Emitter) -> None:
    out.snapshot("BTC-USD", levels(BID, ("99", "1")))
    out.update("BTC-USD", levels(ASK, ("98", "1")))
    out.update("BTC-USD", levels(BID, ("99", "0")))
    flags = rows_of(out, BOOK_LEVEL.event_type)["flags"]
    marks = RecordFlag.CROSSED | RecordFlag.BID_ABSENT | RecordFlag.ASK_ABSENT
    assert [int(one) & marks for one in flags] == [RecordFlag.ASK_ABSENT, RecordFlag.CROSSED, RecordFlag.BID_ABSENT]


def test_what_a_venue_did_not_give_is_marked_never_zero_as_a_value(out: Emitter) -> None:
    out.quote("BTC-USD", (15, -1), None, (0, 0), (225, -2))
    out.quote("BTC-USD", (250, -2), (1, 0), (25, -1), (3, 0))
    first, second = rows_of(out, QUOTE.event_type)
    assert int(first["flags"]) == Provenance.LIVE | RecordFlag.BID_SIZE_ABSENT | RecordFlag.ASK_ABSENT
    assert (int(first["bid_price"]), int(first["price_exponent"])) == (15, -1)
    assert (int(first["ask_size"]), int(first["size_exponent"])) == (225, -2)
    # Both prices stand at one exponent.
    assert (int(second["bid_price"]), int(second["ask_price"]), int(second["price_exponent"])) == (250, 250, -2)
    assert int(second["flags"]) & RecordFlag.CROSSED


def test_what_does_not_fit_is_marked(out: Emitter) -> None:
    out.trade("BTC-USD", (1, 0), parse_amount("99999999999999999999.5"))
    row = rows_of(out, TRADE.event_type)[0]
    assert int(row["flags"]) & RecordFlag.OVERSIZE
    assert int(row["size"]) == 0


@pytest.mark.parametrize(
    ("size", "carried"),
    [
        ("99999999999999999999.5", True),
        (f"{2**256 - 1}", True),
        (f"{2**256 - 1}e-18", True),
        (f"{2**256}", False),
        ("5" + "0" * 30, False),  # zeros at the end fit the row itself
    ],
)
def test_an_amount_that_fits_no_row_comes_whole_before_its_trade(out: Emitter, size: str, carried: bool) -> None:
    out.trade("BTC-USD", (1, 0), (5, 0), trade_id=6)
    out.trade("BTC-USD", (1, 0), parse_amount(size), trade_id=7, time_ns=3)
    assert len(out.sink) == 2 + carried
    taken = out.sink.take()
    assert list(taken) == [WIDE_AMOUNT.event_type, TRADE.event_type][not carried :]
    if carried:
        (row,) = as_array(WIDE_AMOUNT, taken[WIDE_AMOUNT.event_type])
        mantissa = mantissa_of([row[f"word_{place}"] for place in range(4)])
        assert WideDecimal(mantissa, int(row["exponent"])).to_decimal() == Decimal(size)
        named = ("trade_id", "kind", "venue_time_ns", "flags")
        assert [int(row[name]) for name in named] == [7, marketdata_pb2.AMOUNT_KIND_SIZE, 3, Provenance.LIVE]


def test_a_message_that_fails_takes_its_wide_amounts_back(out: Emitter) -> None:
    mark = out.sink.mark()
    out.trade("BTC-USD", parse_amount(f"{2**200}"), parse_amount(f"{2**255}"), trade_id=7)
    assert len(out.sink.wide_amounts) == 2
    out.sink.undo(mark)
    assert (len(out.sink), out.sink.take()) == (0, {})


def test_symbols_outside_the_list_are_bounded(out: Emitter) -> None:
    for number in range(MAX_UNKNOWN):
        out.trade(f"S{number}", (1, 0), (1, 0))
    with pytest.raises(InvalidArgument):
        out.trade("one more", (1, 0), (1, 0))
    out.trade("BTC-USD", (1, 0), (1, 0))
    keys = rows_of(out, TRADE.event_type)["listing_key"]
    assert len(set(keys.tolist())) == MAX_UNKNOWN + 1


@pytest.mark.parametrize("kind", sorted(LAYOUTS))
def test_the_writer_of_every_layout_agrees_with_the_layout(kind: int) -> None:
    layout = LAYOUTS[kind]
    values = [f"text {k}".encode() if name in layout.texts else k for k, name in enumerate(layout.fields, 1)]
    row = compile_writer(layout)(*values)
    assert layout.is_rows(row)
    assert [layout.from_bytes(row)[0][name].item() for name in layout.fields] == values


def test_the_dialects_of_a_source_leave_no_time_uncovered() -> None:
    for spec in SOURCES.values():
        for earlier, later in pairwise(spec.dialects):
            assert earlier.valid_to == later.valid_from
        assert spec.dialect_at(1_790_000_000_000_000_000) is spec.live
