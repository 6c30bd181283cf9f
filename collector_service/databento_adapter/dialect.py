"""What becomes of Databento's records. Their numbers are exact; which instrument a record is of is told by a number, and what that stands for by a
record of its own, on the same connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.amounts import Amount
from collector_service.book import LevelChange
from collector_service.databento_adapter import records
from collector_service.emitter import Emitter
from collector_service.listings import VenueSymbol
from collector_service.source import Dialect, Route
from collector_service.spec import ASK, BID, Channel

SKIPPED: Final = "RECORDS_SKIPPED"
"""The gateway left records out, since they were not read fast enough."""
BAD_BOOK: Final = "MAYBE_BAD_BOOK"
"""Databento lost packets of the exchange, and cannot say which."""
SCHEMAS: Final[Mapping[Channel, tuple[str, ...]]] = {
    Channel.TRADES: ("trades", "status"),
    Channel.QUOTES: ("mbp-1",),
    Channel.BOOKS: ("mbp-10",),
}
_KINDS: Final = {
    records.TRADES: "trade",
    records.QUOTES: "quote",
    records.BOOKS: "book",
    records.STATUS: "status",
    records.MAPPING: "mapping",
}
_SYSTEM: Final = {
    0: "heartbeat",
    1: "subscribed",
    2: "slow reader",
    3: "replay completed",
    4: "end of interval",
    5: "unsubscribed",
}
_SKIPPED_CODE: Final = 7
_TRADE: Final = b"T"
_AGGRESSORS: Final = {b"B": 1, b"A": 2, b"N": 0}
_OPEN, _HALTED, _CLOSED, _AUCTION = 1, 2, 3, 4
_STATES: Final = {
    1: _AUCTION,  # the exchange collects orders for its opening
    2: _AUCTION,
    4: _AUCTION,
    5: _AUCTION,
    7: _OPEN,
    8: _HALTED,
    9: _HALTED,
    10: _HALTED,
    12: _CLOSED,
    13: _CLOSED,
    15: _CLOSED,
}
_SAYING_NOTHING: Final = frozenset({0, 3, 6, 11, 14})
"""Quoting without trading, indications, the time before the close, limits of short sales: none of them is a state of trading."""
_BAD: Final = "bad"


def _split(data: bytes, _: Emitter) -> tuple[str, Any]:
    kind, number, time_ns = records.head(data)
    named = _KINDS.get(kind)
    if named is not None:
        return named, (number, time_ns, data)
    if kind == records.ERROR:
        told = records.told(data)
        return ("skipped" if told.code == _SKIPPED_CODE else "error"), told
    if kind == records.SYSTEM:
        code = records.told(data).code
        return _SYSTEM.get(code, f"system {code}"), None
    return f"rtype {kind}", None


Body = tuple[int, int, bytes]
"""Number of the instrument, time, the whole record."""


def _trade(body: Body, out: Emitter) -> None:
    number, time_ns, data = body
    event = records.event(data)
    if event.action != _TRADE:
        raise InvalidArgument.field("action", repr(event.action), "action-other", "a trade's is T")
    price = records.price(event.price)
    if price is None:
        raise InvalidArgument.field("price", "", "field-missing", "a trade has a price")
    side = _AGGRESSORS.get(event.side)
    if side is None:
        side = out.unknown_value("side", event.side)
    out.trade(out.learned(number), price, (event.size, 0), aggressor=side, time_ns=time_ns)


def _quote(body: Body, out: Emitter) -> None:
    number, time_ns, data = body
    event, symbol = records.event(data), out.learned(number)
    _doubt(number, symbol, event.flags, out)
    if not event.flags & records.LAST:
        return
    (level,) = records.levels(data)
    bid, ask = records.price(level[0]), records.price(level[1])
    out.quote(symbol, bid, _size(bid, level[2]), ask, _size(ask, level[3]), time_ns=time_ns)


def _book(body: Body, out: Emitter) -> None:
    number, time_ns, data = body
    event, symbol = records.event(data), out.learned(number)
    _doubt(number, symbol, event.flags, out)
    if not event.flags & records.LAST:
        return
    changes: list[LevelChange] = []
    for bid, ask, bid_size, ask_size, _, _ in records.levels(data):
        for side, units, size in ((BID, bid, bid_size), (ASK, ask, ask_size)):
            price = records.price(units)
            if price is not None and size:
                changes.append((side, price, (size, 0)))
    out.snapshot(symbol, changes, time_ns=time_ns)


def _size(price: Amount | None, size: int) -> Amount | None:
    return None if price is None else (size, 0)


def _doubt(number: int, symbol: str, flags: int, out: Emitter) -> None:
    """Tells once when a book may have become wrong; how it was is remembered as long as the connection holds."""
    told = out.channel_of((_BAD, number))
    bad = bool(flags & records.MAYBE_BAD_BOOK)
    if bad != bool(told):
        out.learn((_BAD, number), _BAD if bad else "", symbol)
        if bad:
            out.gaps.append((BAD_BOOK, symbol))


def _status(body: Body, out: Emitter) -> None:
    number, time_ns, data = body
    action = records.status(data)
    if action in _SAYING_NOTHING:
        return
    state = _STATES.get(action) or out.unknown_value("action", action)
    out.status(out.learned(number), state, time_ns=time_ns)


def _mapping(body: Body, out: Emitter) -> None:
    """A number is another instrument's on another day: what ended before the record was made is passed over."""
    number, time_ns, data = body
    told = records.mapping(data)
    if not told.symbol:
        raise InvalidArgument.field("stype_out_symbol", "", "field-missing", "the symbol that a number stands for")
    if told.end_ns and time_ns and told.end_ns <= time_ns:
        return
    out.learn(number, "", told.symbol)


def _skipped(_: records.Told, out: Emitter) -> None:
    out.gaps.append((SKIPPED, ""))


def _same(body: Any) -> Any:
    return body


def _subscribe(entries: Sequence[VenueSymbol], channels: Sequence[Channel], given: Sequence[str]) -> list[str]:
    """One for each schema; `transport` makes of it what the library sends."""
    symbols = [entry.symbol for entry in entries]
    wanted = [schema for one in channels for schema in SCHEMAS.get(one, ()) if schema in given]
    return [msgspec.json.encode({"schema": schema, "symbols": symbols}).decode() for schema in wanted]


def dialect_of(schemas: Sequence[str]) -> Dialect:
    """The dialect of a data set that has these schemas."""
    return Dialect(
        name="DBN version 3",
        split=_split,
        routes={
            "trade": Route(_same, _trade),
            "quote": Route(_same, _quote),
            "book": Route(_same, _book),
            "status": Route(_same, _status),
            "mapping": Route(_same, _mapping),
            "skipped": Route(_same, _skipped),
        },
        books=frozenset({"book"}),
        silent=frozenset(_SYSTEM.values()),
        subscribe=lambda entries, channels: _subscribe(entries, channels, schemas),
        resync=lambda *_: [],
    )
