"""Gate's contracts. Those that settle in USDT, those that settle in BTC, and those that end have addresses of their own."""

from __future__ import annotations

from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    NOW,
    TOPIC,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Const,
    Contract,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Magnitude,
    Millis,
    Quote,
    RangeSequence,
    RestSnapshot,
    Seconds,
    SignedSide,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_CHANNELS: Final = ("futures.trades", "futures.book_ticker", "futures.order_book_update")
_OTHERS: Final = tuple(
    f"futures.{one}" for one in ("candlesticks", "tickers", "order_book", "public_liquidates", "contract_stats")
)
"""Channels that nothing is made of."""
_LEVELS: Final[dict[str, Any]] = {"price": "p", "size": "s"}
_STATES: Final = {
    "trading": ListingStatus.TRADING,
    "prelaunch": ListingStatus.PENDING,
    "delisting": ListingStatus.HALTED,
    "delisted": ListingStatus.DELISTED,
}


def _list(requests: str, stream: str, kind: AssetClass, settle: str) -> Instruments:
    return Instruments(
        path=f"/api/v4/{requests}/contracts",
        lines=(
            Line(
                symbol="name",
                base=Text("name", split=("_", 0)),
                quote=Text("name", split=("_", 1)),
                status=(
                    Choice("status", _STATES),
                    Choice("in_delisting", {"false": ListingStatus.TRADING}),
                ),
                tick="order_price_round",
                lot=Const("1"),
                min_size="order_size_min",
                max_size="order_size_max",
                contract=Contract(
                    kind=kind,
                    settle=Const(settle),
                    # Of an inverse one the multiplier is 0, and a contract is of 1 USD.
                    size=("quanto_multiplier", Const("1")),
                    inverse=Choice("type", {"inverse": True}, default=False),
                    expiry=Seconds("expire_time"),
                ),
                extras={"requests": Const(requests), "stream": Const(stream)},
            ),
        ),
    )


SPEC: Final = SourceSpec(
    name="GATEIO_FUTURES",
    title="Gate futures",
    kind=SourceKind.EXCHANGE,
    documentation="https://www.gate.com/docs/developers/futures/ws/en/",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Gate's consent.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("wss://fx-ws.gateio.ws", "https://api.gateio.ws"),
    # 200 requests in 10 seconds an endpoint; 300 connections.
    limits=Limits(100, 20.0, 15.0),
    heartbeat=Heartbeat(stale_after_s=40.0, ping='{"channel":"futures.ping"}', interval_s=10.0),
    aliases=("GATE_FUTURES",),
    venue="GATE_FUTURES",
    fiat=frozenset({"USD"}),
    books=RangeSequence(depth=100),
    dialects=(
        Dialect(
            name="version 4",
            kind=((Has("error"),), ("channel", "event")),
            routes={
                "futures.trades:update": Trade(
                    symbol="contract",
                    price="price",
                    size=Magnitude("size"),
                    side=SignedSide("size"),
                    trade_id="id",
                    time=Millis("create_time_ms"),
                    each="result",
                ),
                "futures.book_ticker:update": Quote(
                    symbol="result.s",
                    bid="result.b",
                    bid_size="result.B",
                    ask="result.a",
                    ask_size="result.A",
                    time=Millis("result.t"),
                ),
                "futures.order_book_update:update": BookUpdate(
                    symbol="result.s",
                    levels=sides("result.b", "result.a", **_LEVELS),
                    first="result.U",
                    last="result.u",
                    time=Millis("result.t"),
                ),
            },
            snapshot=RestSnapshot(
                path="/api/v4/{requests}/order_book?contract={symbol}&limit=100&with_id=true",
                record=BookSnapshot(levels=sides("bids", "asks", **_LEVELS), last="id", time=Seconds("update")),
            ),
            silent=frozenset(
                {
                    "futures.pong",
                    *(f"{one}:{event}" for one in (*_CHANNELS, *_OTHERS) for event in ("subscribe", "unsubscribe")),
                    *(f"{channel}:{event}" for channel in _OTHERS for event in ("update", "all")),
                }
            ),
            subscribe=Subscribe(
                message={"time": NOW, "event": "subscribe", ...: TOPIC},
                channels={
                    Channel.TRADES: {"channel": "futures.trades", "payload": ["{symbol}"]},
                    Channel.QUOTES: {"channel": "futures.book_ticker", "payload": ["{symbol}"]},
                    Channel.BOOKS: {"channel": "futures.order_book_update", "payload": ["{symbol}", "100ms", "100"]},
                },
                leave=({"time": NOW, "event": "unsubscribe", ...: TOPIC},),
            ),
            instruments=(
                _list("futures/usdt", "usdt", AssetClass.PERPETUAL, "USDT"),
                _list("futures/btc", "btc", AssetClass.PERPETUAL, "BTC"),
                _list("delivery/usdt", "delivery/usdt", AssetClass.FUTURE, "USDT"),
            ),
            path="/v4/ws/{stream}",
        ),
    ),
    notes=("Sizes are in contracts, each of `quanto_multiplier` of the base.",),
)
GATEIO_FUTURES: Final = compile_source(SPEC)
