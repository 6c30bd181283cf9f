"""Interactive Brokers: the client of ib_async against a small TWS that speaks its wire protocol, field by field; books held against rows kept by
hand; details of contracts against the library's own reading."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ib_async.decoder import Decoder

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import FailedPrecondition
from alphapulse.domain.identifiers import Scheme
from alphapulse.domain.instruments import FutureDetails
from alphapulse.domain.provenance import Provenance
from alphapulse.records import QUOTE, TRADE
from collector.tws_server import APPLE, ES, NOW, SOURCE, VERSION, Run, details, transport, tws
from collector_service.instruments import instrument_of, listing_of
from collector_service.listing_index import ListingIndex
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.sources import source_named
from collector_service.spec import ASK, BID, Channel
from collector_service.transport.base import Arrival, ArrivalKind, Send, TransportError
from collector_service.tws_adapter import catalogue, contracts
from collector_service.tws_adapter.depth import ROWS, Depth, OutOfStepError


async def test_contracts_are_listed_with_what_tws_tells_of_them() -> None:
    async with tws() as made:
        several = details("4", "VOD", "STK", con_id="7")
        made.known["VOD"] = lambda request: [several, [*several[:12], "8", *several[13:]]]
        made.known["BP"] = lambda request: [details(request, "BP", "STK", magnifier="100")]
        wanted = "AAPL:SMART:USD,ESZ6:CME,NONE:SMART:USD,VOD:SMART:GBP,BP:SMART:GBP:LSE"
        async with transport(made, wanted) as way:
            listed = await way.instruments(SOURCE)
        assert made.clients == ["11"]
    share, future = listed.entries
    assert [one.partition(":")[0] for one in listed.refused] == ["NONE at SMART", "VOD at SMART", "BP at SMART"]
    assert "No security definition has been found for the request (200)" in listed.refused[0]
    assert "2 contracts" in listed.refused[1]
    assert share.security is not None
    assert [(scheme, value) for scheme, _, value in share.security.identifiers] == [(Scheme.ISIN, "US0378331005")]
    assert (share.symbol, share.place("X"), share.security.name, share.security.kind) == ("AAPL", "XNAS", "APPLE INC", AssetClass.EQUITY)  # fmt: skip
    made_of = instrument_of(future, SOURCE.venue)
    assert isinstance(made_of.details, FutureDetails)
    assert (made_of.name, made_of.details.series, str(made_of.details.contract_size)) == ("ES 2026-12-18", "ES", "50")
    assert (listing_of(future, SOURCE.venue).venue, str(future.rules.tick_size)) == ("XCME", "0.25")


def test_details_are_read_as_the_library_reads_them() -> None:
    class Taken:
        def contractDetails(self, request: int, told: Any) -> None:
            self.told = told

    for fields in (details("3", "AAPL", "STK", **APPLE), details("3", "ES", "FUT", **ES)):
        taken = Taken()
        decoder = Decoder(taken, VERSION)
        decoder.interpret(list(fields))
        theirs, ours = taken.told, contracts.read_details(fields)
        held = theirs.contract
        assert [ours[name] for name in ("symbol", "type", "exchange", "currency", "local", "class", "multiplier", "primary")] == [
            held.symbol, held.secType, held.exchange, held.currency, held.localSymbol, held.tradingClass, held.multiplier, held.primaryExchange,
        ]  # fmt: skip
        assert (int(ours["con_id"]), float(ours["tick"]), int(ours["magnifier"]), ours["name"], ours["stock_type"]) == (
            held.conId, theirs.minTick, theirs.priceMagnifier, theirs.longName, theirs.stockType,
        )  # fmt: skip
        assert ours["times"].startswith(held.lastTradeDateOrContractMonth)
        assert [(one.tag, one.value) for one in theirs.secIdList] == list(ours.identifiers)


async def test_trades_and_quotes_keep_their_digits_and_delayed_ones_are_refused() -> None:
    async with tws() as made, Run(transport(made), Channel.TRADES, Channel.QUOTES) as run:
        await made.until(lambda: len(made.requests("97")) == 2 and len(made.requests("1")) == 2)
        assert made.requests("59") == [["59", "1", "1"]]
        assert [one[1] for one in made.requests("97")] == ["1", "2"]
        assert {one[14] for one in made.requests("97")} == {"AllLast"}
        assert [(one[2], one[3], one[10]) for one in made.requests("1")] == [
            ("3", "265598", "SMART"),
            ("4", "495512563", "CME"),
        ]
        sink = run.session.sink
        made.say(
            (58, 1, 4, 1),
            (99, 2, 2, 1_790_000_001, "6000.250", "3", 0, "CME", ""),
            (1, 6, 4, 1, "6000.00", "5", 1),
            (2, 6, 4, 0, "5"),
            (1, 6, 4, 2, "6000.25", "7", 1),
            (1, 6, 4, 4, "6000.25", "3", 0),
            (1, 6, 4, 1, "-1", "0", 1),
            (58, 1, 3, 3),
            (1, 6, 3, 1, "230.10", "100", 1),
            (99, 1, 1, 1_790_000_001, "230.12", "10", 0, "NASDAQ", ""),
        )
        await run.until(lambda: run.session.rejects or len(sink.trades) == 2)
        assert not run.session.rejects
        trades, quotes = as_array(TRADE, sink.trades), as_array(QUOTE, sink.quotes)
        first = trades[0]
        assert (int(first["price"]), int(first["price_exponent"]), int(first["size"]), int(first["venue_time_ns"])) == (
            6_000_250, -3, 3, 1_790_000_001 * 10**9,
        )  # fmt: skip
        key = run.session.emitter.listings.key
        assert {int(one) for one in trades["listing_key"]} == {key("ESZ6"), key("AAPL")}
        # The bid, then both, then the offer alone; a size that was told already is no news, and what is delayed is none.
        assert len(quotes) == 3
        assert set(quotes["listing_key"].tolist()) == {key("ESZ6")}
        assert run.session.take_gaps() == [("NOT_LIVE", key("AAPL"))]
        assert run.session.unknown_values == {"marketDataType=3": 1}


def shown(session: Session, symbol: str = "ESZ6") -> list[list[tuple[Decimal, Decimal]]]:
    book = session.emitter.books[symbol].book
    number = lambda one: Decimal(one[0]).scaleb(one[1])  # noqa: E731
    return [[(number(price), number(size)) for price, size in side] for side in (book.bids, book.asks)]


async def test_a_book_is_kept_by_position_and_begun_anew_where_a_row_cannot_be_there() -> None:
    async with tws() as made, Run(transport(made, "ESZ6:CME"), Channel.BOOKS) as run:
        session = run.session
        await made.until(lambda: made.requests("10"))
        assert made.requests("10")[0][2:4] == ["1", "495512563"]
        assert made.requests("10")[0][-2:] == ["10", "0"]
        made.say(
            (12, 1, 1, 0, 0, 1, "6000", "5"), (12, 1, 1, 1, 0, 1, "5999.75", "6"), (12, 1, 1, 0, 0, 0, "6000.25", "4")
        )
        await run.until(lambda: "ESZ6" in session.emitter.books)
        # It was settled by its time: the whole image at once.
        assert shown(session) == [[(6000, 5), (Decimal("5999.75"), 6)], [(Decimal("6000.25"), 4)]]
        made.say(
            (13, 1, 1, 0, "A", 0, 1, "6000", "1", 1),
            (13, 1, 1, 2, "B", 2, 1, "0", "0", 1),
            (12, 1, 1, 0, 1, 0, "6000.50", "9"),
        )
        await run.until(lambda: shown(session)[1] == [(Decimal("6000.50"), 9)])
        assert shown(session)[0] == [(6000, 6)]
        made.say((12, 1, 1, 7, 1, 1, "5990", "1"))
        await made.until(lambda: len(made.requests("10")) == 2)
        assert made.requests("11") == [["11", "1", "1", "0"]]
        assert made.requests("10")[1][2] == "2"
        assert not session.emitter.books["ESZ6"].synced
        # Of the request that is over nothing is taken.
        made.say((12, 1, 1, 0, 0, 1, "1", "1"), (12, 1, 2, 0, 0, 1, "5998", "2"), (12, 1, 2, 0, 1, 1, "5998", "3"))
        await run.until(lambda: session.emitter.books["ESZ6"].synced)
        assert shown(session) == [[(5998, 3)], []]
        key = session.emitter.listings.key("ESZ6")
        assert session.take_gaps() == [("BOOK_RESYNC", key)]
        # Out of step again so soon, it is not asked for: nothing that comes makes a book.
        made.say((12, 1, 2, 5, 1, 1, "1", "1"), (12, 1, 2, 0, 0, 1, "2", "2"), (12, 1, 2, 0, 1, 1, "3", "3"))
        await run.until(lambda: session.resyncs == 2 and session.frames >= 15)
        assert not session.emitter.books["ESZ6"].synced
        assert session.take_gaps() == [("BOOK_RESYNC", key)]
        made.say((4, 2, 2, 317, "Market depth data has been RESET.", ""), (12, 1, 2, 0, 0, 0, "7", "1"))
        await run.until(lambda: session.emitter.books["ESZ6"].synced and shown(session)[1])
        assert shown(session) == [[], [(7, 1)]]
        assert session.take_gaps() == [("BOOK_RESET", key)]
        assert not session.rejects
        assert not session.unknown_messages


async def test_what_is_lost_between_tws_and_its_servers_is_told_and_asked_for_anew() -> None:
    async with tws() as made, Run(transport(made, "ESZ6:CME"), Channel.TRADES, Channel.BOOKS) as run:
        session = run.session
        await made.until(lambda: made.requests("10"))
        made.say((12, 1, 2, 0, 0, 1, "6000", "5"), (12, 1, 2, 0, 1, 1, "6000", "6"))
        await run.until(lambda: "ESZ6" in session.emitter.books)
        made.say((4, 2, -1, 1100, "Connectivity between IB and Trader Workstation has been lost.", ""))
        await run.until(lambda: session.gaps)
        assert session.take_gaps() == [("CONNECTIVITY_LOST", 0)]
        assert not session.emitter.books["ESZ6"].synced
        made.say((4, 2, -1, 1102, "Connectivity has been restored - data maintained.", ""))
        await made.until(lambda: len(made.requests("10")) == 2)
        assert len(made.requests("97")) == 1
        made.say((4, 2, -1, 1101, "Connectivity has been restored - data lost.", ""))
        await made.until(lambda: len(made.streams) == 3 and len(made.requests("97")) == 2)
        assert ("RECONNECTED", 0) in session.take_gaps()
        # Numbers begin anew with the connection.
        made.say((99, 1, 2, 1_790_000_001, "6000", "3", 0, "CME", ""))
        await run.until(lambda: len(session.sink.trades) == 1)
        assert not session.rejects


async def test_refusals_are_counted_by_their_code() -> None:
    async with tws() as made, Run(transport(made), Channel.TRADES) as run:
        await made.until(lambda: len(made.requests("97")) == 2)
        made.say(
            (4, 2, 1, 10190, "Max number of tick-by-tick requests has been reached.", ""),
            (4, 2, -1, 2104, "Market data farm connection is OK:usfarm", ""),
            (4, 2, 1, 4711, "Something new", ""),
            (200, 1),
            (99, 77, 1, 1, "1", "1", 0, "", ""),
            (99, 2, 1, 1, "1e400", "1", 0, "", ""),
            (99, 2, 1),
            (99, 2, 2, 1_790_000_001, "6000", "3", 0, "CME", ""),
        )
        await run.until(lambda: len(run.session.sink.trades) == 1)
        assert run.session.venue_errors == {"error 10190": 1, "error": 1}
        assert run.session.unknown_messages == {"message 200": 1}
        assert run.session.rejects == Counter({"REQUEST_UNKNOWN": 1, "AMOUNT_RANGE": 1, "FIELDS_MISSING": 1})


async def test_a_tws_that_refuses_is_too_old_or_falls_silent_is_told() -> None:
    async with tws() as made:
        made.version = 160
        async with transport(made) as way:
            with pytest.raises(TransportError, match="speaks version 160: 164 or later"):
                await way.instruments(SOURCE)
        made.version = VERSION
        made.refuses = "Unable to connect as the client id is already in use."
        async with transport(made) as way:
            with pytest.raises(TransportError, match=r"client 11: Unable to connect as the client id .* \(326\)"):
                await way.instruments(SOURCE)
        made.refuses, made.mute = "", True
        async with transport(made, silence_seconds=0.06) as way:
            arrivals = []
            async for arrival in way.arrivals(1):
                arrivals.append(arrival)
                if arrival.kind is ArrivalKind.CLOSED:
                    break
        assert made.requests("49")
        assert arrivals[0].kind is ArrivalKind.OPENED
        assert arrivals[-1].data == b"TWS: it has said nothing for 0.06 s"
        assert arrivals[-2].data == b"@lost\0RECONNECTED"
    async with transport(made) as way:
        with pytest.raises(TransportError, match=r"TWS at 127\.0\.0\.1"):
            await way.instruments(SOURCE)


_ROW = st.tuples(st.sampled_from((BID, ASK)), st.sampled_from((0, 1, 2)), st.integers(0, ROWS + 1), st.integers(1, 6), st.integers(0, 3))  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(_ROW, max_size=60))
def test_levels_are_those_of_rows_kept_by_hand(told: list[tuple[int, int, int, int, int]]) -> None:
    depth = Depth()
    rows: dict[int, list[tuple[int, int]]] = {BID: [], ASK: []}
    seen: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
    for side, operation, position, price, size in told:
        held = rows[side]
        wrong = (
            position > len(held)
            if operation == 0
            else position >= len(held) and not (operation == 2 and position >= ROWS)
        )
        if wrong:
            with pytest.raises(OutOfStepError):
                depth.apply(side, operation, position, ((price, 0), (size, 0)))
            return
        changes = depth.apply(side, operation, position, ((price, 0), (size, 0)))
        if operation == 0:
            held[position:position] = [(price, size)]
            held[ROWS:] = []
        elif operation == 1:
            held[position] = (price, size)
        elif position < len(held):
            held[position : position + 1] = []
        if changes is None:
            continue
        if depth.filling:
            depth.filling, changes, seen = False, depth.levels(), {BID: {}, ASK: {}}
        for at, level, amount in changes:
            seen[at][level[0]] = amount[0]
        for at, kept in rows.items():
            sums = Counter[int]()
            for level_price, level_size in kept:
                sums[level_price] += level_size
            assert {key: value for key, value in seen[at].items() if value} == {k: v for k, v in sums.items() if v}


def test_the_environment_says_what_is_read_and_where() -> None:
    told = catalogue.place_of({"IB_CONTRACTS": "AAPL:SMART:USD, ESZ6:CME ,AAPL:SMART:USD", "IB_CLIENT_ID": "7"})
    assert (told.host, told.port, told.client_id) == ("127.0.0.1", 4001, 7)
    assert [one.is_future for one in told.wanted] == [False, True]
    one = {"IB_CONTRACTS": "A:B"}
    for wrong in (
        {},
        {"IB_CONTRACTS": "AAPL"},
        {"IB_CONTRACTS": "A:B,"},
        {**one, "IB_GATEWAY": "x"},
        {**one, "IB_CLIENT_ID": "-1"},
    ):
        with pytest.raises(FailedPrecondition, match="IB_"):
            catalogue.place_of(wrong)
    assert source_named("ibkr") is SOURCE


_WORDS = ("1", "2", "4", "12", "13", "58", "99", "@request", "@settled", "-1", "books", "317", "1100", "1102")


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(_WORDS) | st.text(max_size=6), max_size=10))
def test_no_message_ends_the_session(fields: list[str]) -> None:
    session = Session(SOURCE, ListingIndex(SOURCE.venue), Provenance.LIVE)
    for told in (["@request", "1", "books", "X"], ["12", "1", "1", "0", "0", "1", "6", "5"], fields):
        session.handle(Arrival(ArrivalKind.FRAME, NOW, "\0".join(told).encode("utf-8", "replace")))
    assert all(isinstance(one, Send) for one in session.handle(Arrival(ArrivalKind.FRAME, NOW, b"\xff\xfe")))
