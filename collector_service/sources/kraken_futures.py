"""Kraken Futures: inverse contracts (`PI_`, `FI_`) of 1 USD and linear ones (`PF_`, `FF_`) of 1 base unit. Every message of a product's
book is numbered, one level each. The list of 2021 wrote symbols in small letters, streams never did.
"""

from __future__ import annotations

from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    CHANNEL,
    SYMBOLS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Contract,
    Decimals,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Iso,
    Levels,
    Limits,
    Line,
    Match,
    Millis,
    PerChannel,
    Quote,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_BASE: Final = Match("symbol", r"[A-Za-z]{2}_([A-Za-z0-9]+?)(?i:usd|eur|xbt)(?:_\d{6})?")
_QUOTE: Final = Match("symbol", r"[A-Za-z]{2}_[A-Za-z0-9]+?((?i:usd|eur|xbt))(?:_\d{6})?")


def _line(kind: AssetClass, types: tuple[str, ...], *, inverse: bool, **more: Any) -> Line:
    return Line(
        symbol=Text("symbol", upper=True),
        base=_BASE,
        quote=_QUOTE,
        status=Choice("tradeable", {"true": ListingStatus.TRADING}),
        tick="tickSize",
        lot=Decimals("contractValueTradePrecision"),
        contract=Contract(
            kind=kind,
            settle=_BASE if inverse else _QUOTE,
            size="contractSize",
            inverse=inverse,
            expiry=Iso("lastTradingTime"),
        ),
        where={"type": types},
        **more,
    )


_LINEAR: Final = ("flexible_futures", "futures_vanilla")
_INVERSE: Final = ("futures_inverse",)
_QUOTES: Final = Quote(
    symbol="product_id", bid="bid?", bid_size="bid_size?", ask="ask?", ask_size="ask_size?", time=Millis("time?")
)

SPEC: Final = SourceSpec(
    name="KRAKEN_FUTURES",
    title="Kraken Futures",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs.kraken.com/exchange/api-reference/futures-websocket",
    read_on="2026-11-30",
    terms="Public market data, free to read; commercial redistribution needs Kraken's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://futures.kraken.com",
        "https://futures.kraken.com",
        "wss://demo-futures.kraken.com",
        "https://demo-futures.kraken.com",
    ),
    # 100 connections and 100 requests a second.
    limits=Limits(100, 20.0, 2.0),
    # The heartbeat feed speaks once a second.
    heartbeat=Heartbeat(stale_after_s=20.0),
    aliases=("CRYPTO_FACILITIES",),
    fiat=frozenset({"AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "USD"}),
    codes={"XBT": "BTC", "XDG": "DOGE"},
    books=PerChannel(),
    dialects=(
        Dialect(
            name="version 1",
            kind=(("event",), ("feed",)),
            routes={
                "trade": Trade(
                    symbol="product_id",
                    price="price",
                    size="qty",
                    side=Side("side"),
                    trade_id="uid",
                    time=Millis("time"),
                ),
                "ticker": _QUOTES,
                "ticker_lite": _QUOTES,
                "book_snapshot": BookSnapshot(
                    symbol="product_id",
                    levels=sides("bids", "asks", price="price", size="qty"),
                    last="seq",
                    time=Millis("timestamp"),
                ),
                "book": BookUpdate(
                    symbol="product_id",
                    levels=(Levels(path=".", side=Side("side"), price="price", size="qty"),),
                    last="seq",
                    time=Millis("timestamp"),
                ),
            },
            # Past trades are history, not events of now.
            silent=frozenset({"info", "subscribed", "unsubscribed", "heartbeat", "trade_snapshot", "pong"}),
            errors=frozenset({"error", "alert", "subscribed_failed", "unsubscribed_failed"}),
            subscribe=Subscribe(
                first=({"event": "subscribe", "feed": "heartbeat"},),
                message={"event": "subscribe", "feed": CHANNEL, "product_ids": SYMBOLS},
                channels={Channel.TRADES: "trade", Channel.QUOTES: "ticker", Channel.BOOKS: "book"},
                at_once=50,
                resync=tuple(
                    {"event": kind, "feed": CHANNEL, "product_ids": SYMBOLS} for kind in ("unsubscribe", "subscribe")
                ),
            ),
            instruments=(
                Instruments(
                    path="/derivatives/api/v3/instruments",
                    each="instruments",
                    lines=(
                        _line(AssetClass.FUTURE, _INVERSE, inverse=True, having="lastTradingTime"),
                        _line(AssetClass.FUTURE, _LINEAR, inverse=False, having="lastTradingTime"),
                        _line(AssetClass.PERPETUAL, _INVERSE, inverse=True),
                        _line(AssetClass.PERPETUAL, _LINEAR, inverse=False),
                    ),
                ),
            ),
            path="/ws/v1",
        ),
    ),
    notes=(
        "Sizes are contracts: of 1 USD where the contract is inverse, of 1 base unit where it is linear.",
        "A trade's id is a UUID, which no row has room for.",
    ),
)
KRAKEN_FUTURES: Final = compile_source(SPEC)
