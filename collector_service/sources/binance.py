"""Binance spot."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    NUMBER,
    TOPICS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
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
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_BARS: Final = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
_OTHERS: Final = (
    *(f"kline_{length}" for length in _BARS),
    "ticker",
    "miniTicker",
    "avgPrice",
    "markPrice",
    "forceOrder",
)
"""Streams that nothing is made of; the last two are those of futures."""
_TRADE: Final = Trade(
    symbol="data.s",
    price="data.p",
    size="data.q",
    side=Side("data.m", buy=False, sell=True),
    trade_id="data.t",
    time=Millis("data.T"),
)

SPEC: Final = SourceSpec(
    name="BINANCE",
    title="Binance",
    kind=SourceKind.EXCHANGE,
    documentation="https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams",
    read_on="2025-06-01",
    terms="Public market data, free to read; redistribution needs Binance's consent.",
    verified=frozenset({Verification.RECORDING}),
    endpoints=Endpoints(
        "wss://stream.binance.com:9443",
        "https://api.binance.com",
        "wss://stream.testnet.binance.vision",
        "https://testnet.binance.vision",
    ),
    # 1,024 streams a connection, three a symbol; 5 messages/s; a snapshot of 1,000 levels costs 50 of 6,000 a minute.
    limits=Limits(300, 4.0, 1.8, connection_lifetime_s=23.5 * 3600),
    heartbeat=Heartbeat(stale_after_s=30.0),
    # ERN, MTL, TOP and other codes of ISO 4217 are coins here.
    fiat=frozenset("ARS AUD BRL COP CZK EUR GBP IDR JPY MXN NGN PLN RON RUB TRY UAH USD ZAR".split()),  # noqa: SIM905
    books=RangeSequence(),
    dialects=(
        Dialect(
            name="combined streams",
            kind=((Text("stream", split=("@", 1)),), (Has("error"),), (Has("id"),)),
            routes={
                "trade": _TRADE,
                "aggTrade": Trade(
                    symbol="data.s",
                    price="data.p",
                    size="data.q",
                    side=Side("data.m", buy=False, sell=True),
                    trade_id="data.a",
                    time=Millis("data.T"),
                ),
                "bookTicker": Quote(symbol="data.s", bid="data.b", bid_size="data.B", ask="data.a", ask_size="data.A"),
                "depth": BookUpdate(
                    symbol="data.s",
                    levels=sides("data.b", "data.a"),
                    first="data.U",
                    last="data.u",
                    time=Millis("data.E"),
                ),
            },
            snapshot=RestSnapshot(
                path="/api/v3/depth?symbol={symbol}&limit=1000",
                record=BookSnapshot(levels=sides("bids", "asks"), last="lastUpdateId"),
            ),
            silent=frozenset({"id", *_OTHERS}),
            subscribe=Subscribe(
                message={"method": "SUBSCRIBE", "params": TOPICS, "id": NUMBER},
                channels={
                    Channel.TRADES: "{lower}@trade",
                    Channel.QUOTES: "{lower}@bookTicker",
                    Channel.BOOKS: "{lower}@depth@100ms",
                },
                at_once=200,
                leave=({"method": "UNSUBSCRIBE", "params": TOPICS, "id": NUMBER},),
            ),
            instruments=(
                Instruments(
                    path="/api/v3/exchangeInfo",
                    each="symbols",
                    lines=(
                        Line(
                            symbol="symbol",
                            base="baseAsset",
                            quote="quoteAsset",
                            status=Choice(
                                "status", {"TRADING": ListingStatus.TRADING, "PRE_TRADING": ListingStatus.PENDING}
                            ),
                            tick="filters[filterType=PRICE_FILTER].tickSize",
                            lot="filters[filterType=LOT_SIZE].stepSize",
                            min_size="filters[filterType=LOT_SIZE].minQty",
                            max_size="filters[filterType=LOT_SIZE].maxQty",
                            min_notional=(
                                "filters[filterType=NOTIONAL].minNotional",
                                "filters[filterType=MIN_NOTIONAL].minNotional",
                            ),
                        ),
                    ),
                ),
            ),
            path="/stream",
        ),
    ),
)
BINANCE: Final = compile_source(SPEC)
