"""Bitget, spot and futures. In version 2 a contract has the name of its pair (`BTCUSDT`), so a listing's symbol is that of version 1, which says the
market as well: `BTCUSDT_SPBL`, `BTCUSDT_UMCBL`, `BTCUSD_DMCBL`, `BTCPERP_CMCBL`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.book import levels_in_turn
from collector_service.compiler import compile_source
from collector_service.spec import (
    TOPICS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Checksum,
    Choice,
    Const,
    Contract,
    Decimals,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Join,
    Limits,
    Line,
    Millis,
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

_V2_SINCE: Final = datetime(2023, 11, 1, tzinfo=UTC)
_STREAM: Final = Join(("^arg.instType", "^arg.instId"), ":")
_TOPIC: Final = {"instType": "{market}", "instId": "{name}"}
_SUBSCRIBE: Final = Subscribe(
    message={"op": "subscribe", "args": TOPICS},
    channels={
        Channel.TRADES: {**_TOPIC, "channel": "trade"},
        Channel.QUOTES: {**_TOPIC, "channel": "ticker"},
        Channel.BOOKS: {**_TOPIC, "channel": "books"},
    },
    at_once=40,  # a message has 4,096 bytes at most
    resync=tuple({"op": kind, "args": TOPICS} for kind in ("unsubscribe", "subscribe")),
)
_SPOT_STATUS: Final = Choice(
    "status",
    {"online": ListingStatus.TRADING, "gray": ListingStatus.PENDING, "offline": ListingStatus.DELISTED},
)
_MIX_STATUS: Final = Choice(
    "symbolStatus",
    {
        "": ListingStatus.TRADING,
        "normal": ListingStatus.TRADING,
        "limit_open": ListingStatus.TRADING,
        "restrictedAPI": ListingStatus.TRADING,
        "listed": ListingStatus.PENDING,
        "off": ListingStatus.DELISTED,
    },
)
_KINDS: Final = Choice(
    "symbolType", {"": AssetClass.PERPETUAL, "perpetual": AssetClass.PERPETUAL, "delivery": AssetClass.FUTURE}
)


def _v1_contracts(product: str, *, inverse: bool) -> Instruments:
    name = Text("symbol", before="_")
    return Instruments(
        path=f"/api/mix/v1/market/contracts?productType={product}",
        each="data",
        lines=(
            _contract(
                symbol="symbol",
                lot=Decimals("volumePlace"),
                aliases=(Join((Const("mc"), name), ":"),),
                extras={"market": Const("MC"), "name": name},
                inverse=inverse,
            ),
        ),
    )


def _v2_contracts(product: str, suffix: str, *, inverse: bool = False) -> Instruments:
    return Instruments(
        path=f"/api/v2/mix/market/contracts?productType={product}",
        each="data",
        lines=(
            _contract(
                symbol=Join(("symbol", Const(suffix))),
                lot="sizeMultiplier",
                aliases=(Join((Const(product), "symbol"), ":"),),
                extras={"market": Const(product), "name": "symbol"},
                inverse=inverse,
            ),
        ),
    )


def _contract(*, inverse: bool, **fields: Any) -> Line:
    return Line(
        base="baseCoin",
        quote="quoteCoin",
        status=_MIX_STATUS,
        tick=Decimals("pricePlace", times="priceEndStep"),
        min_size="minTradeNum",
        min_notional="minTradeUSDT",
        contract=Contract(
            kind=_KINDS, settle="baseCoin" if inverse else "quoteCoin", inverse=inverse, expiry=Millis("deliveryTime")
        ),
        **fields,
    )


def _quote(market: str, time: str) -> Quote:
    return Quote(
        symbol=_STREAM, bid="bestBid", ask="bestAsk", time=Millis(time), each="data", where={"^arg.instType": market}
    )


def _books(**snapshot: Any) -> dict[str, Any]:
    book: dict[str, Any] = {"symbol": _STREAM, "levels": sides("bids", "asks"), "time": Millis("ts"), "each": "data"}
    return {
        "books:snapshot": BookSnapshot(**book, **snapshot),
        "books:update": BookUpdate(**book, checksum="checksum?"),
    }


_V1_TRADE: Final = Trade(
    symbol=_STREAM, price="[1]", size="[2]", side=Side("[3]"), time=Millis("[0]"), each="data", newest_first=True
)
_V1: Final = Dialect(
    name="version 1",
    kind=(("event",), ("arg.channel", "action")),
    routes={
        "trade:snapshot": _V1_TRADE,
        "trade:update": _V1_TRADE,
        "ticker:snapshot": (_quote("sp", "ts?"), _quote("mc", "systemTime?")),
        **_books(checksum="checksum"),
    },
    silent=frozenset({"subscribe", "unsubscribe", "candle1m:snapshot", "candle1m:update"}),
    words=frozenset({"pong"}),
    subscribe=_SUBSCRIBE,
    instruments=(
        Instruments(
            path="/api/spot/v1/public/products",
            each="data",
            lines=(
                Line(
                    symbol="symbol",
                    base="baseCoin",
                    quote="quoteCoin",
                    status=_SPOT_STATUS,
                    tick=Decimals("priceScale"),
                    lot=Decimals("quantityScale"),
                    min_size="minTradeAmount",
                    max_size="maxTradeAmount",
                    aliases=(Join((Const("sp"), "symbolName"), ":"),),
                    extras={"market": Const("SP"), "name": "symbolName"},
                ),
            ),
        ),
        _v1_contracts("umcbl", inverse=False),
        _v1_contracts("dmcbl", inverse=True),
    ),
    path="/mix/v1/stream",
    valid_to=_V2_SINCE,
)
_V2: Final = Dialect(
    name="version 2",
    kind=(("event",), ("arg.channel", "action")),
    routes={
        "trade:update": Trade(
            symbol=_STREAM,
            price="price",
            size="size",
            side=Side("side"),
            trade_id="tradeId",
            time=Millis("ts"),
            each="data",
            newest_first=True,
        ),
        "ticker:snapshot": Quote(
            symbol=_STREAM, bid="bidPr", bid_size="bidSz", ask="askPr", ask_size="askSz", time=Millis("ts"), each="data"
        ),
        **_books(),
    },
    # A subscription begins with the last 50 trades: history, not events of now.
    silent=frozenset({"subscribe", "unsubscribe", "trade:snapshot"}),
    words=frozenset({"pong"}),
    subscribe=_SUBSCRIBE,
    instruments=(
        Instruments(
            path="/api/v2/spot/public/symbols",
            each="data",
            lines=(
                Line(
                    symbol=Join(("symbol", Const("_SPBL"))),
                    base="baseCoin",
                    quote="quoteCoin",
                    status=_SPOT_STATUS,
                    tick=Decimals("pricePrecision"),
                    lot=Decimals("quantityPrecision"),
                    min_size="minTradeAmount",
                    max_size="maxTradeAmount",
                    min_notional="minTradeUSDT",
                    aliases=(Join((Const("SPOT"), "symbol"), ":"),),
                    extras={"market": Const("SPOT"), "name": "symbol"},
                ),
            ),
        ),
        _v2_contracts("USDT-FUTURES", "_UMCBL"),
        _v2_contracts("COIN-FUTURES", "_DMCBL", inverse=True),
        _v2_contracts("USDC-FUTURES", "_CMCBL"),
    ),
    path="/v2/ws/public",
    valid_from=_V2_SINCE,
)

SPEC: Final = SourceSpec(
    name="BITGET",
    title="Bitget",
    kind=SourceKind.EXCHANGE,
    documentation="https://www.bitget.com/api-doc/common/websocket-intro",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Bitget's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints("wss://ws.bitget.com", "https://api.bitget.com"),
    # 240 subscriptions an hour and 1,000 channels a connection, three a symbol; fewer are advised. 10 messages a second.
    limits=Limits(100, 8.0, 10.0, connection_lifetime_s=23.5 * 3600),
    heartbeat=Heartbeat(stale_after_s=60.0, ping="ping", interval_s=25.0),
    fiat=frozenset({"BRL", "EUR", "GBP", "TRY", "USD"}),
    books=Checksum(levels_in_turn),
    dialects=(_V1, _V2),
    notes=(
        "Sizes of contracts are in the base coin.",
        "A snapshot's checksum is checked in version 1 alone: version 2 may send 0 with it.",
        "Both versions were spoken for two years: recordings since November 2023 are taken as version 2.",
    ),
)
BITGET: Final = compile_source(SPEC)
