"""Binance spot. Combined streams and depth snapshots as in "WebSocket Streams for Binance" and "General REST endpoints"
(developers.binance.com), unchanged in what is read here since 2019.

Verified by: recording (2021-10-12), simulated venue. Not by a live connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from alphapulse.domain.instruments import ListingStatus, TradingRules
from collector_service.book import RangeSequenceMachine
from collector_service.book.machine import ASK, BID
from collector_service.emitter import Emitter, LevelText, side_changes
from collector_service.listings import VenueSymbol
from collector_service.sources.reading import json_of, read_lines, rule
from collector_service.spec import (
    Channel,
    Dialect,
    Discovery,
    Endpoints,
    Heartbeat,
    InstrumentList,
    Limits,
    Route,
    SnapshotRequest,
    SourceSpec,
)
from collector_service.times import NANOS_PER_MILLI, Millis, Number

_FIAT: Final = frozenset({"ARS", "AUD", "BRL", "COP", "CZK", "EUR", "GBP", "IDR", "JPY", "MXN", "NGN", "PLN", "RON", "RUB",
                          "TRY", "UAH", "USD", "ZAR"})  # fmt: skip
"""ISO 4217 codes that are money here. ERN, MTL, TOP and others are coins on Binance."""

_STATUS: Final = {"TRADING": ListingStatus.TRADING, "PRE_TRADING": ListingStatus.PENDING}
_STREAMS: Final = {Channel.TRADES: "trade", Channel.QUOTES: "bookTicker", Channel.BOOKS: "depth@100ms"}
_STREAMS_A_MESSAGE: Final = 200


class _Combined(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Trade(msgspec.Struct, rename={"symbol": "s", "price": "p", "size": "q", "time": "T", "buyer_is_maker": "m",
                                     "number": "t"}):  # fmt: skip
    symbol: str
    price: str
    size: str
    time: Millis
    buyer_is_maker: bool
    number: Number


class _AggregateTrade(msgspec.Struct, rename={"symbol": "s", "price": "p", "size": "q", "time": "T",
                                             "buyer_is_maker": "m", "number": "a"}):  # fmt: skip
    """Fills of one order at one price as one trade; its number is its own."""

    symbol: str
    price: str
    size: str
    time: Millis
    buyer_is_maker: bool
    number: Number


class _BookTicker(msgspec.Struct, rename={"symbol": "s", "bid": "b", "bid_size": "B", "ask": "a", "ask_size": "A"}):
    symbol: str
    bid: str
    bid_size: str
    ask: str
    ask_size: str


class _DepthUpdate(msgspec.Struct, rename={"symbol": "s", "time": "E", "first": "U", "last": "u", "bids": "b",
                                           "asks": "a"}):  # fmt: skip
    symbol: str
    time: Millis
    first: Number
    last: Number
    bids: list[LevelText]
    asks: list[LevelText]


class _DepthSnapshot(msgspec.Struct, rename={"last": "lastUpdateId"}):
    last: Number
    bids: list[LevelText]
    asks: list[LevelText]


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: str = ""
    min_qty: str = ""
    max_qty: str = ""
    step_size: str = ""
    min_notional: str = ""


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: list[_Filter] = []


class _ExchangeInfo(msgspec.Struct):
    symbols: list[msgspec.Raw]


def _split(frame: bytes) -> tuple[str, Any]:
    combined = _COMBINED(frame)
    if not combined.stream:
        return ("error" if b'"error"' in frame else "acknowledgement"), frame
    return combined.stream.split("@")[1] if "@" in combined.stream else combined.stream, combined.data


_COMBINED: Final = json_of(_Combined)


def _emit_trade(message: _Trade | _AggregateTrade, out: Emitter) -> None:
    aggressor = 2 if message.buyer_is_maker else 1
    time_ns = message.time * NANOS_PER_MILLI
    out.trade(
        message.symbol, message.price, message.size, trade_id=message.number, aggressor=aggressor, time_ns=time_ns
    )


def _emit_quote(message: _BookTicker, out: Emitter) -> None:
    out.quote(message.symbol, message.bid, message.bid_size, message.ask, message.ask_size)


def _emit_depth(message: _DepthUpdate, out: Emitter) -> None:
    changes = [*side_changes(BID, message.bids), *side_changes(ASK, message.asks)]
    time_ns = message.time * NANOS_PER_MILLI
    out.update(message.symbol, changes, first=message.first, last=message.last, time_ns=time_ns)


def _emit_snapshot(message: _DepthSnapshot, out: Emitter) -> None:
    out.snapshot(out.requested, message.bids, message.asks, sequence=message.last)


def _snapshot_symbol(url: str) -> str | None:
    parts = urlsplit(url)
    return parse_qs(parts.query).get("symbol", [None])[0] if parts.path.endswith("/depth") else None


def _subscribe(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> list[str]:
    streams = [f"{entry.symbol.lower()}@{_STREAMS[channel]}" for channel in channels for entry in entries]
    return [
        msgspec.json.encode(
            {"method": "SUBSCRIBE", "params": streams[at : at + _STREAMS_A_MESSAGE], "id": number}
        ).decode()
        for number, at in enumerate(range(0, len(streams), _STREAMS_A_MESSAGE), 1)
    ]


def _read_list(body: bytes) -> InstrumentList:
    info = json_of(_ExchangeInfo)(body)
    return read_lines(((f"symbols[{at}]", raw) for at, raw in enumerate(info.symbols)), _Symbol, _entry)


def _entry(_name: str, line: _Symbol) -> VenueSymbol:
    filters = {one.filter_type: one for one in line.filters}
    empty = _Filter("")
    price, lot = filters.get("PRICE_FILTER", empty), filters.get("LOT_SIZE", empty)
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or empty
    return VenueSymbol(
        symbol=line.symbol,
        base=line.base_asset,
        quote=line.quote_asset,
        fiat=_FIAT & {line.base_asset, line.quote_asset},
        rules=TradingRules(
            tick_size=rule(price.tick_size),
            lot_size=rule(lot.step_size),
            min_size=rule(lot.min_qty),
            max_size=rule(lot.max_qty),
            min_notional=rule(notional.min_notional),
        ),
        status=_STATUS.get(line.status, ListingStatus.HALTED),
    )


BINANCE: Final = SourceSpec(
    name="BINANCE",
    venue="BINANCE",
    endpoints=Endpoints("wss://stream.binance.com:9443", "https://api.binance.com"),
    # 1,024 streams a connection, three a symbol; 5 messages/s; a snapshot of 1,000 levels costs 50 of 6,000 a minute.
    limits=Limits(300, 4.0, 1.8, connection_lifetime_s=23.5 * 3600),
    heartbeat=Heartbeat(stale_after_s=30.0),
    discovery=Discovery("/api/v3/exchangeInfo", _read_list),
    dialects=(
        Dialect(
            name="combined streams",
            split=_split,
            routes={
                "trade": Route(json_of(_Trade), _emit_trade),
                "aggTrade": Route(json_of(_AggregateTrade), _emit_trade),
                "bookTicker": Route(json_of(_BookTicker), _emit_quote),
                "depth": Route(json_of(_DepthUpdate), _emit_depth),
            },
            books=frozenset({"depth"}),
            silent=frozenset({"acknowledgement", "kline_1m"}),
            subscribe=_subscribe,
            resync=lambda _entry: (),
            path="/stream",
        ),
    ),
    book_machine="range_sequence",
    new_book=RangeSequenceMachine,
    snapshot=SnapshotRequest(
        path=lambda symbol: f"/api/v3/depth?symbol={symbol}&limit=1000",
        symbol=_snapshot_symbol,
        route=Route(json_of(_DepthSnapshot), _emit_snapshot),
    ),
)
