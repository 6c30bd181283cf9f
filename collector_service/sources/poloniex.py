"""Poloniex spot, as it has been since August 2022: the best twenty levels a side, each update with the number of the one before."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    CHANNEL,
    SYMBOLS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Decimals,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    PreviousId,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
    sides,
)

SPEC: Final = SourceSpec(
    name="POLONIEX",
    title="Poloniex",
    kind=SourceKind.EXCHANGE,
    documentation="https://api-docs.poloniex.com/spot/websocket",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Poloniex's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints("wss://ws.poloniex.com", "https://api.poloniex.com"),
    # 2,000 connections; 500 messages a second; 200 requests a second for public lists.
    limits=Limits(100, 20.0, 10.0),
    # The venue closes after 30 seconds without a message of ours.
    heartbeat=Heartbeat(stale_after_s=40.0, ping='{"event":"ping"}', interval_s=15.0),
    fiat=frozenset(),
    books=PreviousId(),
    dialects=(
        Dialect(
            name="public channels",
            kind=(("event",), ("channel", "action")),
            routes={
                "trades": Trade(
                    symbol="symbol",
                    price="price",
                    size="quantity",
                    side=Side("takerSide"),
                    trade_id="id",
                    time=Millis("createTime"),
                    each="data",
                ),
                "book_lv2:snapshot": BookSnapshot(
                    symbol="symbol", levels=sides("bids", "asks"), last="id", time=Millis("ts"), each="data"
                ),
                "book_lv2:update": BookUpdate(
                    symbol="symbol",
                    levels=sides("bids", "asks"),
                    previous="lastId",
                    last="id",
                    time=Millis("ts"),
                    each="data",
                ),
            },
            silent=frozenset({"subscribe", "unsubscribe", "pong"}),
            subscribe=Subscribe(
                message={"event": "subscribe", "channel": [CHANNEL], "symbols": SYMBOLS},
                channels={Channel.TRADES: "trades", Channel.BOOKS: "book_lv2"},
                resync=tuple(
                    {"event": kind, "channel": [CHANNEL], "symbols": SYMBOLS} for kind in ("unsubscribe", "subscribe")
                ),
            ),
            instruments=(
                Instruments(
                    path="/markets",
                    lines=(
                        Line(
                            symbol="symbol",
                            base="baseCurrencyName",
                            quote="quoteCurrencyName",
                            status=Choice(
                                "state", {"NORMAL": ListingStatus.TRADING, "POST_ONLY": ListingStatus.TRADING}
                            ),
                            tick=Decimals("symbolTradeLimit.priceScale"),
                            lot=Decimals("symbolTradeLimit.quantityScale"),
                            min_size="symbolTradeLimit.minQuantity",
                            min_notional="symbolTradeLimit.minAmount",
                        ),
                    ),
                ),
            ),
            path="/ws/public",
        ),
    ),
    notes=("There is no channel of quotes: the best levels are those of the book.",),
)
POLONIEX: Final = compile_source(SPEC)
