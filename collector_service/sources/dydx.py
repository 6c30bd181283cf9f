"""dYdX: version 3 on StarkEx, version 4 on a chain of its own, read from its indexer. Levels are numbered, and a crossed book loses the older one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    SYMBOL,
    TOPIC,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Const,
    Contract,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Iso,
    Limits,
    Line,
    Offset,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_V4_SINCE: Final = datetime(2024, 10, 28, tzinfo=UTC)
"""When version 3 ended; version 4 was there a year before."""
_KIND: Final = (("channel", "type"), ("type",))
_TRADE: Final = Trade(
    symbol="^id",
    price="price",
    size="size",
    side=Side("side", buy="BUY", sell="SELL"),
    time=Iso("createdAt"),
    each="contents.trades",
)


def _subscribe(version: str, **books: Any) -> Subscribe:
    def said(kind: str) -> dict[Any, Any]:
        return {"type": kind, "id": SYMBOL, ...: TOPIC}

    return Subscribe(
        message=said("subscribe"),
        channels={
            Channel.TRADES: {"channel": f"{version}_trades"},
            Channel.BOOKS: {"channel": f"{version}_orderbook", **books},
        },
        resync=(said("unsubscribe"), said("subscribe")),
    )


_OTHER: Final = {"INITIALIZING": ListingStatus.PENDING, "FINAL_SETTLEMENT": ListingStatus.DELISTED}


def _line(symbol: str, base: str | Text, quote: str | Text, status: str, **fields: Any) -> Line:
    return Line(
        symbol=symbol,
        base=base,
        quote=quote,
        status=Choice("status", {status: ListingStatus.TRADING, **_OTHER}),
        tick="tickSize",
        lot="stepSize",
        contract=Contract(kind=AssetClass.PERPETUAL, settle=Const("USDC")),
        **fields,
    )


_V3: Final = Dialect(
    name="version 3",
    kind=_KIND,
    routes={
        "v3_trades:subscribed": replace(_TRADE, newest_first=True),
        "v3_trades:channel_data": _TRADE,
        "v3_orderbook:subscribed": BookSnapshot(
            symbol="id", levels=sides("contents.bids", "contents.asks", price="price", size="size", offset="offset")
        ),
        "v3_orderbook:channel_data": BookUpdate(
            symbol="id", levels=sides("contents.bids", "contents.asks"), last="contents.offset"
        ),
    },
    silent=frozenset({"connected", "v3_trades:unsubscribed", "v3_orderbook:unsubscribed"}),
    subscribe=_subscribe("v3", includeOffsets=True),
    instruments=(
        Instruments(
            path="/v3/markets",
            each="markets",
            lines=(_line("market", "baseAsset", "quoteAsset", "ONLINE", min_size="minOrderSize"),),
        ),
    ),
    path="/v3/ws",
    valid_to=_V4_SINCE,
)
_V4: Final = Dialect(
    name="version 4, indexer",
    kind=_KIND,
    routes={
        "v4_trades:channel_data": _TRADE,
        "v4_orderbook:subscribed": BookSnapshot(
            symbol="id",
            levels=sides("contents.bids", "contents.asks", price="price", size="size"),
            last="message_id",
        ),
        "v4_orderbook:channel_data": BookUpdate(
            symbol="id", levels=sides("contents.bids?", "contents.asks?"), last="message_id"
        ),
    },
    # A subscription begins with trades of before: history, not events of now.
    silent=frozenset({"connected", "v4_trades:subscribed", "v4_trades:unsubscribed", "v4_orderbook:unsubscribed"}),
    subscribe=_subscribe("v4"),
    instruments=(
        Instruments(
            path="/v4/perpetualMarkets",
            each="markets",
            # FARTCOIN,RAYDIUM,9BB6...-USD is a coin, where it is traded and its address.
            lines=(
                _line("ticker", Text("ticker", before=",", split=("-", 0)), Text("ticker", split=("-", -1)), "ACTIVE"),
            ),
        ),
    ),
    path="/v4/ws",
    valid_from=_V4_SINCE,
)

SPEC: Final = SourceSpec(
    name="DYDX",
    title="dYdX",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs.dydx.exchange/api_integration-indexer/indexer_websocket",
    read_on="2026-11-30",
    terms="Public data of a chain, from the indexer of the deployment by its token's holders.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://indexer.dydx.trade",
        "https://indexer.dydx.trade",
        "wss://indexer.v4testnet.dydx.exchange",
        "https://indexer.v4testnet.dydx.exchange",
    ),
    # 32 subscriptions a channel and connection, 100 requests in 10 seconds.
    limits=Limits(32, 2.0, 5.0),
    heartbeat=Heartbeat(stale_after_s=60.0),
    fiat=frozenset({"USD"}),
    books=Offset(),
    dialects=(_V3, _V4),
    notes=(
        "Sizes are in the base; contracts settle in USDC.",
        "Version 4 numbers levels by the message that brought them: its books have no numbers of their own.",
        "Version 3's trades had no numbers, and those of version 4 have letters, which rows do not hold.",
    ),
)
DYDX: Final = compile_source(SPEC)
