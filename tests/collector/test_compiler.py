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
from alphapulse.domain.instruments import IndexDetails
from alphapulse.domain.provenance import Provenance
from collector_service.book import RangeSequenceMachine, SnapshotOnlyMachine
from collector_service.compiler import SpecificationError, compile_source
from collector_service.compiler.listing import compile_instruments
from collector_service.compiler.subscribing import compile_subscribe
from collector_service.instruments import instrument_of, listing_of
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.session import Session
from collector_service.source import Source
from collector_service.sources.binance import SPEC
from collector_service.spec import (
    CHANNEL,
    SYMBOL,
    SYMBOLS,
    TOPICS,
    BookUpdate,
    Channel,
    Const,
    Contract,
    Decimals,
    ForEach,
    Has,
    Index,
    Instruments,
    Join,
    Line,
    Match,
    Product,
    Scaled,
    SnapshotOnly,
    Subscribe,
    Text,
    Ticket,
    Trade,
    Written,
    sides,
)
from collector_service.transport.base import Arrival, ArrivalKind


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
