"""Gate, which was Gate.io: spot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    NOW,
    TOPIC,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Decimals,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    Quote,
    RangeSequence,
    RestSnapshot,
    Seconds,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
    sides,
)

_BOOK_TICKER_SINCE: Final = datetime(2022, 1, 1, tzinfo=UTC)


def _dialect(name: str, quotes: str, quote: Quote, **fields: Any) -> Dialect:
    channels = ("spot.trades", quotes, "spot.order_book_update")
    return Dialect(
        name=name,
        kind=((Has("error"),), ("channel", "event")),
        routes={
            "spot.trades:update": Trade(
                symbol="result.currency_pair",
                price="result.price",
                size="result.amount",
                side=Side("result.side"),
                trade_id="result.id",
                time=Millis("result.create_time_ms"),
            ),
            f"{quotes}:update": quote,
            "spot.order_book_update:update": BookUpdate(
                symbol="result.s",
                levels=sides("result.b", "result.a"),
                first="result.U",
                last="result.u",
                time=Millis("result.t"),
            ),
        },
        snapshot=RestSnapshot(
            path="/api/v4/spot/order_book?currency_pair={symbol}&limit=100&with_id=true",
            record=BookSnapshot(levels=sides("bids", "asks"), last="id"),
        ),
        silent=frozenset(
            {
                "spot.pong",
                "spot.candlesticks:subscribe",
                "spot.candlesticks:update",
                *(f"{channel}:{event}" for channel in channels for event in ("subscribe", "unsubscribe")),
            }
        ),
        subscribe=Subscribe(
            message={"time": NOW, "event": "subscribe", ...: TOPIC},
            channels={
                Channel.TRADES: {"channel": "spot.trades", "payload": ["{symbol}"]},
                Channel.QUOTES: {"channel": quotes, "payload": ["{symbol}"]},
                Channel.BOOKS: {"channel": "spot.order_book_update", "payload": ["{symbol}", "100ms"]},
            },
            leave=({"time": NOW, "event": "unsubscribe", ...: TOPIC},),
        ),
        instruments=(
            Instruments(
                path="/api/v4/spot/currency_pairs",
                lines=(
                    Line(
                        symbol="id",
                        base="base",
                        quote="quote",
                        status=Choice("trade_status", {"tradable": ListingStatus.TRADING}),
                        tick=Decimals("precision"),
                        lot=Decimals("amount_precision"),
                        min_size="min_base_amount",
                        max_size="max_base_amount",
                        min_notional="min_quote_amount",
                    ),
                ),
            ),
        ),
        path="/ws/v4/",
        **fields,
    )


SPEC: Final = SourceSpec(
    name="GATEIO",
    title="Gate",
    kind=SourceKind.EXCHANGE,
    documentation="https://www.gate.com/docs/developers/apiv4/ws/en/",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Gate's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints("wss://api.gateio.ws", "https://api.gateio.ws"),
    # 200 requests in 10 seconds an endpoint; 300 connections.
    limits=Limits(100, 20.0, 15.0),
    heartbeat=Heartbeat(stale_after_s=40.0, ping='{"channel":"spot.ping"}', interval_s=10.0),
    aliases=("GATE",),
    venue="GATE",
    fiat=frozenset({"EUR", "TRY", "USD"}),
    books=RangeSequence(),
    dialects=(
        _dialect(
            "tickers",
            "spot.tickers",
            Quote(
                symbol="result.currency_pair", bid="result.highest_bid", ask="result.lowest_ask", time=Seconds("time")
            ),
            valid_to=_BOOK_TICKER_SINCE,
        ),
        _dialect(
            "book ticker",
            "spot.book_ticker",
            Quote(
                symbol="result.s",
                bid="result.b",
                bid_size="result.B",
                ask="result.a",
                ask_size="result.A",
                time=Millis("result.t"),
            ),
            valid_from=_BOOK_TICKER_SINCE,
        ),
    ),
    notes=("A pair that may only be bought or only be sold does not count as trading.",),
)
GATEIO: Final = compile_source(SPEC)
