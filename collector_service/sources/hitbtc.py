"""HitBTC. Bequant and FMFW run the same software: what is told here of both versions is told for them as well.

Version 2 calls its dollar `USD` and means Tether; `USDB` is the dollar.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from collector_service.compiler import compile_source
from collector_service.spec import (
    CHANNEL,
    NUMBER,
    SYMBOL,
    SYMBOLS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Contract,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Iso,
    Limits,
    Line,
    Millis,
    PerChannel,
    Quote,
    Seconds,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_V3_SINCE: Final = datetime(2023, 8, 1, tzinfo=UTC)
"""The day that was announced for the end of version 2."""
_V2_TRADE: Final = Trade(
    symbol="^params.symbol",
    price="price",
    size="quantity",
    side=Side("side"),
    trade_id="id",
    time=Iso("timestamp"),
    each="params.data",
)
_V2_BOOK: Final[dict[str, Any]] = {
    "symbol": "params.symbol",
    "levels": sides("params.bid", "params.ask", price="price", size="size"),
    "last": "params.sequence",
    "time": Iso("params.timestamp?"),
}
V2: Final = Dialect(
    name="version 2",
    kind=((Has("error"),), ("method",), (Has("result"),)),
    routes={
        "snapshotTrades": _V2_TRADE,
        "updateTrades": _V2_TRADE,
        # Without sizes.
        "ticker": Quote(symbol="params.symbol", bid="params.bid?", ask="params.ask?", time=Iso("params.timestamp?")),
        "snapshotOrderbook": BookSnapshot(**_V2_BOOK),
        "updateOrderbook": BookUpdate(**_V2_BOOK),
    },
    silent=frozenset({"result", "snapshotCandles", "updateCandles"}),
    subscribe=Subscribe(
        message={"method": CHANNEL, "params": {"symbol": SYMBOL}, "id": NUMBER},
        channels={
            Channel.TRADES: "subscribeTrades",
            Channel.QUOTES: "subscribeTicker",
            Channel.BOOKS: "subscribeOrderbook",
        },
        resync=tuple(
            {"method": method, "params": {"symbol": SYMBOL}, "id": NUMBER}
            for method in ("unsubscribeOrderbook", "subscribeOrderbook")
        ),
    ),
    instruments=(
        Instruments(
            path="/api/2/public/symbol",
            lines=(
                Line(
                    symbol="id",
                    base="baseCurrency",
                    quote="quoteCurrency",
                    tick="tickSize",
                    lot="quantityIncrement",
                    min_size="quantityIncrement",
                ),
            ),
        ),
    ),
    path="/api/2/ws/public",
    valid_to=_V3_SINCE,
)


def _book(of: str) -> dict[str, Any]:
    return {"symbol": "@name", "levels": sides("b", "a"), "last": "s", "time": Millis("t"), "each": f"{of}.*"}


_V3_QUOTE: Final = Quote(
    symbol="@name", bid="b?", bid_size="B?", ask="a?", ask_size="A?", time=Millis("t"), each="data.*"
)
_RULES: Final[dict[str, Any]] = {"tick": "tick_size", "lot": "quantity_increment", "min_size": "quantity_increment"}
V3: Final = Dialect(
    name="version 3",
    # `ticker/1s`, `orderbook/full`, `orderbook/top/100ms`, `trades`; then what the message has.
    kind=(
        (Has("error"),),
        (Text("ch", before="/"), Has("snapshot"), Has("update"), Has("data")),
        (Has("result"),),
    ),
    routes={
        "trades:update": Trade(
            symbol="@name",
            price="p",
            size="q",
            side=Side("s"),
            trade_id="i",
            time=Millis("t"),
            each=("update.*", "."),
        ),
        "ticker:data": _V3_QUOTE,
        "orderbook:data": _V3_QUOTE,
        "orderbook:snapshot": BookSnapshot(**_book("snapshot")),
        "orderbook:update": BookUpdate(**_book("update")),
    },
    # Past trades are history, not events of now.
    silent=frozenset({"result", "trades:snapshot", "candles:snapshot", "candles:update"}),
    subscribe=Subscribe(
        message={"method": "subscribe", "ch": CHANNEL, "params": {"symbols": SYMBOLS}, "id": NUMBER},
        channels={
            Channel.TRADES: "trades",
            Channel.QUOTES: "orderbook/top/100ms",
            Channel.BOOKS: "orderbook/full",
        },
        resync=tuple(
            {"method": method, "ch": CHANNEL, "params": {"symbols": SYMBOLS}, "id": NUMBER}
            for method in ("unsubscribe", "subscribe")
        ),
    ),
    instruments=(
        Instruments(
            path="/api/3/public/symbol",
            lines=(
                Line(
                    symbol="@name",
                    base="underlying",
                    quote="quote_currency",
                    contract=Contract(
                        # One without a day has none to end.
                        kind=Choice("expiry", {"": AssetClass.PERPETUAL}, default=AssetClass.FUTURE),
                        settle="fee_currency",
                        expiry=Seconds("expiry"),
                    ),
                    where={"type": "futures"},
                    **_RULES,
                ),
                Line(symbol="@name", base="base_currency", quote="quote_currency", having="base_currency", **_RULES),
            ),
        ),
    ),
    path="/api/3/ws/public",
)
DOLLARS: Final = {"USD": "USDT", "USDB": "USD"}

SPEC: Final = SourceSpec(
    name="HITBTC",
    title="HitBTC",
    kind=SourceKind.EXCHANGE,
    documentation="https://api.hitbtc.com/",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution is not spoken of.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://api.hitbtc.com",
        "https://api.hitbtc.com",
        "wss://api.demo.hitbtc.com",
        "https://api.demo.hitbtc.com",
    ),
    limits=Limits(100, 10.0, 10.0),
    heartbeat=Heartbeat(stale_after_s=60.0),
    codes=DOLLARS,
    books=PerChannel(),
    dialects=(V2, replace(V3, valid_from=_V3_SINCE)),
    notes=(
        "Sizes of futures are of the base currency.",
        "Version 2 counts trades that are told at a subscription; version 3 tells none unless it is asked.",
        "Version 2 was announced to end on 2023-08-01; version 3 was there beside it since 2021.",
    ),
)
HITBTC: Final = compile_source(SPEC)
