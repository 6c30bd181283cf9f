"""What the words of a source make of a message: fields become rows, parts that are absent stay absent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.ids import source_id
from alphapulse.domain.provenance import Provenance
from alphapulse.records import BOOK_LEVEL, LAYOUTS, QUOTE, STATISTIC, TRADE, TRADING_STATUS
from collector_service.book import SnapshotUpdatesMachine
from collector_service.compiler import SpecificationError
from collector_service.compiler.kinds import compile_splitter
from collector_service.compiler.records import compile_route
from collector_service.emitter import Emitter
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.rows import RowSink, as_array
from collector_service.sources.binance import SPEC
from collector_service.spec import (
    BookSnapshot,
    BookUpdate,
    Choice,
    Const,
    Iso,
    Join,
    Learn,
    Learned,
    Levels,
    Listed,
    Magnitude,
    Millis,
    Nested,
    Period,
    Quote,
    Record,
    Reply,
    Scaled,
    ScaledBy,
    Side,
    SignedSide,
    Statistic,
    Status,
    Text,
    Trade,
    sides,
)


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
    out.channels.forget(0)
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


def test_where_a_list_stands_may_be_a_part_of_a_kind(out: Emitter) -> None:
    split = compile_splitter(replace(SPEC.dialects[0], kind=(("t", Listed("d")),)), "TEST")
    kinds = [
        split(frame, out)[0]
        for frame in (b'{"t":"x","d":[]}', b'{"d": [1],"t":"x"}', b'{"t":"x","d":{"e":[]}}', b'{"t":"x"}')
    ]
    assert kinds == ["x:list", "x:list", "x", "x"]


@pytest.mark.parametrize("more", [{}, {"id": "[2]"}, {"symbol": "[3]"}])
def test_a_void_level_says_nothing(out: Emitter, more: dict[str, str]) -> None:
    bids, asks = sides("b", "a", unless={"[0]": "0"}, **more)
    frame = {"s": "BTC-USD", "b": [["0", "0", 1, "BTC-USD"], ["7", "1", 2, "BTC-USD"]], "a": [["0", "3", 3, "BTC-USD"]]}
    rows = said(out, BookSnapshot(symbol="s", levels=(bids, asks)), frame)[BOOK_LEVEL.event_type]
    assert [values(row, "price", "size") for row in rows] == [[7, 1]]


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
