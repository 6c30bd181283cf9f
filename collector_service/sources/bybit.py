"""Bybit's derivatives: linear contracts, with the inverse ones, which have an address of their own and are listed without a stream. Spot pairs
share names with linear contracts (`BTCUSDT`) and are another source's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    TOPICS,
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
    Join,
    Levels,
    Limits,
    Line,
    Listed,
    Match,
    Micros,
    Millis,
    Quote,
    Side,
    SnapshotUpdates,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    Written,
    sides,
)

_V5_SINCE: Final = datetime(2023, 1, 1, tzinfo=UTC)
_RESYNC: Final = tuple({"op": kind, "args": TOPICS} for kind in ("unsubscribe", "subscribe"))


def _v2_levels(path: str, **fields: Any) -> Levels:
    return Levels(path=path, side=Side("side", buy="Buy", sell="Sell"), price="price", **{"size": "size", **fields})


def _v2_book(kind: type[BookSnapshot | BookUpdate], *levels: Levels) -> BookSnapshot | BookUpdate:
    return kind(symbol=Text("topic", split=(".", 1)), levels=levels, last="cross_seq", time=Micros("timestamp_e6"))


def _v2_line(quote: str, contract: Contract) -> Line:
    return Line(
        symbol="name",
        base="base_currency",
        quote="quote_currency",
        status=Choice("status", {"Trading": ListingStatus.TRADING}),
        tick="price_filter.tick_size",
        lot="lot_size_filter.qty_step",
        min_size="lot_size_filter.min_trading_qty",
        max_size="lot_size_filter.max_trading_qty",
        contract=contract,
        where={"quote_currency": quote},
    )


_V2_PERPETUALS: Final = (
    "BTCUSD",
    "ETHUSD",
    "EOSUSD",
    "XRPUSD",
    "DOTUSD",
    "LTCUSD",
    "ADAUSD",
    "BITUSD",
    "SOLUSD",
    "MANAUSD",
)
_V2: Final = Dialect(
    name="version 2",
    # A snapshot's levels are in an object for USDT contracts, and bare for inverse ones.
    kind=((Text("topic", before="."), "type", Listed("data")), ("success",)),
    routes={
        "trade:list": Trade(
            symbol="symbol",
            price="price",
            size="size",
            side=Side("side", buy="Buy", sell="Sell"),
            time=Millis("trade_time_ms"),
            each="data",
        ),
        "orderBookL2_25:snapshot": _v2_book(BookSnapshot, _v2_levels("data.order_book")),
        "orderBookL2_25:snapshot:list": _v2_book(BookSnapshot, _v2_levels("data")),
        "orderBookL2_25:delta": _v2_book(
            BookUpdate,
            _v2_levels("data.delete", size=None),
            _v2_levels("data.update"),
            _v2_levels("data.insert"),
        ),
    },
    silent=frozenset({"true"}),
    errors=frozenset({"false"}),
    subscribe=Subscribe(
        message={"op": "subscribe", "args": TOPICS},
        channels={Channel.TRADES: "trade.{symbol}", Channel.BOOKS: "orderBookL2_25.{symbol}"},
        resync=_RESYNC,
    ),
    instruments=(
        Instruments(
            path="/v2/public/symbols",
            each="result",
            lines=(
                _v2_line("USDT", Contract(kind=AssetClass.PERPETUAL, settle="quote_currency")),
                _v2_line(
                    "USD",
                    Contract(
                        kind=Choice(
                            "name", dict.fromkeys(_V2_PERPETUALS, AssetClass.PERPETUAL), default=AssetClass.FUTURE
                        ),
                        settle="base_currency",
                        size=Const("1"),
                        inverse=True,
                        # BTCUSDM21 is also called BTCUSD0625, and ends at 8 o'clock.
                        expiry=Written(
                            Join((Match("name", r".*[A-Z](\d\d)"), Match("alias", r"[A-Z]+(\d{4})"), Const("08"))),
                            "%y%m%d%H",
                        ),
                    ),
                ),
            ),
        ),
    ),
    path="/realtime_public",
    valid_to=_V5_SINCE,
)


def _v5_list(category: str, *, inverse: bool) -> Instruments:
    kind = "Inverse" if inverse else "Linear"
    return Instruments(
        path=f"/v5/market/instruments-info?category={category}&limit=1000",
        each="result.list",
        lines=(
            Line(
                symbol="symbol",
                base="baseCoin",
                quote="quoteCoin",
                status=Choice(
                    "status",
                    {
                        "Trading": ListingStatus.TRADING,
                        "PreLaunch": ListingStatus.PENDING,
                        "Closed": ListingStatus.DELISTED,
                    },
                ),
                tick="priceFilter.tickSize",
                lot="lotSizeFilter.qtyStep",
                min_size="lotSizeFilter.minOrderQty",
                max_size="lotSizeFilter.maxOrderQty",
                min_notional="lotSizeFilter.minNotionalValue",
                contract=Contract(
                    kind=Choice(
                        "contractType",
                        {f"{kind}Perpetual": AssetClass.PERPETUAL, f"{kind}Futures": AssetClass.FUTURE},
                    ),
                    settle="settleCoin",
                    size=Const("1") if inverse else None,
                    inverse=inverse,
                    expiry=Millis("deliveryTime"),
                ),
                extras={"category": Const(category)},
            ),
        ),
    )


_V5_BOOK: Final[dict[str, Any]] = {
    "symbol": "data.s",
    "levels": sides("data.b", "data.a"),
    "last": "data.u",
    "time": Millis("cts"),
}
_V5: Final = Dialect(
    name="version 5",
    kind=(
        (Text("topic", heads=("orderbook.1.", "orderbook.50.", "publicTrade.")), "type"),
        ("op", "success"),
    ),
    routes={
        "publicTrade:snapshot": Trade(
            symbol="s", price="p", size="v", side=Side("S", buy="Buy", sell="Sell"), time=Millis("T"), each="data"
        ),
        # The best level alone comes whole each time.
        "orderbook.1:snapshot": Quote(
            symbol="data.s",
            bid="data.b[0][0]?",
            bid_size="data.b[0][1]?",
            ask="data.a[0][0]?",
            ask_size="data.a[0][1]?",
            time=Millis("cts"),
        ),
        "orderbook.50:snapshot": BookSnapshot(**_V5_BOOK),
        "orderbook.50:delta": BookUpdate(**_V5_BOOK),
    },
    silent=frozenset({"subscribe:true", "unsubscribe:true", "ping:true"}),
    errors=frozenset({"subscribe:false", "unsubscribe:false"}),
    subscribe=Subscribe(
        message={"op": "subscribe", "args": TOPICS},
        channels={
            Channel.TRADES: "publicTrade.{symbol}",
            Channel.QUOTES: "orderbook.1.{symbol}",
            Channel.BOOKS: "orderbook.50.{symbol}",
        },
        at_once=300,
        resync=_RESYNC,
    ),
    instruments=(_v5_list("linear", inverse=False), _v5_list("inverse", inverse=True)),
    path="/v5/public/{category}",
    valid_from=_V5_SINCE,
)

SPEC: Final = SourceSpec(
    name="BYBIT",
    title="Bybit",
    kind=SourceKind.EXCHANGE,
    documentation="https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Bybit's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://stream.bybit.com",
        "https://api.bybit.com",
        "wss://stream-testnet.bybit.com",
        "https://api-testnet.bybit.com",
    ),
    # 21,000 characters of topics a connection, of three topics a symbol; 500 connections in 5 minutes, 600 requests in 5 seconds.
    limits=Limits(200, 10.0, 20.0),
    heartbeat=Heartbeat(stale_after_s=40.0, ping='{"op":"ping"}'),
    fiat=frozenset({"BRL", "EUR", "PLN", "TRY", "USD"}),
    books=SnapshotUpdates(),
    dialects=(_V2, _V5),
    notes=(
        "Sizes of linear contracts are in the base, of inverse ones in contracts of 1 USD.",
        "Numbers of trades are UUIDs, which rows do not hold.",
    ),
)
BYBIT: Final = compile_source(SPEC)
