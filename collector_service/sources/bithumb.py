"""Bithumb, spot. Until September 2024 its stream told trades and changes of books that nothing opened: trades alone are read of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from collector_service.compiler import compile_source
from collector_service.spec import (
    ASK,
    BID,
    CHANNEL,
    SYMBOLS,
    BookSnapshot,
    Channel,
    Const,
    Dialect,
    Endpoints,
    ForEach,
    Has,
    Heartbeat,
    Instruments,
    Iso,
    Join,
    Levels,
    Limits,
    Line,
    Millis,
    Side,
    SnapshotOnly,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
)

# 17:00 in Korea.
_CODES_SINCE: Final = datetime(2024, 9, 12, 8, tzinfo=UTC)


def _units(side: int, name: str) -> Levels:
    price = f"{name}_price"
    return Levels(path="orderbook_units", side=side, price=price, size=f"{name}_size", unless={price: ("0", "0.0")})


_PUBWSS: Final = Dialect(
    name="pubwss, version 1.2",
    kind=(("type",), ("status",)),
    routes={
        "transaction": Trade(
            symbol="symbol",
            price="contPrice",
            size="contQty",
            # 1 is a sale, 2 a purchase.
            side=Side("buySellGb", buy="2", sell="1"),
            time=Iso("contDtm", zone="+09:00"),
            each="content.list",
        )
    },
    silent=frozenset({"0000", "ticker", "orderbookdepth", "orderbooksnapshot"}),
    errors=frozenset({"5100"}),
    subscribe=Subscribe(
        message={"type": CHANNEL, "symbols": SYMBOLS},
        channels={Channel.TRADES: "transaction"},
    ),
    # Of an instrument the ticker tells nothing but that there is one; the list of a currency that trades no more is empty.
    instruments=tuple(
        Instruments(
            path=f"/public/ticker/ALL_{quote}",
            each="data",
            lines=(
                Line(
                    symbol=Join(("@name", Const(quote)), "_"), base="@name", quote=Const(quote), having="closing_price"
                ),
            ),
        )
        for quote in ("BTC", "KRW")
    ),
    path="/pub/ws",
    valid_to=_CODES_SINCE,
)
_V1: Final = Dialect(
    name="websocket, version 1",
    kind=((Has("error"),), ("type",), ("status",)),
    routes={
        "trade": Trade(
            symbol="code",
            price="trade_price",
            size="trade_volume",
            side=Side("ask_bid", buy="BID", sell="ASK"),
            trade_id="sequential_id",
            time=Millis("trade_timestamp"),
            # The last trade of before comes with a subscription.
            where={"stream_type": "REALTIME"},
        ),
        "orderbook": BookSnapshot(
            symbol="code", levels=(_units(BID, "bid"), _units(ASK, "ask")), time=Millis("timestamp")
        ),
    },
    silent=frozenset({"UP", "ticker"}),
    subscribe=Subscribe(
        message=[{"ticket": "alphapulse"}, ForEach({"type": CHANNEL, "codes": SYMBOLS}), {"format": "DEFAULT"}],
        channels={Channel.TRADES: "trade", Channel.BOOKS: "orderbook"},
        replaces=True,
    ),
    instruments=(
        Instruments(
            path="/v1/market/all",
            lines=(Line(symbol="market", base=Text("market", split=("-", 1)), quote=Text("market", split=("-", 0))),),
        ),
    ),
    path="/websocket/v1",
    valid_from=_CODES_SINCE,
)

SPEC: Final = SourceSpec(
    name="BITHUMB",
    title="Bithumb",
    kind=SourceKind.EXCHANGE,
    documentation="https://apidocs.bithumb.com/reference/api-레퍼런스",
    read_on="2026-11-30",
    terms="Public market data, free to read; commercial redistribution needs Bithumb's consent.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("wss://ws-api.bithumb.com", "https://api.bithumb.com"),
    # A new request takes the place of the one before: one message a connection.
    limits=Limits(100, 5.0, 10.0),
    heartbeat=Heartbeat(stale_after_s=60.0, ping="PING", interval_s=30.0),
    books=SnapshotOnly(),
    dialects=(_PUBWSS, _V1),
    notes=(
        "Books are of 30 levels a side, whole each time.",
        "The older stream is at wss://pubwss.bithumb.com; its times are Korea's.",
        "The venue tells no best bid and offer of its own, and no ticks.",
    ),
)
BITHUMB: Final = compile_source(SPEC)
