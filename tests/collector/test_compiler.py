"""The language in which a source is told: what its words mean, and how a mistake in it is told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identity import instrument_text
from alphapulse.domain.ids import source_id
from alphapulse.domain.instruments import IndexDetails
from alphapulse.domain.provenance import Provenance
from alphapulse.records import BOOK_LEVEL, LAYOUTS, QUOTE, STATISTIC, TRADE, TRADING_STATUS
from collector_service.book import RangeSequenceMachine, SnapshotOnlyMachine, SnapshotUpdatesMachine
from collector_service.compiler import SpecificationError, compile_source
from collector_service.compiler.kinds import compile_splitter
from collector_service.compiler.listing import compile_instruments
from collector_service.compiler.records import compile_route
from collector_service.compiler.subscribing import compile_subscribe
from collector_service.emitter import Emitter
from collector_service.listings import ListingIndex, VenueSymbol, instrument_of, listing_of
from collector_service.rows import RowSink, as_array
from collector_service.session import Session
from collector_service.source import Source
from collector_service.sources.binance import SPEC
from collector_service.spec import (
    CHANNEL,
    SYMBOL,
    SYMBOLS,
    TOPICS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Const,
    Contract,
    Decimals,
    ForEach,
    Has,
    Index,
    Instruments,
    Iso,
    Join,
    Learn,
    Learned,
    Levels,
    Line,
    Magnitude,
    Match,
    Millis,
    Nested,
    Period,
    Product,
    Quote,
    Record,
    Reply,
    Scaled,
    ScaledBy,
    Side,
    SignedSide,
    SnapshotOnly,
    Statistic,
    Status,
    Subscribe,
    Text,
    Ticket,
    Trade,
    Written,
    sides,
)
from collector_service.transport.base import Arrival, ArrivalKind


@pytest.fixture
def out() -> Emitter:
    listings = ListingIndex("SOMEWHERE")
    listings.learn([VenueSymbol("BTC-USD", "BTC", "USD", frozenset({"USD"}), extras={"price_scale": "4"})])
    return Emitter("SOMEWHERE", listings, RowSink(source_id("SOMEWHERE")), Provenance.LIVE, SnapshotUpdatesMachine)


def said(out: Emitter, record: Record | tuple[Record, ...], frame: Any) -> dict[int, Any]:
    """The rows of a frame, by type."""
    route = compile_route(record, "TEST")
    route.emit(route.decode(frame if isinstance(frame, bytes) else json.dumps(frame).encode()), out)
    return {kind: as_array(LAYOUTS[kind], rows) for kind, rows in out.sink.take().items() if rows}


def values(row: Any, *names: str) -> list[int]:
    return [int(row[name]) for name in names]


def test_a_path_finds_names_places_and_the_whole_message(out: Emitter) -> None:
    record = Trade(symbol="^a.s", price="p[1]", size="q", time=Millis("^t"), each="a.d")
    row = said(out, record, {"t": 5, "a": {"s": "BTC-USD", "d": [{"p": ["x", "1.50"], "q": 2}]}})[TRADE.event_type][0]
    assert values(row, "price", "price_exponent", "size", "size_exponent") == [150, -2, 2, 0]
    assert int(row["venue_time_ns"]) == 5_000_000


def test_numbers_keep_their_digits_however_they_are_written(out: Emitter) -> None:
    record = Trade(symbol="s", price="p", size="q")
    row = said(out, record, b'{"s":"BTC-USD","p":0.10,"q":"1e-8"}')[TRADE.event_type][0]
    assert values(row, "price", "price_exponent", "size", "size_exponent") == [10, -2, 1, -8]


def test_whole_numbers_count_units(out: Emitter) -> None:
    record = Trade(symbol="[0]", price=ScaledBy("[1]", "price_scale"), size=Scaled("[2]", 8))
    row = said(out, record, ["BTC-USD", 123, 5])[TRADE.event_type][0]
    assert values(row, "price", "price_exponent", "size", "size_exponent") == [123, -4, 5, -8]


def test_a_sign_says_the_side(out: Emitter) -> None:
    record = Trade(symbol="s", price="p", size=Magnitude("q"), side=SignedSide("q"))
    rows = [said(out, record, {"s": "BTC-USD", "p": 1, "q": q})[TRADE.event_type][0] for q in (2, -2)]
    assert [values(row, "size", "aggressor") for row in rows] == [[2, 1], [2, 2]]


def test_a_word_nobody_knows_costs_nothing_and_is_counted(out: Emitter) -> None:
    record = Trade(symbol="s", price="p", size="q", side=Side("x", buy="b", sell="s"))
    for word in ("?", ""):
        row = said(out, record, {"s": "BTC-USD", "p": 1, "q": 1, "x": word})[TRADE.event_type][0]
        assert int(row["aggressor"]) == 0
    assert dict(out.unknown_values) == {"side=?": 1}


def test_texts_are_cut(out: Emitter) -> None:
    record = Trade(
        symbol=Join((Text("c", after=("x_", "trades_"), upper=True), Text("d", split=("@", -1))), "-"),
        price="p",
        size="q",
    )
    rows = said(out, record, {"c": "trades_btc", "d": "a@USD", "p": 1, "q": 1})
    assert int(rows[TRADE.event_type][0]["listing_key"]) == out.listings.key("BTC-USD")


def test_the_values_of_an_object_have_names(out: Emitter) -> None:
    """And what is repeated inside what is repeated begins where it is."""
    record = Trade(symbol="@name", price="p", size="q", time=Millis("^t"), each=("d?.*", "."))
    frame = {"t": 5, "d": {"BTC-USD": [{"p": 1, "q": 2}, {"p": 3, "q": 4}], "ETH-USD": []}}
    rows = said(out, record, frame)[TRADE.event_type]
    assert [values(row, "price", "size", "venue_time_ns") for row in rows] == [[1, 2, 5_000_000], [3, 4, 5_000_000]]
    assert {int(row["listing_key"]) for row in rows} == {out.listings.key("BTC-USD")}
    assert not said(out, record, {"t": 5})


def test_a_list_has_no_names() -> None:
    with pytest.raises(SpecificationError, match=r"TEST\.symbol: '@name'"):
        compile_route(Trade(symbol="@name", price="p", size="q", each="d"), "TEST")


def test_a_level_that_is_none_is_passed_over(out: Emitter) -> None:
    levels = (Levels(path="d", side=Side("s"), price="p", size="q", unless={"p": ("0", "0.0")}),)
    frame = {"s": "A", "d": [{"s": "buy", "p": "0", "q": "9"}, {"s": "sell", "p": "6400", "q": "1"}]}
    rows = said(out, BookSnapshot(symbol="s", levels=levels), frame)[BOOK_LEVEL.event_type]
    assert [values(row, "price", "side") for row in rows] == [[6400, 2]]


def test_a_time_without_an_offset_is_of_the_zone_that_is_told(out: Emitter) -> None:
    record = Trade(symbol="s", price="p", size="q", time=Iso("t", zone="+09:00"), trade_id=Text("i", split=(":", 1)))
    frame = {"s": "BTC-USD", "p": 1, "q": 1, "i": "ETH-BTC:4429182", "t": "1970-01-01 09:00:01.5"}
    row = said(out, record, frame)[TRADE.event_type][0]
    assert values(row, "venue_time_ns", "trade_id") == [1_500_000_000, 4429182]
    row = said(out, record, {**frame, "t": "1970-01-01T01:00:00+01:00"})[TRADE.event_type][0]
    assert values(row, "venue_time_ns") == [0]


def test_a_quote_that_has_a_word_is_passed_over(out: Emitter) -> None:
    record = Quote(symbol="s", bid="b", ask="a", unless={"b": "", "a": ""})
    assert not said(out, record, {"s": "BTC-USD", "b": "", "a": "2"})
    assert len(said(out, record, {"s": "BTC-USD", "b": "1", "a": "2"})[QUOTE.event_type]) == 1


def test_an_absent_part_is_absent_not_zero(out: Emitter) -> None:
    record = Quote(symbol="s", bid="b.p?", ask="a", bid_size="b.q?", time=Iso("t?"))
    row = said(out, record, {"s": "BTC-USD", "a": "2"})[QUOTE.event_type][0]
    assert values(row, "bid_price", "ask_price", "venue_time_ns") == [0, 2, 0]


def test_levels_of_several_instruments_in_one_message(out: Emitter) -> None:
    many = BookSnapshot(
        symbol="^none?",
        levels=(Levels(path="d", side=Side("x", buy="Buy", sell="Sell"), price="p?", size="q?", id="i", symbol="s"),),
    )
    frame = {"d": [{"s": one, "x": "Buy", "p": 1 + n, "q": 1, "i": n} for n, one in enumerate(("A", "B", "A"))]}
    assert len(said(out, many, frame)[BOOK_LEVEL.event_type]) == 3
    update = BookUpdate(
        symbol="^none?",
        levels=(Levels(path="d", side=Side("x", buy="Buy", sell="Sell"), price="p?", size="q?", id="i", symbol="s"),),
    )
    rows = said(out, update, {"d": [{"s": "A", "x": "Buy", "i": 2, "q": 7}]})[BOOK_LEVEL.event_type]
    assert [values(row, "price", "size") for row in rows] == [[3, 7]]


@pytest.mark.parametrize("grouped", [False, True])
def test_a_number_nobody_told_says_nothing_before_the_snapshot_and_is_wrong_after_it(
    out: Emitter, grouped: bool
) -> None:
    side = Side("x", buy="Buy", sell="Sell")
    levels = Levels(path="d", side=side, price="p?", size="q?", id="i", symbol="s" if grouped else None)
    update = BookUpdate(symbol="^s?", levels=(levels,))
    change = {"s": "A", "d": [{"s": "A", "x": "Buy", "i": 4, "q": 7}]}
    assert not said(out, update, change)
    assert out.resyncs == [("A", "")]
    whole = {"s": "A", "d": [{"s": "A", "x": "Buy", "i": 3, "p": 5, "q": 1}]}
    assert said(out, BookSnapshot(symbol="^s?", levels=(levels,)), whole)
    assert not said(out, replace(update, levels=(replace(levels, size=None),)), change)
    with pytest.raises(InvalidArgument, match="told before"):
        said(out, update, change)


def test_the_time_of_such_a_message_is_the_latest_of_its_levels(out: Emitter) -> None:
    levels = Levels(
        path="d", side=Side("x", buy="Buy", sell="Sell"), price="p", size="q", symbol="s", time=Millis("t?")
    )
    frame = {"d": [{"s": "A", "x": "Buy", "p": n, "q": 1, "t": t} for n, t in ((1, 7), (2, 9), (3, None))]}
    rows = said(out, BookSnapshot(symbol="^none?", levels=(levels,)), frame)[BOOK_LEVEL.event_type]
    assert {int(row["venue_time_ns"]) for row in rows} == {9_000_000}


def test_levels_that_a_word_takes_out(out: Emitter) -> None:
    levels = (Levels(path="d", side=SignedSide("[2]"), price="[0]", size=Magnitude("[2]"), gone={"[1]": "0"}),)
    rows = said(out, BookSnapshot(symbol="s", levels=levels), {"s": "A", "d": [[1, 1, 5], [2, 1, -5]]})[
        BOOK_LEVEL.event_type
    ]
    assert [values(row, "price", "size", "side") for row in rows] == [[1, 5, 1], [2, 5, 2]]
    rows = said(out, BookUpdate(symbol="s", levels=levels), {"s": "A", "d": [[1, 0, 1]]})[BOOK_LEVEL.event_type]
    assert [values(row, "price", "size", "side") for row in rows] == [[1, 0, 1]]


def test_a_message_is_of_one_record_or_of_another(out: Emitter) -> None:
    both = (
        BookSnapshot(symbol="s", levels=sides("b?", "a?"), having="full?"),
        BookUpdate(symbol="s", levels=sides("b?", "a?"), lacking="full?"),
    )
    said(out, both, {"s": "A", "full": True, "b": [[1, 1]], "a": []})
    rows = said(out, both, {"s": "A", "b": [[1, 2]]})[BOOK_LEVEL.event_type]
    assert [values(row, "price", "size") for row in rows] == [[1, 2]]


def test_numbers_of_a_connection_are_learned_and_forgotten(out: Emitter) -> None:
    said(out, Learn(key="id", channel="trades", symbol="s"), {"id": 7, "s": "BTC-USD"})
    assert out.channel_of(7) == "trades"
    record = Trade(symbol=Learned("[0]"), price="[1]", size="[2]")
    assert len(said(out, record, [7, 1, 1])[TRADE.event_type]) == 1
    out.forget_learned(0)
    assert out.channel_of(7) == ""


def test_what_the_venue_wants_to_hear_back(out: Emitter) -> None:
    said(out, Reply({"pong": "{ping}", "of": ["x", 1]}), {"ping": 18})
    assert [json.loads(text) for text in out.replies] == [{"pong": 18, "of": ["x", 1]}]


def test_a_trading_status_is_told_and_an_unknown_word_is_counted(out: Emitter) -> None:
    record = Status(symbol="s", state=Choice("w", {"open": 1, "halt": 2}), time=Millis("t"))
    row = said(out, record, {"s": "BTC-USD", "w": "halt", "t": 5})[TRADING_STATUS.event_type][0]
    assert values(row, "state", "venue_time_ns", "listing_key") == [2, 5_000_000, out.listings.key("BTC-USD")]
    assert not said(out, record, {"s": "BTC-USD", "w": "?", "t": 5})
    assert dict(out.unknown_values) == {"state=?": 1}


def test_a_trade_that_is_repeated_is_given_once(out: Emitter) -> None:
    record = Trade(symbol="s", price="p", size="q", trade_id="i", repeats=True)
    frame = {"s": "BTC-USD", "p": 1, "q": 1, "i": 9}
    assert len(said(out, record, frame)[TRADE.event_type]) == 1
    assert not said(out, record, frame)


def test_without_numbers_a_trade_is_known_by_its_time(out: Emitter) -> None:
    told = Trade(symbol="s", price="p", size="q", time=Millis("t"))
    first, again, later = ({"s": "BTC-USD", "p": 1, "q": 1, "t": moment} for moment in (7, 7, 8))
    assert said(out, told, first)
    assert not said(out, replace(told, repeats=True), again)
    assert said(out, replace(told, repeats=True), later)


def test_a_list_that_begins_with_the_newest_is_read_from_its_end(out: Emitter) -> None:
    record = Trade(symbol="^s", price="p", size="q", trade_id="i", each="d", repeats=True, newest_first=True)
    for numbers, given in (((3, 2, 1), [1, 2, 3]), ((5, 4, 3), [4, 5])):
        rows = said(out, record, {"s": "BTC-USD", "d": [{"p": 1, "q": 1, "i": i} for i in numbers]})
        assert [int(i) for i in rows[TRADE.event_type]["trade_id"]] == given


def test_a_list_of_lists_is_many_and_so_is_an_empty_one(out: Emitter) -> None:
    split = compile_splitter(replace(SPEC.dialects[0], kind=(("[0]", Nested("[1]")),)), "TEST")
    kinds = [split(frame, out)[0] for frame in (b'["book",[[1,2]]]', b'["book",[]]', b'["book",[1,2]]')]
    assert kinds == ["book:many", "book:many", "book"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "binance"}, "name: 'binance'"),
        ({"terms": ""}, "BINANCE.terms"),
        ({"books": None}, "BINANCE.books"),
        ({"dialects": ()}, "BINANCE.dialects"),
        ({"dialects": (replace(SPEC.dialects[0], instruments=()),)}, "BINANCE.dialects[-1].instruments"),
        ({"dialects": (replace(SPEC.dialects[0], silent=frozenset({"trade"})),)}, "BINANCE.dialects[0].silent"),
        (
            {"dialects": (replace(SPEC.dialects[0], routes={"trade": Trade(symbol="s", price="p..", size="q")}),)},
            "BINANCE.dialects[0].routes['trade'].price: 'p..'",
        ),
        (
            {"dialects": (replace(SPEC.dialects[0], routes={"b": BookUpdate(levels=sides("b", "a"))}),)},
            "BINANCE.dialects[0].routes['b'].symbol",
        ),
        (
            {"dialects": (replace(SPEC.dialects[0], routes={"t": Trade(symbol="a", price="a.b", size="q")}),)},
            "BINANCE.dialects[0].routes['t']",
        ),
        (
            {"dialects": (replace(SPEC.dialects[0], kind=((Has("a["),),)),)},
            "BINANCE.dialects[0].kind: 'a['",
        ),
        (
            {
                "dialects": (
                    replace(
                        SPEC.dialects[0],
                        subscribe=replace(SPEC.dialects[0].subscribe, message={"op": "subscribe"}),
                    ),
                )
            },
            "BINANCE.dialects[0].subscribe.message",
        ),
        ({"dialects": (SPEC.dialects[0], SPEC.dialects[0])}, "BINANCE.dialects[0].valid_to"),
    ],
)
def test_a_mistake_is_told_with_source_and_field(change: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        compile_source(replace(SPEC, **change))
    assert str(caught.value).startswith(told)


def test_all_channels_in_one_message() -> None:
    message = [{"ticket": "t"}, ForEach({"type": CHANNEL, "codes": SYMBOLS}), {"format": "DEFAULT"}]
    told = Subscribe(message=message, channels={Channel.TRADES: "trade", Channel.BOOKS: "orderbook"})
    subscribe = compile_subscribe(told, "TEST.subscribe")
    entries = [VenueSymbol(symbol, "A", "B", frozenset()) for symbol in ("KRW-BTC", "KRW-ETH")]
    assert [json.loads(text) for text in subscribe(entries, [Channel.TRADES, Channel.QUOTES, Channel.BOOKS])] == [
        [
            {"ticket": "t"},
            {"type": "trade", "codes": ["KRW-BTC", "KRW-ETH"]},
            {"type": "orderbook", "codes": ["KRW-BTC", "KRW-ETH"]},
            {"format": "DEFAULT"},
        ]
    ]


def test_rules_that_count_units_are_told_in_whole_ones() -> None:
    line = Line(symbol="s", base="b", quote="q", lot=Scaled("lot", 8), max_size=Scaled("most", 2))
    read = compile_instruments(Instruments(path="/list", lines=(line,)), frozenset(), {}, "TEST").parse
    (entry,) = read(b'[{"s":"BTC_USD","b":"BTC","q":"USD","lot":1000,"most":"500"}]').entries
    assert (str(entry.rules.lot_size), str(entry.rules.max_size)) == ("0.00001", "5")


def test_symbols_and_topics_are_put_into_templates() -> None:
    source = compile_source(SPEC)
    entries = [VenueSymbol(f"S{number}USDT", f"S{number}", "USDT", frozenset()) for number in range(150)]
    frames = [json.loads(text) for text in source.live.subscribe(entries, [Channel.TRADES, Channel.QUOTES])]
    assert [len(frame["params"]) for frame in frames] == [200, 100]
    assert [frame["id"] for frame in frames] == [1, 2]
    assert frames[0]["params"][0] == "s0usdt@trade"
    assert frames[1]["params"][-1] == "s149usdt@bookTicker"


def test_a_step_may_be_several_units_of_its_last_decimal() -> None:
    line = Line(symbol="s", base="b", quote="q", tick=Decimals("places", times="step"), lot=Decimals("places"))
    read = compile_instruments(Instruments(path="/list", lines=(line,)), frozenset(), {}, "TEST").parse
    lines = [{"s": "S", "b": "B", "q": "Q", "places": "1", **more} for more in ({"step": "5"}, {})]
    rules = [entry.rules for entry in read(json.dumps(lines).encode()).entries]
    assert [(str(rule.tick_size), str(rule.lot_size)) for rule in rules] == [("0.5", "0.1"), ("0.1", "0.1")]


def test_a_number_may_be_part_of_a_text() -> None:
    line = Line(symbol="s", base="b", quote="q", min_notional=Text("least", before=" "))
    read = compile_instruments(Instruments(path="/list", lines=(line,)), frozenset(), {}, "TEST").parse
    (entry,) = read(json.dumps([{"s": "S", "b": "B", "q": "Q", "least": "20.0 USD"}]).encode()).entries
    assert str(entry.rules.min_notional) == "20"


def test_a_term_in_a_form_of_the_venues_own() -> None:
    expiry = Written(Join((Match("s", r".*[FGHJKMNQUVXZ](\d\d)"), "day", Const("08"))), "%y%m%d%H")
    contract = Contract(kind=AssetClass.FUTURE, settle="q", expiry=expiry)
    line = Line(symbol="s", base="b", quote="q", contract=contract)
    read = compile_instruments(Instruments(path="/list", lines=(line,)), frozenset(), {}, "TEST").parse
    lines = [{"s": "BTCUSDM21", "b": "BTC", "q": "USD", "day": day} for day in ("0625", "0631")]
    listed = read(json.dumps(lines).encode())
    assert [entry.contract and entry.contract.expiry for entry in listed.entries] == [
        datetime(2021, 6, 25, 8, tzinfo=UTC)
    ]
    assert len(listed.refused) == 1
    assert "%y%m%d%H" in listed.refused[0]


def test_what_brings_two_channels_is_asked_for_once() -> None:
    spec = Subscribe(
        message={"name": CHANNEL, "symbols": SYMBOLS},
        channels={Channel.TRADES: "l2", Channel.BOOKS: ("l2", "full")},
    )
    entry = VenueSymbol("BTCUSD", "BTC", "USD", frozenset())
    frames = compile_subscribe(spec, "TEST")([entry], [Channel.TRADES, Channel.QUOTES, Channel.BOOKS])
    assert [json.loads(frame)["name"] for frame in frames] == ["l2", "full"]


@pytest.mark.parametrize(
    ("line", "size"),
    [({"v": "1", "m": "0.10"}, "0.1"), ({"v": 20, "m": 5}, "100"), ({"v": "1"}, None), ({"v": "0", "m": 2}, None)],
)
def test_a_product_of_what_a_list_says(line: dict[str, Any], size: str | None) -> None:
    way = Line(symbol="s", base="s", quote="s", lot=Product(("v", "m")))
    answer = json.dumps([{"s": "BTC", **line}]).encode()
    (entry,) = compile_instruments(Instruments(path="/", lines=(way,)), frozenset(), {}, "TEST").parse(answer).entries
    assert entry.rules.lot_size == (ExactDecimal.parse(size) if size else None)


def test_lines_may_stand_at_several_places_of_an_answer() -> None:
    listed = Instruments(path="/", each=("d.old", "d.new"), lines=(Line(symbol="s", base="s", quote="s"),))
    parse = compile_instruments(listed, frozenset(), {}, "TEST").parse
    for answer, symbols in (
        ({"old": [{"s": "A"}], "new": [{"s": "B"}, {"s": "C"}]}, ["A", "B", "C"]),
        ({"new": [{"s": "B"}]}, ["B"]),
    ):
        assert [entry.symbol for entry in parse(json.dumps({"d": answer}).encode()).entries] == symbols
    with pytest.raises(InvalidArgument):
        parse(b'{"d":{}}')


def test_symbols_stand_in_a_text_with_commas_between() -> None:
    told = replace(
        SPEC.dialects[0].subscribe,
        message={"topic": "{channel}:{symbols}"},
        channels={Channel.TRADES: "/trades"},
        at_once=2,
    )
    entries = [VenueSymbol(f"S{number}", f"S{number}", "USDT", frozenset()) for number in range(3)]
    source = compile_source(replace(SPEC, dialects=(replace(SPEC.dialects[0], subscribe=told),)))
    frames = [json.loads(text)["topic"] for text in source.live.subscribe(entries, [Channel.TRADES])]
    assert frames == ["/trades:S0,S1", "/trades:S2"]


def test_topics_stand_among_the_items_of_a_list() -> None:
    told = replace(
        SPEC.dialects[0].subscribe,
        message=[{"ticket": "t"}, {...: TOPICS}, {"format": "short"}],
        channels={Channel.TRADES: {"type": "trade", "codes": SYMBOLS}, Channel.BOOKS: {"book": SYMBOL}},
    )
    source = compile_source(replace(SPEC, dialects=(replace(SPEC.dialects[0], subscribe=told),)))
    entries = [VenueSymbol(symbol, symbol, "USDT", frozenset()) for symbol in "AB"]
    (frame,) = source.live.subscribe(entries, [Channel.TRADES, Channel.BOOKS])
    assert json.loads(frame) == [
        {"ticket": "t"},
        {"type": "trade", "codes": ["A", "B"]},
        {"book": "A"},
        {"book": "B"},
        {"format": "short"},
    ]


@pytest.mark.parametrize("more", [{}, {"id": "[2]"}, {"symbol": "[3]"}])
def test_a_void_level_says_nothing(out: Emitter, more: dict[str, str]) -> None:
    bids, asks = sides("b", "a", unless={"[0]": "0"}, **more)
    frame = {"s": "BTC-USD", "b": [["0", "0", 1, "BTC-USD"], ["7", "1", 2, "BTC-USD"]], "a": [["0", "3", 3, "BTC-USD"]]}
    rows = said(out, BookSnapshot(symbol="s", levels=(bids, asks)), frame)[BOOK_LEVEL.event_type]
    assert [values(row, "price", "size") for row in rows] == [[7, 1]]


def test_a_dialect_may_keep_its_books_in_another_way_than_the_source() -> None:
    since = datetime(2024, 1, 1, tzinfo=UTC)
    now = replace(SPEC.dialects[0], name="now", books=SnapshotOnly(), snapshot=None, valid_from=since)
    source = compile_source(replace(SPEC, dialects=(replace(SPEC.dialects[0], valid_to=since), now)))
    assert source.book_machine == "snapshot_only"
    frame = {"stream": "btcusdt@depth", "data": {"s": "BTCUSDT", "b": [], "a": [["7", "1"]], "U": 1, "u": 2, "E": 5}}
    for year, machine in ((2023, RangeSequenceMachine), (2025, SnapshotOnlyMachine)):
        session = Session(source, ListingIndex("BINANCE"), Provenance.REPLAY)
        moment = int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 10**9
        session.handle(Arrival(ArrivalKind.OPENED, moment, b"", 0, "wss://somewhere"))
        session.handle(Arrival(ArrivalKind.FRAME, moment, json.dumps(frame).encode()))
        assert type(session.emitter.books["BTCUSDT"]) is machine


def _with_ticket(url: str) -> Source:
    ticket = Ticket(path="/bullet", url=url)
    return compile_source(replace(SPEC, dialects=(replace(SPEC.dialects[0], ticket=ticket),)))


def test_an_address_is_made_of_what_the_venue_answers() -> None:
    address = _with_ticket("{d.servers[0].endpoint}?token={d.token}&id={uuid}").live.address
    assert address is not None
    assert address.path == "/bullet"
    made = {address.url(b'{"d":{"token":"t1","servers":[{"endpoint":"wss://a/"}]}}') for _ in range(2)}
    assert len(made) == 2
    assert all(re.fullmatch(r"wss://a/\?token=t1&id=[0-9a-f-]{36}", url) for url in made)
    for answer, field in (
        (b'{"d":{"token":"t1","servers":[]}}', "d.servers[0].endpoint"),
        (b"[]", "d.servers[0].endpoint"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            address.url(answer)
        assert [(one.field, one.rule) for one in caught.value.violations] == [(field, "address-missing")]


def test_an_address_that_names_nothing_of_the_answer_is_a_mistake() -> None:
    with pytest.raises(SpecificationError) as caught:
        _with_ticket("wss://a/{uuid}")
    assert str(caught.value).startswith("BINANCE.dialects[0].ticket.url")


SERIES = Line(symbol="id", quote="currency", index=Index(name="title", provider=Const("Somebody")))


def test_an_index_is_known_by_its_ticker_at_the_venue_and_needs_no_pair() -> None:
    request = compile_instruments(Instruments(path="/series", lines=(SERIES,)), frozenset({"USD"}), {}, "TEST")
    answer = [
        {"id": "GDP", "title": "Gross product", "currency": "USD"},
        {"id": "MOOD", "title": "Mood", "currency": "XXX"},
    ]
    product, mood = request.parse(json.dumps(answer).encode()).entries
    made = instrument_of(product, "FRED")
    assert instrument_text(made) == "ap1|index|venue_ticker|FRED|GDP"
    assert (made.asset_class, made.name) == (AssetClass.INDEX, "Gross product")
    assert made.details == IndexDetails("USD", "Somebody")
    assert instrument_of(mood, "FRED").details == IndexDetails("", "Somebody")
    assert (listing_of(mood, "FRED").symbol, listing_of(mood, "FRED").currency) == ("MOOD", "XXX")
    assert (product.pair, mood.pair) == ("GDP", "MOOD")


def test_lines_that_are_given_need_no_request() -> None:
    given = ({"id": "GDP", "title": "Gross product", "currency": "USD"},)
    request = compile_instruments(Instruments(given=given, lines=(SERIES,)), frozenset(), {}, "TEST")
    assert request.given is not None
    assert [entry.symbol for entry in request.given.entries] == ["GDP"]


@pytest.mark.parametrize(
    "instruments",
    [
        Instruments(lines=(SERIES,)),
        Instruments(
            path="/series", given=({"id": "GDP", "title": "Gross product", "currency": "USD"},), lines=(SERIES,)
        ),
        Instruments(given=({"id": "GDP", "currency": "USD"},), lines=(SERIES,)),
        Instruments(
            given=({"id": "GDP", "title": "x", "currency": "USD"},), lines=(replace(SERIES, where={"id": "CPI"}),)
        ),
        Instruments(
            path="/series",
            lines=(replace(SERIES, contract=Contract(kind=AssetClass.PERPETUAL, settle=Const("USD"))),),
        ),
        Instruments(path="/pairs", lines=(Line(symbol="id", base="base"),)),
    ],
    ids=("no lines and no path", "both", "without a name", "passed over", "an index and a contract", "no pair"),
)
def test_a_list_that_cannot_be_is_refused(instruments: Instruments) -> None:
    with pytest.raises(SpecificationError, match=r"^TEST\."):
        compile_instruments(instruments, frozenset(), {}, "TEST")


def test_a_figure_that_is_not_there_is_none_and_zero_is_one(out: Emitter) -> None:
    record = Statistic(symbol=Const("BTC-USD"), kind=6, value="v?", absent=(".",), effective=Iso("d"), each="all?")
    frame = {"all": [{"d": f"2024-01-0{place}", "v": v} for place, v in enumerate((".", "", None, 0, "-0.5"), 1)]}
    frame["all"].append({"d": "2024-01-06"})
    rows = said(out, record, frame)[STATISTIC.event_type]
    assert [int(row["value"]) for row in rows] == [0, -5]
    assert not said(out, record, {})


def test_a_figure_that_is_revised_is_a_new_one_of_the_same_time_and_each_is_given_once(out: Emitter) -> None:
    record = Statistic(
        symbol=Const("BTC-USD"), kind=9, value="v", effective=Iso("d"), time=Iso("since"), each="all", repeats=True
    )

    def told(*figures: tuple[str, str, str]) -> list[tuple[int, int, int]]:
        frame = {"all": [{"d": day, "since": since, "v": value} for day, since, value in figures]}
        rows = said(out, record, frame).get(STATISTIC.event_type, ())
        day = 86_400 * 10**9
        return [
            (int(row["effective_time_ns"]) // day, int(row["venue_time_ns"]) // day, int(row["value"])) for row in rows
        ]

    first, second, again = (
        ("1970-01-02", "1970-01-10", "7"),
        ("1970-01-02", "1970-02-10", "8"),
        ("1970-01-02", "1970-03-10", "7"),
    )
    assert told(first) == [(1, 9, 7)]
    assert told(first, second) == [(1, 40, 8)]
    assert not told(first, second)
    assert told(first, second, again) == [(1, 68, 7)]
    assert told(("1970-01-02", "1970-03-10", "9")) == [(1, 68, 9)]


@pytest.mark.parametrize(
    ("written", "begins"),
    [
        ("2024", "2024-01-01"),
        ("2024-Q3", "2024-07-01"),
        ("2024Q4", "2024-10-01"),
        ("2024-05", "2024-05-01"),
        ("2024M12", "2024-12-01"),
        ("2024-M02", "2024-02-01"),
    ],
)
def test_a_period_is_its_beginning(out: Emitter, written: str, begins: str) -> None:
    record = Statistic(symbol=Const("BTC-USD"), kind=9, value="v", effective=Period("p"))
    rows = said(out, record, {"p": written, "v": 1})[STATISTIC.event_type]
    assert (
        int(rows[0]["effective_time_ns"]) == int(datetime.fromisoformat(f"{begins}T00:00:00+00:00").timestamp()) * 10**9
    )


@pytest.mark.parametrize(
    "written", ["24", "2024-Q5", "2024-13", "2024-00", "2024M00", "2024-05-01", "1969", "2024-5", 2024]
)
def test_what_is_no_period_is_refused(out: Emitter, written: Any) -> None:
    record = Statistic(symbol=Const("BTC-USD"), kind=9, value="v", effective=Period("p"))
    with pytest.raises(InvalidArgument, match="time"):
        said(out, record, {"p": written, "v": 1})
