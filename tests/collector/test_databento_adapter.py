"""Databento: its client library against a local gateway that speaks the protocol (challenge and response, then records), and its records as the
library reads them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import FailedPrecondition
from alphapulse.domain.instruments import ExerciseStyle, FutureDetails, OptionDetails
from alphapulse.domain.provenance import RecordFlag
from alphapulse.records import BOOK_LEVEL, QUOTE, TRADE, TRADING_STATUS
from collector.databento_gateway import (
    GLBX,
    KEY,
    NOW,
    UNIT,
    Run,
    book,
    dbn,
    definition,
    gateway,
    level,
    mapping,
    quote,
    session_of,
    trade,
    transport,
)
from collector_service.databento_adapter import catalogue, records
from collector_service.databento_adapter.definitions import instruments
from collector_service.instruments import instrument_of, listing_of
from collector_service.listings import VenueSymbol
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.sources import SOURCES
from collector_service.spec import Channel
from collector_service.transport.base import Arrival, ArrivalKind, TransportError


async def test_definitions_are_listed_as_what_they_are_and_read_anew_with_each_list() -> None:
    async with gateway() as made:
        made.definitions = [
            definition(7, "ESZ6"),
            definition(9, "ESZ6-ESH7", "S"),
            definition(11, "AAPL", "K", exchange="XNAS", security_type="CS", min_price_increment=UNIT // 100, min_lot_size_round_lot=100),
            definition(12, "CLX6", expiration=records._NO_TIME),
            # Before the future that it is of.
            definition(5, "ESZ6 C6000", "C", underlying="ESZ6", strike_price=6000 * UNIT, cfi="OCAFPS"),
            definition(6, "ESH9 P6000", "P", underlying="ESH9", strike_price=6000 * UNIT, cfi="OPAFPS"),
            definition(8, "ESZ6 P1", "P", underlying="ESZ6", strike_price=UNIT, cfi=""),
        ]  # fmt: skip
        async with transport(made, "GLBX.MDP3", "AAPL", "MSFT", "ES.FUT") as way:
            told = await way.instruments(GLBX)
        assert [(one["stype_in"], one["symbols"]) for one in made.subscribed] == [
            ("raw_symbol", "AAPL,MSFT"),
            ("parent", "ES.FUT"),
        ]
    share, future, option = told.entries
    assert [one.partition(":")[0] for one in told.refused] == ["CLX6", "ESH9 P6000", "ESZ6 P1"]
    assert option.on == future
    of = instrument_of(option, "DATABENTO_GLBX")
    assert isinstance(of.details, OptionDetails)
    assert of.details.underlying_id == instrument_of(future, "DATABENTO_GLBX").id
    assert (of.name, of.details.venue, of.details.series) == ("ES 2026-12-18 6000 call", "XCME", "ES")
    assert (of.details.style, of.details.contract_size) == (ExerciseStyle.AMERICAN, None)
    assert (share.symbol, share.quote, share.place("X"), str(share.rules.tick_size), str(share.rules.lot_size)) == (
        "AAPL",
        "USD",
        "XNAS",
        "0.01",
        "100",
    )
    made_of = instrument_of(future, "DATABENTO_GLBX")
    assert made_of.asset_class is AssetClass.FUTURE
    assert isinstance(made_of.details, FutureDetails)
    assert (made_of.details.series, made_of.details.venue, str(made_of.details.contract_size)) == ("ES", "XCME", "50")
    assert (made_of.name, str(made_of.details.expiry)) == ("ES 2026-12-18", "2026-12-18 00:00:00+00:00")
    listing = listing_of(future, "DATABENTO_GLBX")
    assert (listing.venue, listing.symbol, listing.currency) == ("XCME", "ESZ6", "USD")


async def test_a_session_gives_trades_quotes_books_and_statuses_exactly_and_again_after_it_broke() -> None:
    async with gateway() as made:
        made.definitions = [definition(7, "ESZ6")]
        async with Run(transport(made, "GLBX.MDP3", "ES.FUT")) as run:
            session = run.session
            await made.until(1, 4)
            streamed = [one for one in made.subscribed if one["schema"] != "definition"]
            assert {one["schema"] for one in streamed} == {"trades", "status", "mbp-1", "mbp-10"}
            assert {one["symbols"] for one in streamed} == {"ESZ6"}
            made.say(
                mapping(7, "ESZ6"),
                trade(7, 6_000_250_000_000, 3, "A"),
                quote(7, level(6_000_000_000_000, 6_000_250_000_000, 5, 6)),
                # On its way from one state to the next: told by nobody.
                book(7, [level(UNIT, 2 * UNIT, 1, 1)], flags=0),
                book(7, [level(6_000_000_000_000, 6_000_250_000_000, 5, 6), level(5_999_750_000_000, records._NO_PRICE, 9, 0)]),
                dbn.SystemMsg(NOW, "Heartbeat", dbn.SystemCode.HEARTBEAT),
                dbn.StatusMsg(1, 7, NOW, NOW, action=dbn.StatusAction.HALT),
            )  # fmt: skip
            await run.until(
                {TRADE.event_type: 1, QUOTE.event_type: 1, BOOK_LEVEL.event_type: 3, TRADING_STATUS.event_type: 1}
            )
            machine = session.emitter.books["ESZ6"]
            assert [list(side) for side in (machine.book.bids, machine.book.asks)] == [
                [((6000, 0), (5, 0)), ((599_975, -2), (9, 0))],
                [((600_025, -2), (6, 0))],
            ]
            made.streams[-1].transport.abort()
            await made.until(2, 8)
            assert not machine.synced
            # The same instrument, of another number.
            made.say(mapping(8, "ESZ6"), trade(8, 6_000_500_000_000))
            await run.until({TRADE.event_type: 2})
            rows = as_array(TRADE, session.sink.trades)
            assert set(rows["listing_key"].tolist()) == {session.emitter.listings.key("ESZ6")}
            assert session.take_gaps() == [("RECONNECTED", 0)]
            assert not session.rejects
            assert not session.unknown_messages


def frame(session: Session, told: Any) -> None:
    session.handle(Arrival(ArrivalKind.FRAME, NOW, bytes(told)))


def opened(*told: Any) -> Session:
    """A session that knows ESZ6 as number 7."""
    entry = catalogue_entry()
    session = session_of([entry])
    session.handle(Arrival(ArrivalKind.OPENED, NOW))
    for one in (mapping(7, "ESZ6"), *told):
        frame(session, one)
    return session


def catalogue_entry() -> VenueSymbol:
    return instruments([definition(7, "ESZ6")]).entries[0]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**63 - 2), st.integers(0, 2**32 - 1), st.sampled_from("ABN"), st.integers(0, 2**63 - 1)
)  # fmt: skip
def test_a_trade_is_what_the_library_reads_to_the_last_digit(units: int, size: int, side: str, at: int) -> None:
    record = dbn.TradeMsg(1, 7, at, units, size, dbn.Action.TRADE, dbn.Side(side), 0, NOW, flags=128)
    session = opened(record)
    (row,) = as_array(TRADE, session.sink.trades)
    price = Decimal(int(row["price"])).scaleb(int(row["price_exponent"]))
    assert (price, int(row["size"]), int(row["venue_time_ns"])) == (Decimal(record.price).scaleb(-9), record.size, at)
    assert int(row["aggressor"]) == {"B": 1, "A": 2, "N": 0}[side]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.integers(1, 2**40)] * 2, *[st.integers(0, 2**32 - 1)] * 2), max_size=10))
def test_levels_are_those_the_library_reads(told: list[tuple[int, int, int, int]]) -> None:
    record = book(7, [level(*one) for one in told])
    read = [(one.bid_px, one.ask_px, one.bid_sz, one.ask_sz, one.bid_ct, one.ask_ct) for one in record.levels]
    assert records.levels(bytes(record)) == read
    assert len(read) == 10
    assert records.head(bytes(record)) == (records.BOOKS, 7, NOW + 8)


def test_a_number_stands_for_what_was_told_last_and_for_nothing_before() -> None:
    session = opened()
    frame(session, trade(8, UNIT))
    assert session.rejects == {"CHANNEL_UNKNOWN": 1}
    frame(session, mapping(8, "ESH7"))
    # Of yesterday: it ended before the record was made.
    frame(session, mapping(8, "ESZ5", end=NOW - 1))
    frame(session, trade(8, UNIT))
    assert session.emitter.unknown_symbols == ("ESH7",)
    # The number goes to another instrument.
    frame(session, mapping(8, "ESZ6"))
    frame(session, trade(8, UNIT))
    keys = as_array(TRADE, session.sink.trades)["listing_key"].tolist()
    assert keys[1] == session.emitter.listings.key("ESZ6")
    # Numbers are those of a connection.
    session.handle(Arrival(ArrivalKind.CLOSED, NOW, b"gone"))
    frame(session, trade(7, UNIT))
    assert session.rejects == {"CHANNEL_UNKNOWN": 2}


def test_what_databento_lost_or_left_out_is_told_once() -> None:
    bad = records.LAST | records.MAYBE_BAD_BOOK
    one = [level(UNIT, 2 * UNIT, 1, 1)]
    session = opened(book(7, one, bad), book(7, one, bad), book(7, one), book(7, one, bad))
    key = session.emitter.listings.key("ESZ6")
    assert session.take_gaps() == [("MAYBE_BAD_BOOK", key)] * 2
    skipped = dbn.ErrorCode.SKIPPED_RECORDS_AFTER_SLOW_READING
    frame(session, dbn.ErrorMsg(NOW, "Skipped 9 records", is_last=True, code=skipped))
    assert session.take_gaps() == [("RECORDS_SKIPPED", 0)]
    frame(session, dbn.ErrorMsg(NOW, "no", is_last=True, code=dbn.ErrorCode.INVALID_SUBSCRIPTION))
    assert session.venue_errors == {"error": 1}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (b"", "UNDECODABLE"),
        (b"\x0c\x00\x01", "UNDECODABLE"),
        (b"\x0c" * 40, "RECORD_LENGTH"),
        (lambda: bytes(trade(7, -UNIT)), "AMOUNT_NEGATIVE"),
        (lambda: bytes(trade(7, records._NO_PRICE)), "FIELD_MISSING"),
        (lambda: bytes(dbn.TradeMsg(1, 7, NOW, UNIT, 1, dbn.Action.CANCEL, dbn.Side.NONE, 0, NOW)), "ACTION_OTHER"),
        (lambda: bytes(trade(7, UNIT))[:24] + b"\0" * 24, "ACTION_OTHER"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused_alone(told: Any, reason: str) -> None:
    session = opened()
    session.handle(Arrival(ArrivalKind.FRAME, NOW, told if isinstance(told, bytes) else told()))
    assert session.rejects == {reason: 1}
    frame(session, trade(7, UNIT))
    assert len(session.sink.trades) == 1
    empty = opened(book(7, []))
    assert empty.emitter.books["ESZ6"].synced
    assert not empty.rejects


def test_a_quote_with_one_side_says_so() -> None:
    session = opened(quote(7, level(UNIT, records._NO_PRICE, 4, 0)))
    (row,) = as_array(QUOTE, session.sink.quotes)
    assert row["flags"] & RecordFlag.ASK_ABSENT
    assert not row["flags"] & RecordFlag.BID_ABSENT


async def test_a_gateway_that_refuses_breaks_off_or_is_not_there_is_told() -> None:
    async with gateway() as made:
        async with transport(made, "GLBX.MDP3", "ES.FUT", key="db-anotherkeyanotherkeyanotherke") as way:
            with pytest.raises(TransportError, match=r"the key is refused: Authentication failed") as refused:
                await way.instruments(GLBX)
        assert refused.value.retry_after == 60.0
        assert "another" not in str(refused.value)
        made.definitions, made.drops_lists = [definition(7, "ESZ6")], True
        async with transport(made, "GLBX.MDP3", "ES.FUT") as way:
            with pytest.raises(TransportError, match="the list is not complete"):
                await way.instruments(GLBX)
    async with transport(made, "GLBX.MDP3", "ES.FUT") as way:
        with pytest.raises(TransportError, match=r"127\.0\.0\.1"):
            await way.instruments(GLBX)


async def test_a_gateway_that_falls_silent_is_left() -> None:
    async with gateway() as made, transport(made, "GLBX.MDP3", "ES.FUT", silence_seconds=0.05) as way:
        kinds = []
        async for arrival in way.arrivals(1):
            kinds.append((arrival.kind, arrival.data))
            if len(kinds) == 3:
                break
    assert [kind for kind, _ in kinds] == [ArrivalKind.OPENED, ArrivalKind.CLOSED, ArrivalKind.OPENED]
    assert b"has said nothing" in kinds[1][1]


def test_the_environment_says_what_is_read_and_where() -> None:
    one = catalogue.DATA_SETS[0]
    told = catalogue.place_of(one, {"DATABENTO_API_KEY": KEY, "DATABENTO_XNAS_SYMBOLS": " AAPL, MSFT,AAPL "})
    assert (told.host, told.port, told.symbols) == ("xnas-itch.lsg.databento.com", 13_000, ("AAPL", "MSFT"))
    for wrong, said in (
        ({}, "needs DATABENTO_API_KEY"),
        ({"DATABENTO_API_KEY": KEY, "DATABENTO_GATEWAY": "host"}, "host:port"),
        ({"DATABENTO_API_KEY": KEY, "DATABENTO_XNAS_SYMBOLS": " , "}, "symbols with commas"),
    ):
        with pytest.raises(FailedPrecondition, match=said):
            catalogue.place_of(one, wrong)
    schemas = {name: SOURCES[name].live.subscribe([catalogue_entry()], list(Channel)) for name in ("DATABENTO_EQUS", "DATABENTO_XNAS")}  # fmt: skip
    assert [len(frames) for frames in schemas.values()] == [2, 4]
