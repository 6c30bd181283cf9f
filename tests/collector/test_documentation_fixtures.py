"""Messages as the venues' own documentation shows them, and the rows they have to become.

`fixtures/NAME.json`, of the dialect that is live:

    {"cases": [{"of": URL, "read_on": "2026-11-30",
                "instruments": [{"symbol": "BTC-USDT", "base": "BTC", "quote": "USDT", "aliases": [], "extras": {}}],
                "frames": [{...}, "pong", {"@url": "/api/depth?symbol=BTC-USDT", "@body": {...}}],
                "rows": [{"type": "trade", "symbol": "BTC-USDT", "price": "42219.9", "size": "0.1206", "side": "buy",
                          "trade_id": 130639474, "time": "2021-08-13T10:12:32.123Z"}],
                "replies": [{...}],
                "unknown": {"x": 1},
                "books": {"BTC-USDT": {"bids": [["42219.8", "1"]], "asks": []}}}],
     "lists": [{"of": URL, "read_on": ..., "path": "/api/v5/public/instruments?instType=SPOT", "answer": {...},
                "entries": [{"symbol": "BTC-USDT", "base": "BTC", "quote": "USDT", "status": "TRADING", "tick": "0.1",
                             "lot": "0.00000001", "kind": "PERPETUAL", "settle": "USDT", "size": "0.01", "expiry": "2026-12-25T08:00:00Z"}]}],
     "subscriptions": [{"of": URL, "read_on": ..., "symbols": ["BTC-USDT"], "channels": ["trades", "books"], "frames": [{...}]}]}

Instruments that the source itself gives need not be told; one without a base is a share. `@now` in a frame to subscribe stands for the time it is
made at; `as_quoted_by` names the library whose source shows the venue's example, where the page itself was not at hand.

Of a row and of an entry those fields are compared that are told: `side` is buy, sell, bid or ask, `time` the venue's; a quote has bid, bid_size, ask
and ask_size; a figure has value and kind; a status has state; a notice has its texts, `effective`
as a time, and null for a value that is absent. `unknown` counts messages that no event can say, by kind. What a number is written as
is what is sent. Compressed frames are given unpacked; an answer that is no JSON is a text, or a list of its lines under `@lines`.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.provenance import Provenance, RecordFlag
from alphapulse.records import BOOK_LEVEL, LAYOUTS, NOTICE, QUOTE, STATISTIC, TRADE, TRADING_STATUS
from collector_service.listing_index import ListingIndex
from collector_service.listings import SecurityTerms, VenueSymbol
from collector_service.rows import as_array
from collector_service.session import Session
from collector_service.sources import NATIVE, SOURCES
from collector_service.spec import Channel, Verification
from collector_service.transport.base import Arrival, ArrivalKind, Send

FOLDER: Final = Path(__file__).with_name("fixtures")
NAMES: Final = sorted(path.stem for path in FOLDER.glob("*.json"))
TYPES: Final = {
    "trade": TRADE.event_type,
    "quote": QUOTE.event_type,
    "book_level": BOOK_LEVEL.event_type,
    "statistic": STATISTIC.event_type,
    "trading_status": TRADING_STATUS.event_type,
    "notice": NOTICE.event_type,
}
EXPONENTS: Final = {
    "price": "price_exponent",
    "size": "size_exponent",
    "bid": "price_exponent",
    "ask": "price_exponent",
    "bid_size": "size_exponent",
    "ask_size": "size_exponent",
    "value": "value_exponent",
    "actual": "actual_exponent",
    "forecast": "forecast_exponent",
    "previous": "previous_exponent",
}
ABSENT: Final = {
    "actual": RecordFlag.ACTUAL_ABSENT,
    "forecast": RecordFlag.FORECAST_ABSENT,
    "previous": RecordFlag.PREVIOUS_ABSENT,
}
NOW_NS: Final = 1_764_460_800_000_000_000


class Written(float):
    """A number of the file as it is written there, for frames: 0.10 is not 0.1."""

    text: str

    def __new__(cls, text: str) -> Written:
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __repr__(self) -> str:
        return self.text


def _read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(), parse_float=Written)


def _sent(frame: Any) -> bytes:
    if isinstance(frame, str):
        return frame.encode()
    if isinstance(frame, dict) and "@lines" in frame:
        return "\n".join(frame["@lines"]).encode()
    return _json(frame).encode()


def _json(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_json(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return value.text if isinstance(value, Written) else json.dumps(value)


CASES: Final = [
    pytest.param(name, place, id=f"{name}-{place}")
    for name in NAMES
    for place in range(len(_read(name).get("cases", ())))
]


def _session(name: str, case: Any) -> Session:
    spec = SOURCES[name]
    listings = ListingIndex(spec.venue)
    for request in spec.discovery.requests:
        if request.given is not None:
            listings.learn(request.given.entries)
    listings.learn(
        VenueSymbol(
            one["symbol"],
            one["base"],
            one["quote"],
            frozenset(),
            aliases=tuple(one.get("aliases", ())),
            extras=one.get("extras", {}),
            security=None if one["base"] else SecurityTerms(AssetClass.EQUITY, one["symbol"]),
        )
        for one in case.get("instruments", ())
    )
    return Session(spec, listings, Provenance.LIVE, clock=lambda: NOW_NS)


def _play(name: str, case: Any) -> tuple[Session, list[str], set[str]]:
    session, said, kinds = _session(name, case), [], set()
    session.handle(Arrival(ArrivalKind.OPENED, NOW_NS))
    for frame in case["frames"]:
        if isinstance(frame, dict) and "@url" in frame:
            session.handle(Arrival(ArrivalKind.RESPONSE, NOW_NS, _sent(frame["@body"]), 0, frame["@url"]))
            continue
        data = _sent(frame)
        parts = session.spec.live.parts
        kinds |= {session.spec.live.split(one, session.emitter)[0] for one in (parts(data) if parts else [data])}
        said += [one.text for one in session.handle(Arrival(ArrivalKind.FRAME, NOW_NS, data)) if isinstance(one, Send)]
    return session, said, kinds


@pytest.mark.parametrize(("name", "place"), CASES)
def test_documented_messages_become_the_rows_they_mean(name: str, place: int) -> None:
    case = _read(name)["cases"][place]
    assert case["of"].startswith("http")
    session, said, _ = _play(name, case)
    assert not session.rejects
    assert session.unknown_messages == case.get("unknown", {})
    assert not session.unknown_values
    assert not session.resyncs
    taken = session.sink.take()
    found = {kind: as_array(LAYOUTS[kind], rows) for kind, rows in taken.items() if rows}
    wanted: dict[int, list[Any]] = {}
    for row in case.get("rows", ()):
        wanted.setdefault(TYPES[row["type"]], []).append(row)
    assert {kind: len(rows) for kind, rows in found.items()} == {kind: len(rows) for kind, rows in wanted.items()}
    for kind, expected in wanted.items():
        for row, told in zip(found[kind], expected, strict=True):
            for field, value in told.items():
                wanted_value = session.emitter.listings.key(value) if field == "symbol" else _value(field, value)
                assert _field(row, field) == wanted_value, (told, field)
    if "replies" in case:
        assert [json.loads(text) if text[:1] in "{[" else text for text in said] == case["replies"]
    for symbol, sides in case.get("books", {}).items():
        book = session.emitter.books[symbol].book
        assert session.emitter.books[symbol].synced
        for side, levels in (("bids", book.bids), ("asks", book.asks)):
            exact = [[Decimal(amount[0]).scaleb(amount[1]) for amount in level] for level in levels]
            assert exact == [[Decimal(_plain(part)) for part in level] for level in sides[side]], (symbol, side)


def _plain(value: Any) -> str:
    return value.text if isinstance(value, Written) else str(value)


def _field(row: Any, field: str) -> Any:
    if field == "type":
        return None
    if field == "symbol":
        return int(row["listing_key"])
    if field == "side":
        names = row.dtype.names or ()
        return int(row["aggressor"] if "aggressor" in names else row["side"])
    if field == "time":
        return int(row["venue_time_ns"])
    if field == "effective":
        return int(row["effective_time_ns"])
    name = {"bid": "bid_price", "ask": "ask_price"}.get(field, field)
    if row.dtype[name].kind == "S":
        return row[name].decode()
    if row["flags"] & ABSENT.get(name, 0):
        return None
    if field == "sentiment":
        return float(row[name])
    if field in EXPONENTS:
        return Decimal(int(row[name])).scaleb(int(row[EXPONENTS[field]]))
    return int(row[name])


def _value(field: str, value: Any) -> Any:
    if field == "type":
        return None
    if field == "side":
        return {"buy": 1, "sell": 2, "bid": 1, "ask": 2, "": 0}[value]
    if field in ("time", "effective"):
        return _nanos(value)
    if field == "sentiment":
        return float(value)
    return Decimal(_plain(value)) if field in EXPONENTS and value is not None else value


def _nanos(text: Any) -> int:
    if isinstance(text, int):
        return text
    whole, _, fraction = text.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 10**9 + int(fraction.ljust(9, "0") or 0)


@pytest.mark.parametrize("name", NAMES)
def test_documented_lists_become_listings(name: str) -> None:
    spec = SOURCES[name]
    for one in _read(name).get("lists", ()):
        read = spec.discovery.reader(one["path"])
        assert read is not None, one["path"]
        listed = read(_sent(one["answer"]))
        assert not listed.refused
        assert [_entry(entry, told) for entry, told in zip(listed.entries, one["entries"], strict=True)] == one[
            "entries"
        ]


def _entry(entry: VenueSymbol, told: Any) -> dict[str, Any]:
    terms = entry.contract
    found: dict[str, Any] = {
        "symbol": entry.symbol,
        "base": entry.base,
        "quote": entry.quote,
        "status": entry.status.name,
        "aliases": list(entry.aliases),
        "extras": dict(entry.extras),
        "tick": _text(entry.rules.tick_size),
        "lot": _text(entry.rules.lot_size),
        "min_size": _text(entry.rules.min_size),
        "max_size": _text(entry.rules.max_size),
        "min_notional": _text(entry.rules.min_notional),
    }
    if terms is not None:
        found |= {
            "kind": terms.kind.name,
            "settle": terms.settle,
            "size": _text(terms.size),
            "inverse": terms.inverse,
            "strike": _text(terms.strike),
            "right": terms.right.name.lower() if terms.right is not None else None,
            "expiry": terms.expiry.strftime("%Y-%m-%dT%H:%M:%SZ") if terms.expiry is not None else None,
        }
    security = entry.security
    if security is not None:
        found |= {
            "kind": security.kind.name,
            "name": security.name,
            "mic": security.mic,
            "country": security.country,
            "identifiers": [[scheme.name, level.name, value] for scheme, level, value in security.identifiers],
        }
    return {field: found.get(field) for field in told}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_to_subscribe_is_what_is_documented(name: str) -> None:
    told = _read(name).get("subscriptions", ())
    assert told or SOURCES[name].live.polls, "at least one, where there is a stream"
    for one in told:
        entries = [VenueSymbol(symbol, *_codes(symbol), frozenset()) for symbol in one["symbols"]]
        entries = [
            VenueSymbol(entry.symbol, entry.base, entry.quote, frozenset(), extras=one.get("extras", {}))
            for entry in entries
        ]
        frames = SOURCES[name].live.subscribe(entries, [Channel(channel) for channel in one["channels"]])
        assert [_timeless(json.loads(text)) if text[:1] in "{[" else text for text in frames] == one["frames"]


def _timeless(frame: Any) -> Any:
    """A request with `@now` in the place of its time, where that is now in seconds."""
    if isinstance(frame, dict) and isinstance(frame.get("time"), int) and abs(frame["time"] - time.time()) < 60:
        return {**frame, "time": "@now"}
    return frame


def _codes(symbol: str) -> tuple[str, str]:
    base, _, quote = symbol.replace("_", "-").replace("/", "-").partition("-")
    return base, quote or "USD"


@pytest.mark.parametrize("name", NAMES)
def test_every_route_of_the_live_dialect_is_shown(name: str) -> None:
    shown: set[str] = set()
    for case in _read(name).get("cases", ()):
        shown |= _play(name, case)[2]
    assert shown >= set(SOURCES[name].live.routes), "routes that no fixture shows"
    asked = [frame["@url"] for case in _read(name).get("cases", ()) for frame in case["frames"] if "@url" in frame]
    assert all(any(poll.form.search(url) for url in asked) for poll in SOURCES[name].live.polls), (
        "polls that no fixture shows"
    )


@pytest.mark.parametrize("name", sorted(NATIVE))
def test_a_source_says_how_it_was_verified(name: str) -> None:
    spec = SOURCES[name].spec
    assert spec is not None
    recorded = (Path(__file__).with_name("recorded") / f"{name.lower()}.py").exists()
    assert (Verification.RECORDING in spec.verified) == recorded
    assert (Verification.FIXTURE in spec.verified) == (name in NAMES)
    assert spec.verified
