"""Coinbase Exchange. The feed's channels matches, ticker, level2 (level2_batch since it asks for no key) and the product list,
as in "WebSocket channels" and "Get all known trading pairs" (docs.cdp.coinbase.com/exchange).

Verified by: recording (2021-04-17, as Coinbase Pro), simulated venue. Not by a live connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from alphapulse.domain.instruments import ListingStatus, TradingRules
from collector_service.book import SnapshotUpdatesMachine
from collector_service.book.machine import ASK, BID, LevelChange
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
    SourceSpec,
)
from collector_service.times import Number, nanos_of_iso

_FIAT: Final = frozenset({"AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "SGD", "USD"})
_EXCHANGE_SINCE: Final = datetime(2022, 6, 30, tzinfo=UTC)

Side = Literal["buy", "sell"]


class _Head(msgspec.Struct):
    type: str


class _Match(msgspec.Struct):
    product_id: str
    trade_id: Number
    price: str
    size: str
    side: Side
    time: str


class _Ticker(msgspec.Struct):
    product_id: str
    best_bid: str
    best_ask: str
    time: str = ""
    best_bid_size: str | None = None
    best_ask_size: str | None = None


class _Snapshot(msgspec.Struct):
    product_id: str
    bids: list[LevelText]
    asks: list[LevelText]
    time: str = ""


class _Update(msgspec.Struct):
    product_id: str
    changes: list[tuple[Side, str, str]]
    time: str = ""


class _Product(msgspec.Struct):
    id: str
    base_currency: str
    quote_currency: str
    quote_increment: str
    base_increment: str
    base_min_size: str = ""
    base_max_size: str = ""
    min_market_funds: str = ""
    status: str = "online"
    trading_disabled: bool = False
    cancel_only: bool = False


_HEAD: Final = json_of(_Head)


def _split(frame: bytes) -> tuple[str, Any]:
    return _HEAD(frame).type, frame


def _emit_match(message: _Match, out: Emitter) -> None:
    # The side is the maker's: a resting sell order was taken by a buyer.
    aggressor = 1 if message.side == "sell" else 2
    time_ns = nanos_of_iso(message.time)
    out.trade(
        message.product_id,
        message.price,
        message.size,
        trade_id=message.trade_id,
        aggressor=aggressor,
        time_ns=time_ns,
    )


def _emit_last_match(message: _Match, out: Emitter) -> None:
    # A subscription opens with the last trade; after a reconnect that one was given before.
    if not out.has_seen_trade(message.product_id, message.trade_id):
        _emit_match(message, out)


def _emit_ticker(message: _Ticker, out: Emitter) -> None:
    time_ns = nanos_of_iso(message.time) if message.time else 0
    out.quote(
        message.product_id,
        message.best_bid,
        message.best_bid_size,
        message.best_ask,
        message.best_ask_size,
        time_ns=time_ns,
    )


def _emit_snapshot(message: _Snapshot, out: Emitter) -> None:
    time_ns = nanos_of_iso(message.time) if message.time else 0
    out.snapshot(message.product_id, message.bids, message.asks, time_ns=time_ns)


def _emit_update(message: _Update, out: Emitter) -> None:
    changes: list[LevelChange] = []
    for side, price, size in message.changes:
        changes += side_changes(BID if side == "buy" else ASK, ((price, size),))
    out.update(message.product_id, changes, time_ns=nanos_of_iso(message.time) if message.time else 0)


def _subscriber(book_channel: str) -> Callable[[Sequence[VenueSymbol], Sequence[Channel]], list[str]]:
    names = {Channel.BOOKS: book_channel, Channel.QUOTES: "ticker", Channel.TRADES: "matches"}

    def subscribe(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> list[str]:
        products = [entry.symbol for entry in entries]
        wanted = [*(names[channel] for channel in channels), "heartbeat"]
        return [_request("subscribe", products, [channel]) for channel in wanted]

    return subscribe


def _resyncer(book_channel: str) -> Callable[[VenueSymbol], list[str]]:
    def resync(entry: VenueSymbol) -> list[str]:
        return [_request(kind, [entry.symbol], [book_channel]) for kind in ("unsubscribe", "subscribe")]

    return resync


def _request(kind: str, products: Sequence[str], channels: Sequence[str]) -> str:
    return msgspec.json.encode({"type": kind, "product_ids": products, "channels": channels}).decode()


def _read_list(body: bytes) -> InstrumentList:
    lines = json_of(list[msgspec.Raw])(body)
    return read_lines(((f"[{at}]", raw) for at, raw in enumerate(lines)), _Product, _entry)


def _entry(_name: str, line: _Product) -> VenueSymbol:
    return VenueSymbol(
        symbol=line.id,
        base=line.base_currency,
        quote=line.quote_currency,
        fiat=_FIAT & {line.base_currency, line.quote_currency},
        rules=TradingRules(
            tick_size=rule(line.quote_increment),
            lot_size=rule(line.base_increment),
            min_size=rule(line.base_min_size),
            max_size=rule(line.base_max_size),
            min_notional=rule(line.min_market_funds),
        ),
        status=_status(line),
    )


def _status(line: _Product) -> ListingStatus:
    if line.status == "delisted":
        return ListingStatus.DELISTED
    trades = line.status == "online" and not line.trading_disabled and not line.cancel_only
    return ListingStatus.TRADING if trades else ListingStatus.HALTED


_ROUTES: Final = {
    "match": Route(json_of(_Match), _emit_match),
    "last_match": Route(json_of(_Match), _emit_last_match),
    "ticker": Route(json_of(_Ticker), _emit_ticker),
    "snapshot": Route(json_of(_Snapshot), _emit_snapshot),
    "l2update": Route(json_of(_Update), _emit_update),
}
_BOOKS: Final = frozenset({"snapshot", "l2update"})
_SILENT: Final = frozenset({"subscriptions", "heartbeat"})

COINBASE: Final = SourceSpec(
    name="COINBASE",
    venue="COINBASE",
    endpoints=Endpoints("wss://ws-feed.exchange.coinbase.com", "https://api.exchange.coinbase.com"),
    limits=Limits(100, 50.0, 8.0),
    # The heartbeat channel speaks once a second for each product.
    heartbeat=Heartbeat(stale_after_s=15.0),
    discovery=Discovery("/products", _read_list),
    dialects=(
        Dialect(
            name="Coinbase Pro feed",
            split=_split,
            routes=_ROUTES,
            books=_BOOKS,
            silent=_SILENT,
            subscribe=_subscriber("level2"),
            resync=_resyncer("level2"),
            valid_to=_EXCHANGE_SINCE,
        ),
        Dialect(
            name="Coinbase Exchange feed",
            split=_split,
            routes=_ROUTES,
            books=_BOOKS,
            silent=_SILENT,
            subscribe=_subscriber("level2_batch"),
            resync=_resyncer("level2_batch"),
            valid_from=_EXCHANGE_SINCE,
        ),
    ),
    book_machine="snapshot_updates",
    new_book=SnapshotUpdatesMachine,
    quirks=("last_match repeats a trade after a reconnect",),
)
