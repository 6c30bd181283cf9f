"""Coinbase Exchange, which was Coinbase Pro."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    CHANNEL,
    SYMBOL,
    SYMBOLS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Iso,
    Levels,
    Limits,
    Line,
    Quote,
    Side,
    SnapshotUpdates,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
    sides,
)

_EXCHANGE_SINCE: Final = datetime(2022, 6, 30, tzinfo=UTC)
_TRADE: Final = Trade(
    symbol="product_id",
    price="price",
    size="size",
    # The side is the maker's: a resting sell order was taken by a buyer.
    side=Side("side", buy="sell", sell="buy"),
    trade_id="trade_id",
    time=Iso("time"),
)
_SUBSCRIBE: Final = Subscribe(
    message={"type": "subscribe", "product_ids": SYMBOLS, "channels": [CHANNEL, "heartbeat"]},
    # level2_batch since level2 asks for a key.
    channels={Channel.TRADES: "matches", Channel.QUOTES: "ticker", Channel.BOOKS: "level2_batch"},
    resync=tuple(
        {"type": kind, "product_ids": [SYMBOL], "channels": [CHANNEL]} for kind in ("unsubscribe", "subscribe")
    ),
)
_FEED: Final = Dialect(
    name="Coinbase Exchange feed",
    kind=(("type",),),
    routes={
        "match": _TRADE,
        "last_match": replace(_TRADE, repeats=True),
        "ticker": Quote(
            symbol="product_id",
            bid="best_bid",
            bid_size="best_bid_size?",
            ask="best_ask",
            ask_size="best_ask_size?",
            time=Iso("time?"),
        ),
        "snapshot": BookSnapshot(symbol="product_id", levels=sides("bids", "asks"), time=Iso("time?")),
        "l2update": BookUpdate(
            symbol="product_id",
            levels=(Levels(path="changes", side=Side("[0]"), price="[1]", size="[2]"),),
            time=Iso("time?"),
        ),
    },
    silent=frozenset({"subscriptions", "heartbeat"}),
    subscribe=_SUBSCRIBE,
    instruments=(
        Instruments(
            path="/products",
            lines=(
                Line(
                    symbol="id",
                    base="base_currency",
                    quote="quote_currency",
                    status=(
                        Choice("trading_disabled", {"true": ListingStatus.HALTED}),
                        Choice("cancel_only", {"true": ListingStatus.HALTED}),
                        Choice(
                            "status",
                            {
                                "": ListingStatus.TRADING,
                                "online": ListingStatus.TRADING,
                                "delisted": ListingStatus.DELISTED,
                            },
                        ),
                    ),
                    tick="quote_increment",
                    lot="base_increment",
                    min_size="base_min_size",
                    max_size="base_max_size",
                    min_notional="min_market_funds",
                ),
            ),
        ),
    ),
    valid_from=_EXCHANGE_SINCE,
)

SPEC: Final = SourceSpec(
    name="COINBASE",
    title="Coinbase Exchange",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs.cdp.coinbase.com/exchange/websocket-feed/channels",
    read_on="2025-06-01",
    terms="Public market data, free to read for personal and internal use under Coinbase's market data terms.",
    verified=frozenset({Verification.RECORDING}),
    endpoints=Endpoints(
        "wss://ws-feed.exchange.coinbase.com",
        "https://api.exchange.coinbase.com",
        "wss://ws-feed-public.sandbox.exchange.coinbase.com",
        "https://api-public.sandbox.exchange.coinbase.com",
    ),
    limits=Limits(100, 50.0, 8.0),
    # The heartbeat channel speaks once a second for each product.
    heartbeat=Heartbeat(stale_after_s=15.0),
    fiat=frozenset({"AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "SGD", "USD"}),
    books=SnapshotUpdates(),
    dialects=(
        replace(
            _FEED,
            name="Coinbase Pro feed",
            subscribe=replace(_SUBSCRIBE, channels={**_SUBSCRIBE.channels, Channel.BOOKS: "level2"}),
            valid_from=datetime(1970, 1, 1, tzinfo=UTC),
            valid_to=_EXCHANGE_SINCE,
        ),
        _FEED,
    ),
    notes=("A last_match repeats a trade after a reconnect: one whose number was given is passed over.",),
)
COINBASE: Final = compile_source(SPEC)
