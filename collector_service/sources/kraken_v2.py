"""Version 2 of Kraken's WebSocket: objects with bare JSON numbers, read as text. Source: docs.kraken.com, "Spot Websockets (v2)"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.book.machine import ASK, BID
from collector_service.emitter import Emitter, LevelText, side_changes
from collector_service.listings import VenueSymbol
from collector_service.sources.reading import json_of, number_text
from collector_service.spec import Channel, Dialect, Route
from collector_service.times import Number, nanos_of_iso

DEPTH: Final = 25
"""Levels a side that are subscribed to: 10, 25, 100, 500 or 1000."""

_Checksum = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class _Head(msgspec.Struct):
    channel: str = ""
    type: str = ""
    method: str = ""


class _Trade(msgspec.Struct):
    symbol: str
    side: Literal["buy", "sell"]
    price: msgspec.Raw
    qty: msgspec.Raw
    trade_id: Number
    timestamp: str


class _Trades(msgspec.Struct):
    data: list[_Trade]


class _Quote(msgspec.Struct):
    symbol: str
    bid: msgspec.Raw
    bid_qty: msgspec.Raw
    ask: msgspec.Raw
    ask_qty: msgspec.Raw
    timestamp: str = ""


class _Quotes(msgspec.Struct):
    data: list[_Quote]


class _Level(msgspec.Struct):
    price: msgspec.Raw
    qty: msgspec.Raw


class _Book(msgspec.Struct):
    symbol: str
    checksum: _Checksum
    bids: list[_Level] = []
    asks: list[_Level] = []
    timestamp: str = ""


class _Books(msgspec.Struct):
    type: Literal["snapshot", "update"]
    data: list[_Book]


class _Result(msgspec.Struct, frozen=True):
    channel: str = ""
    symbol: str = ""
    depth: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0


class _Subscribed(msgspec.Struct):
    success: bool
    result: _Result = _Result()
    error: str = ""


_HEAD: Final = json_of(_Head)


def _split(frame: bytes) -> tuple[str, Any]:
    head = _HEAD(frame)
    if head.channel == "trade" and head.type == "snapshot":
        return "past trades", frame
    return head.channel or head.method, frame


def _emit_trades(message: _Trades, out: Emitter) -> None:
    for trade in message.data:
        aggressor = 1 if trade.side == "buy" else 2
        price, size = number_text(trade.price), number_text(trade.qty)
        time_ns = nanos_of_iso(trade.timestamp)
        out.trade(trade.symbol, price, size, trade_id=trade.trade_id, aggressor=aggressor, time_ns=time_ns)


def _emit_quotes(message: _Quotes, out: Emitter) -> None:
    for quote in message.data:
        texts = [number_text(part) for part in (quote.bid, quote.bid_qty, quote.ask, quote.ask_qty)]
        out.quote(quote.symbol, *texts, time_ns=nanos_of_iso(quote.timestamp) if quote.timestamp else 0)


def _emit_books(message: _Books, out: Emitter) -> None:
    for book in message.data:
        bids, asks = _texts(book.bids), _texts(book.asks)
        time_ns = nanos_of_iso(book.timestamp) if book.timestamp else 0
        if message.type == "snapshot":
            out.snapshot(book.symbol, bids, asks, checksum=book.checksum, time_ns=time_ns)
        else:
            changes = [*side_changes(BID, bids), *side_changes(ASK, asks)]
            out.update(book.symbol, changes, checksum=book.checksum, time_ns=time_ns)


def _texts(levels: Sequence[_Level]) -> list[LevelText]:
    return [(number_text(level.price), number_text(level.qty)) for level in levels]


def _emit_subscribed(message: _Subscribed, out: Emitter) -> None:
    if not message.success:
        raise InvalidArgument.field("error", message.error, "venue-error", "Kraken refused a subscription")
    if message.result.channel == "book" and message.result.depth and message.result.symbol:
        out.set_depth(message.result.symbol, message.result.depth)


def _subscribe(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> list[str]:
    symbols = [entry.pair for entry in entries]
    return [_request("subscribe", symbols, channel) for channel in channels]


def _resync(entry: VenueSymbol) -> list[str]:
    return [_request(method, [entry.pair], Channel.BOOKS) for method in ("unsubscribe", "subscribe")]


def _request(method: str, symbols: Sequence[str], channel: Channel) -> str:
    params: dict[str, object] = {"symbol": symbols}
    match channel:
        case Channel.TRADES:
            # Past trades are history, not events of now.
            params |= {"channel": "trade", "snapshot": False}
        case Channel.QUOTES:
            params |= {"channel": "ticker", "event_trigger": "bbo"}
        case Channel.BOOKS:
            params |= {"channel": "book", "depth": DEPTH}
    return msgspec.json.encode({"method": method, "params": params}).decode()


def dialect(valid_from: datetime) -> Dialect:
    """Version 2, since a date."""
    return Dialect(
        name="version 2",
        split=_split,
        routes={
            "trade": Route(json_of(_Trades), _emit_trades),
            "ticker": Route(json_of(_Quotes), _emit_quotes),
            "book": Route(json_of(_Books), _emit_books),
            "subscribe": Route(json_of(_Subscribed), _emit_subscribed),
        },
        books=frozenset({"book"}),
        silent=frozenset({"heartbeat", "status", "pong", "unsubscribe", "past trades"}),
        subscribe=_subscribe,
        resync=_resync,
        path="/v2",
        valid_from=valid_from,
    )
