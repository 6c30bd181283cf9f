"""Bitvavo, a spot exchange in euro: the source that docs/add-a-source.md adds."""

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
    Has,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    RangeSequence,
    RestSnapshot,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
    sides,
)

SPEC: Final = SourceSpec(
    name="BITVAVO",
    title="Bitvavo",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs.bitvavo.com/docs/websocket-api/introduction",
    read_on="2026-11-30",
    terms="Public market data, free to read within the limits of the API.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("wss://ws.bitvavo.com", "https://api.bitvavo.com"),
    limits=Limits(symbols_per_connection=200, messages_per_second=10.0, requests_per_second=10.0),
    heartbeat=Heartbeat(stale_after_s=60.0),
    books=RangeSequence(),
    dialects=(
        Dialect(
            name="version 2",
            path="/v2/",
            kind=((Has("error"),), ("event",)),
            routes={
                "trade": Trade(
                    symbol="market",
                    price="price",
                    size="amount",
                    side=Side("side"),
                    trade_id="id",
                    time=Millis("timestamp"),
                ),
                # Every change of a book has the number after that of the one before.
                "book": BookUpdate(symbol="market", levels=sides("bids", "asks"), last="nonce"),
            },
            snapshot=RestSnapshot(
                path="/v2/{symbol}/book",
                record=BookSnapshot(levels=sides("bids", "asks"), last="nonce"),
            ),
            silent=frozenset({"subscribed"}),
            subscribe=Subscribe(
                message={"action": "subscribe", "channels": [{"name": CHANNEL, "markets": SYMBOLS}]},
                channels={Channel.TRADES: "trades", Channel.BOOKS: "book"},
            ),
            instruments=(
                Instruments(
                    path="/v2/markets",
                    lines=(
                        Line(
                            symbol="market",
                            base="base",
                            quote="quote",
                            status=Choice(
                                "status", {"trading": ListingStatus.TRADING, "auction": ListingStatus.TRADING}
                            ),
                            tick="tickSize",
                            lot=Decimals("quantityDecimals"),
                            min_size="minOrderInBaseAsset",
                            min_notional="minOrderInQuoteAsset",
                        ),
                    ),
                ),
            ),
        ),
    ),
    notes=("Numbers of trades are UUIDs, which a row does not hold: they are 0.",),
)
BITVAVO: Final = compile_source(SPEC)
