"""KuCoin spot. Each connection has an address of its own, asked for by POST. Since the whole book takes a key, live books are the best
fifty levels a side, whole each time; those of before were kept from a snapshot and ranges of changes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    NUMBER,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    Nanos,
    Quote,
    RangeSequence,
    RestSnapshot,
    Side,
    SnapshotOnly,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Ticket,
    Trade,
    Verification,
    sides,
)

_BEST_FIFTY_SINCE: Final = datetime(2023, 1, 1, tzinfo=UTC)
_SYMBOL: Final = Text("topic", split=(":", 1))
_TRADE: Final = Trade(
    symbol="data.symbol",
    price="data.price",
    size="data.size",
    side=Side("data.side"),
    trade_id="data.tradeId",
    time=Nanos("data.time"),
)


def _list(path: str) -> Instruments:
    return Instruments(
        path=path,
        each="data",
        lines=(
            Line(
                symbol="symbol",
                base="baseCurrency",
                quote="quoteCurrency",
                status=Choice("enableTrading", {"true": ListingStatus.TRADING}),
                tick="priceIncrement",
                lot="baseIncrement",
                min_size="baseMinSize",
                max_size="baseMaxSize",
                min_notional=("minFunds", "quoteMinSize"),
            ),
        ),
    )


def _subscribe(*, quotes: str, books: str) -> Subscribe:
    message: dict[str, Any] = {"id": NUMBER, "type": "subscribe", "topic": "{channel}:{symbols}", "response": True}
    return Subscribe(
        message=message,
        channels={Channel.TRADES: "/market/match", Channel.QUOTES: quotes, Channel.BOOKS: books},
        at_once=100,
        leave=({**message, "type": "unsubscribe"},),
    )


_SILENT: Final = frozenset({"welcome", "ack", "pong"})
_TICKET: Final = Ticket(
    path="/api/v1/bullet-public",
    url="{data.instanceServers[0].endpoint}?token={data.token}&connectId={uuid}",
)

SPEC: Final = SourceSpec(
    name="KUCOIN",
    title="KuCoin",
    kind=SourceKind.EXCHANGE,
    documentation="https://www.kucoin.com/docs-new/3470067w0",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs KuCoin's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints("wss://ws-api-spot.kucoin.com", "https://api.kucoin.com"),
    # 400 topics a connection, three a symbol; 100 messages in ten seconds; 2,000 points of REST in thirty, of which a ticket costs ten.
    limits=Limits(100, 9.0, 5.0),
    heartbeat=Heartbeat(stale_after_s=60.0, ping='{"id":"1","type":"ping"}', interval_s=18.0),
    fiat=frozenset({"BRL", "EUR", "GBP", "TRY", "USD"}),
    books=SnapshotOnly(depth=50),
    dialects=(
        Dialect(
            name="ranges of changes",
            kind=(("subject",), ("type",)),
            routes={
                "trade.l3match": _TRADE,
                "trade.ticker": Quote(
                    symbol=_SYMBOL,
                    bid="data.bestBid",
                    bid_size="data.bestBidSize",
                    ask="data.bestAsk",
                    ask_size="data.bestAskSize",
                    time=Millis("data.time"),
                ),
                "trade.l2update": BookUpdate(
                    symbol="data.symbol",
                    # A price of 0 stands for a change deeper than the book that is sent: its number counts alone.
                    levels=sides("data.changes.bids", "data.changes.asks", unless={"[0]": "0"}),
                    first="data.sequenceStart",
                    last="data.sequenceEnd",
                ),
            },
            silent=_SILENT | {"trade.candles.add", "trade.candles.update"},
            subscribe=_subscribe(quotes="/market/ticker", books="/market/level2"),
            snapshot=RestSnapshot(
                path="/api/v3/market/orderbook/level2?symbol={symbol}",
                record=BookSnapshot(levels=sides("data.bids", "data.asks"), last="data.sequence"),
            ),
            instruments=(_list("/api/v1/symbols"),),
            books=RangeSequence(),
            ticket=_TICKET,
            valid_to=_BEST_FIFTY_SINCE,
        ),
        Dialect(
            name="best fifty levels",
            kind=(("subject",), ("type",)),
            routes={
                "trade.l3match": _TRADE,
                "level1": Quote(
                    symbol=_SYMBOL,
                    bid="data.bids[0]?",
                    bid_size="data.bids[1]?",
                    ask="data.asks[0]?",
                    ask_size="data.asks[1]?",
                    time=Millis("data.timestamp"),
                ),
                "level2": BookSnapshot(
                    symbol=_SYMBOL, levels=sides("data.bids", "data.asks"), time=Millis("data.timestamp")
                ),
            },
            silent=_SILENT,
            subscribe=_subscribe(quotes="/spotMarket/level1", books="/spotMarket/level2Depth50"),
            instruments=(_list("/api/v2/symbols"),),
            ticket=_TICKET,
            valid_from=_BEST_FIFTY_SINCE,
        ),
    ),
)
KUCOIN: Final = compile_source(SPEC)
