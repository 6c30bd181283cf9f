"""HTX spot, which was called Huobi until 2023. A book comes whole, 150 levels a side, at most once a second; quotes come at every change."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    NUMBER,
    TOPIC,
    BookSnapshot,
    Channel,
    Choice,
    Compression,
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
    Reply,
    Side,
    SnapshotOnly,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

SPEC: Final = SourceSpec(
    name="HUOBI",
    title="HTX",
    kind=SourceKind.EXCHANGE,
    documentation="https://huobiapi.github.io/docs/spot/v1/en/#websocket-market-data",
    read_on="2025-01-01",
    terms="Public market data, free to read; redistribution needs HTX's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints("wss://api.huobi.pro", "https://api.huobi.pro"),
    # 100 requests a second to subscribe; three channels a symbol.
    limits=Limits(100, 20.0, 8.0),
    # The venue asks for a pong every five seconds and closes after two without one.
    heartbeat=Heartbeat(stale_after_s=20.0),
    aliases=("HTX",),
    venue="HTX",
    fiat=frozenset({"BRL", "EUR", "GBP", "RUB", "TRY", "UAH"}),
    books=SnapshotOnly(),
    dialects=(
        Dialect(
            name="market feed",
            kind=((Text("ch", split=(".", 2)),), (Has("ping"),), (Has("err-code"),), (Has("subbed"),)),
            routes={
                "trade": Trade(
                    symbol=Text("^ch", split=(".", 1)),
                    price="price",
                    size="amount",
                    side=Side("direction"),
                    trade_id="tradeId",
                    time=Millis("ts"),
                    each="tick.data",
                ),
                "bbo": Quote(
                    symbol="tick.symbol",
                    bid="tick.bid",
                    bid_size="tick.bidSize",
                    ask="tick.ask",
                    ask_size="tick.askSize",
                    time=Millis("tick.quoteTime"),
                ),
                "depth": BookSnapshot(
                    symbol=Text("ch", split=(".", 1)),
                    levels=sides("tick.bids", "tick.asks"),
                    last="tick.version?",
                    time=Millis("tick.ts?"),
                ),
                "ping": Reply({"pong": "{ping}"}),
            },
            silent=frozenset({"subbed", "kline", "detail", "mbp", "ticker"}),
            errors=frozenset({"err-code"}),
            subscribe=Subscribe(
                message={"sub": TOPIC, "id": NUMBER},
                channels={
                    Channel.TRADES: "market.{symbol}.trade.detail",
                    Channel.QUOTES: "market.{symbol}.bbo",
                    Channel.BOOKS: "market.{symbol}.depth.step0",
                },
            ),
            instruments=(
                Instruments(
                    path="/v1/common/symbols",
                    each="data",
                    lines=(
                        Line(
                            symbol="symbol",
                            base="base-currency",
                            quote="quote-currency",
                            status=Choice(
                                "state",
                                {
                                    "online": ListingStatus.TRADING,
                                    "pre-online": ListingStatus.PENDING,
                                    "offline": ListingStatus.DELISTED,
                                },
                            ),
                            tick=Decimals("price-precision"),
                            lot=Decimals("amount-precision"),
                            min_size=("limit-order-min-order-amt", "min-order-amt"),
                            max_size=("limit-order-max-order-amt", "max-order-amt"),
                            min_notional="min-order-value",
                        ),
                    ),
                ),
            ),
            compression=Compression.GZIP,
            path="/ws",
        ),
    ),
)
HUOBI: Final = compile_source(SPEC)
