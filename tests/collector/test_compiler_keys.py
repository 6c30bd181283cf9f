"""Words of the language for venues with keys, and for securities."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import FailedPrecondition
from alphapulse.domain.identity import instrument_text
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.records import LAYOUTS, TRADE
from collector_service.addresses import spoken
from collector_service.compiler import SpecificationError, compile_source
from collector_service.compiler.listing import compile_instruments
from collector_service.compiler.subscribing import compile_subscribe
from collector_service.instruments import instrument_of, listing_of
from collector_service.listing_index import ListingIndex
from collector_service.listings import VenueSymbol
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.source import Source
from collector_service.sources.binance import SPEC
from collector_service.spec import (
    Channel,
    Choice,
    Const,
    Contract,
    Index,
    Instruments,
    Line,
    Security,
    SourceSpec,
    Subscribe,
    Trade,
)
from collector_service.transport.base import Arrival, ArrivalKind, Send

ENTRIES = [VenueSymbol(symbol, "A", "B", frozenset()) for symbol in ("A", "B")]


def source_with(**changes: Any) -> Source:
    dialect = replace(
        SPEC.dialects[-1],
        kind=(("k",),),
        routes={"t": Trade(symbol="s", price="p")},
        silent=frozenset(),
        snapshot=None,
        **changes,
    )
    spec: SourceSpec = replace(SPEC, books=None, dialects=(dialect,))
    return compile_source(spec)


def session_of(source: Source) -> Session:
    listings = ListingIndex(source.venue)
    listings.learn(ENTRIES)
    return Session(source, listings, Provenance.LIVE, subscriptions=[ENTRIES], channels=[Channel.TRADES])


def frame(session: Session, data: bytes) -> list[str]:
    return [one.text for one in session.handle(Arrival(ArrivalKind.FRAME, 1, data)) if isinstance(one, Send)]


def test_messages_of_one_frame_are_read_each_for_itself() -> None:
    session = session_of(source_with(many=True))
    frame(session, b'[{"k":"t","s":"A","p":"1"},{"k":"t","s":"A","p":"no"},{"k":"new"},{"k":"t","s":"B","p":"2"}]')
    frame(session, b'{"k":"t"}')
    frame(session, b"[]")
    rows = as_array(LAYOUTS[TRADE.event_type], session.sink.take()[TRADE.event_type])
    assert [int(row["price"]) for row in rows] == [1, 2]
    # The price came without a size, which is marked absent and not said to be zero.
    assert all(int(row["flags"]) & RecordFlag.SIZE_ABSENT for row in rows)
    assert session.frames == 3
    assert dict(session.unknown_messages) == {"new": 1}
    assert sum(session.rejects.values()) == 2


def test_a_frame_may_be_cut_by_a_function() -> None:
    session = session_of(source_with(many=lambda data: [part for part in data[1:].split(b"|") if part]))
    frame(session, b'a{"k":"t","s":"A","p":"1"}|{"k":"t","s":"B","p":"2"}')
    assert len(session.sink.take()[TRADE.event_type]) == 2


def test_subscriptions_wait_for_the_answer_that_is_told() -> None:
    said = Subscribe(
        message={"sub": "{symbol}"}, channels={Channel.TRADES: "t"}, first=({"key": "{secret:K}"},), after="welcome"
    )
    session = session_of(source_with(subscribe=said))
    opened = session.handle(Arrival(ArrivalKind.OPENED, 1))
    assert [one.text for one in opened if isinstance(one, Send)] == ['{"key":"{secret:K}"}']
    assert frame(session, b'{"k":"t","s":"A","p":"1"}') == []
    assert frame(session, b'{"k":"welcome"}') == ['{"sub":"A"}', '{"sub":"B"}']
    assert not session.unknown_messages
    # A connection that nothing is subscribed on is told nothing.
    assert session.handle(Arrival(ArrivalKind.FRAME, 1, b'{"k":"welcome"}', connection=7)) == []


def test_an_answer_that_is_waited_for_has_no_route() -> None:
    said = Subscribe(message={"sub": "{symbol}"}, channels={Channel.TRADES: "t"}, after="t")
    with pytest.raises(SpecificationError, match="a kind has a route or is silent, not both"):
        source_with(subscribe=said)


def test_channels_are_names_of_fields_and_topics_stand_in_a_text() -> None:
    channels = {Channel.TRADES: "T.{symbol}", Channel.QUOTES: "Q.{symbol}"}
    told = Subscribe(message={"params": "{topics}"}, channels=channels, at_once=3)
    frames = compile_subscribe(told, "TEST")(ENTRIES, [Channel.TRADES, Channel.QUOTES])
    assert [json.loads(text) for text in frames] == [{"params": "T.A,T.B,Q.A"}, {"params": "Q.B"}]


def test_a_secret_stays_one_text_whatever_it_holds() -> None:
    secrets = {"K": 'a"b\\c{secret:L}', "L": "never"}
    assert json.loads(spoken('{"key":"{secret:K}"}', secrets)) == {"key": secrets["K"]}
    assert spoken("authorize {secret:K}", secrets) == f"authorize {secrets['K']}"
    with pytest.raises(FailedPrecondition, match="needs M: set it in the environment"):
        spoken('{"key":"{secret:M}"}', secrets)


def test_a_key_in_the_path_makes_no_path_of_each_symbol() -> None:
    assert source_with(path="/?token={secret:K}").live.path_of is None


SHARE = Line(
    symbol="s",
    quote=Const("usd"),
    security=Security(
        name="n",
        kind=Choice("t", {"CS": AssetClass.EQUITY, "ETF": AssetClass.ETF}),
        mic=Choice("x", {"NASDAQ": "XNAS"}),
        isin="isin",
        cusip="cusip",
        composite_figi="figi",
    ),
)


def test_a_share_is_listed_at_its_exchange_and_known_by_what_is_valid() -> None:
    request = compile_instruments(Instruments(path="/x", lines=(SHARE,)), frozenset({"USD"}), {}, "TEST")
    lines = [
        {
            "s": "AAPL",
            "n": "Apple",
            "t": "CS",
            "x": "NASDAQ",
            "isin": "US0378331005",
            "cusip": "on request",
            "figi": "",
        },
        {"s": "XYZ", "n": "Fund", "t": "ETF", "x": "elsewhere", "isin": "US0378331006", "figi": "BBG000BDTBL9"},
        {"s": "W", "n": "Warrant", "t": "WRT", "x": "NASDAQ"},
        {"s": "N", "t": "CS", "x": "NASDAQ"},
    ]
    listed = request.parse(json.dumps(lines).encode())
    apple, fund = listed.entries
    assert [one.split(":")[0] for one in listed.refused] == ["[2]", "[3]"]
    assert apple.pair == "AAPL"
    made = instrument_of(apple, "VENDOR", "VENDOR")
    assert instrument_text(made) == "ap1|equity|isin|US0378331005"
    assert [(one.scheme.name, one.value, one.venue) for one in made.identifiers] == [
        ("ISIN", "US0378331005", ""),
        ("TICKER", "AAPL", "XNAS"),
    ]
    listing = listing_of(apple, "VENDOR")
    assert (listing.venue, listing.symbol, listing.currency) == ("XNAS", "AAPL", "USD")
    # An exchange that nobody names is the vendor's own place; an ISIN with a wrong digit identifies nothing.
    assert listing_of(fund, "VENDOR").venue == "VENDOR"
    assert instrument_text(instrument_of(fund, "VENDOR")) == "ap1|etf|figi|BBG000BDTBL9"


@pytest.mark.parametrize(
    "line",
    [
        replace(SHARE, security=Security(name="n", kind=AssetClass.BOND)),
        replace(SHARE, index=Index(name="n", provider="p")),
        replace(SHARE, base="b", contract=Contract(kind=AssetClass.PERPETUAL, settle="q")),
    ],
    ids=("a bond", "an index", "a contract"),
)
def test_a_security_is_a_share_and_nothing_else(line: Line) -> None:
    with pytest.raises(SpecificationError, match=r"^TEST\."):
        compile_instruments(Instruments(path="/x", lines=(line,)), frozenset(), {}, "TEST")


def test_a_list_has_parts_or_is_asked_for_in_another_way() -> None:
    with pytest.raises(SpecificationError, match="are of different lists"):
        compile_instruments(Instruments(path="/x", lines=(SHARE,), next="n", post={}), frozenset(), {}, "TEST")
    request = compile_instruments(
        Instruments(path="/x?a=1", lines=(SHARE,), each="d", next="m.n"), frozenset(), {}, "TEST"
    )
    assert request.next is not None
    assert request.next(b'{"m":{"n":"https://venue/x?cursor=2"}}') == "/x?cursor=2"
    assert request.next(b'{"m":{"n":null}}') == request.next(b'{"d":[]}') == ""
