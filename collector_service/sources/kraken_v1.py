"""Version 1 of Kraken's WebSocket: arrays that end with channel and pair. Source: docs.kraken.com, "Spot Websockets (v1)"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from alphapulse.domain.errors import InvalidArgument
from collector_service.book.machine import ASK, BID, LevelChange
from collector_service.emitter import Emitter, side_changes
from collector_service.listings import VenueSymbol
from collector_service.sources.reading import json_of
from collector_service.spec import Channel, Dialect, Route
from collector_service.times import nanos_of_seconds

_DEPTH: Final = 1000
_CHECKSUM_DIGITS: Final = len(str(2**32 - 1))
_NAMES: Final = {Channel.TRADES: "trade", Channel.QUOTES: "ticker", Channel.BOOKS: "book"}


class _Level(msgspec.Struct, array_like=True):
    price: str
    size: str
    time: str


class _Trade(msgspec.Struct, array_like=True):
    price: str
    size: str
    time: str
    side: str


class _Trades(msgspec.Struct, array_like=True):
    channel_id: int
    trades: list[_Trade]
    channel: str
    pair: str


class _Best(msgspec.Struct, array_like=True):
    price: str
    whole: int
    size: str


class _Prices(msgspec.Struct, rename={"ask": "a", "bid": "b"}):
    ask: _Best
    bid: _Best


class _Ticker(msgspec.Struct, array_like=True):
    channel_id: int
    prices: _Prices
    channel: str
    pair: str


class _Piece(msgspec.Struct, rename={"all_asks": "as", "all_bids": "bs", "asks": "a", "bids": "b", "checksum": "c"}):
    all_asks: list[_Level] | None = None
    all_bids: list[_Level] | None = None
    asks: list[_Level] = []
    bids: list[_Level] = []
    checksum: str | None = None


class _Event(msgspec.Struct):
    event: str


_ARRAY: Final = json_of(list[msgspec.Raw])
_EVENT: Final = json_of(_Event)
_TEXT: Final = json_of(str)


def _split(frame: bytes) -> tuple[str, Any]:
    if not frame.lstrip().startswith(b"["):
        return _EVENT(frame).event, frame
    parts = _ARRAY(frame)
    if len(parts) < 4:
        raise InvalidArgument.field("frame", str(len(parts)), "array-length", "a message has at least four parts")
    return _TEXT(parts[-2]).partition("-")[0], frame


def _emit_trades(message: _Trades, out: Emitter) -> None:
    for trade in message.trades:
        if trade.side not in ("b", "s"):
            raise InvalidArgument.field("side", trade.side, "side", "b or s")
        aggressor = 1 if trade.side == "b" else 2
        out.trade(message.pair, trade.price, trade.size, aggressor=aggressor, time_ns=nanos_of_seconds(trade.time))


def _emit_ticker(message: _Ticker, out: Emitter) -> None:
    bid, ask = message.prices.bid, message.prices.ask
    out.quote(message.pair, bid.price, bid.size, ask.price, ask.size)


def _emit_book(message: list[int | _Piece | str], out: Emitter) -> None:
    pair, channel = message[-1], message[-2]
    pieces = [part for part in message if isinstance(part, _Piece)]
    if not isinstance(pair, str) or not isinstance(channel, str) or not pieces:
        raise InvalidArgument.field("frame", str(len(message)), "array-shape", "levels, channel and pair")
    first = pieces[0]
    if first.all_asks is not None or first.all_bids is not None:
        asks, bids = first.all_asks or [], first.all_bids or []
        time_ns = _latest([*asks, *bids])
        depth = int(channel.partition("-")[2] or _DEPTH) if channel.partition("-")[2].isdecimal() else _DEPTH
        out.snapshot(pair, _texts(bids), _texts(asks), time_ns=time_ns, depth=depth)
        return
    changes: list[LevelChange] = []
    for piece in pieces:
        changes += side_changes(ASK, _texts(piece.asks))
        changes += side_changes(BID, _texts(piece.bids))
    time_ns = _latest([level for piece in pieces for level in (*piece.asks, *piece.bids)])
    out.update(pair, changes, checksum=_checksum(pieces[-1].checksum), time_ns=time_ns)


def _texts(levels: Sequence[_Level]) -> list[tuple[str, str]]:
    return [(level.price, level.size) for level in levels]


def _latest(levels: Sequence[_Level]) -> int:
    return max((nanos_of_seconds(level.time) for level in levels), default=0)


def _checksum(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _CHECKSUM_DIGITS):
        raise InvalidArgument.field("c", text, "checksum", "an unsigned number of 32 bits")
    return int(text)


def _subscribe(entries: Sequence[VenueSymbol], channels: Sequence[Channel]) -> list[str]:
    pairs = [entry.symbol for entry in entries]
    return [_request("subscribe", pairs, channel) for channel in channels]


def _resync(entry: VenueSymbol) -> list[str]:
    return [_request(kind, [entry.symbol], Channel.BOOKS) for kind in ("unsubscribe", "subscribe")]


def _request(kind: str, pairs: Sequence[str], channel: Channel) -> str:
    subscription: dict[str, object] = {"name": _NAMES[channel]}
    if channel is Channel.BOOKS:
        subscription["depth"] = _DEPTH
    return msgspec.json.encode({"event": kind, "pair": pairs, "subscription": subscription}).decode()


def dialect(valid_to: datetime) -> Dialect:
    """Version 1, until a date."""
    return Dialect(
        name="version 1",
        split=_split,
        routes={
            "trade": Route(json_of(_Trades), _emit_trades),
            "ticker": Route(json_of(_Ticker), _emit_ticker),
            "book": Route(json_of(list[int | _Piece | str]), _emit_book),
        },
        books=frozenset({"book"}),
        silent=frozenset({"heartbeat", "systemStatus", "subscriptionStatus", "pong"}),
        subscribe=_subscribe,
        resync=_resync,
        valid_to=valid_to,
    )
