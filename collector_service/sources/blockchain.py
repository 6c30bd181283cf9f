"""Blockchain.com Exchange. Its numbers count the messages of a connection, not those of a book."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    CHANNEL,
    SYMBOL,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Decimals,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Iso,
    Limits,
    Line,
    Side,
    SnapshotUpdates,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_V3_LIST_SINCE: Final = datetime(2024, 1, 1, tzinfo=UTC)
_CHANNELS: Final = ("heartbeat", "trades", "l2", "l3", "ticker", "prices", "symbols")
_BOOK: Final[dict[str, Any]] = {
    "symbol": "symbol",
    "levels": sides("bids", "asks", price="px", size="qty"),
    "last": "seqnum",
    "time": Iso("timestamp?"),
}


def _scaled(name: str) -> Decimals:
    return Decimals(f"{name}_scale", times=name)


def _line(**fields: Any) -> Line:
    return Line(
        status=Choice("status", {"open": ListingStatus.TRADING}),
        tick=_scaled("min_price_increment"),
        lot=_scaled("lot_size"),
        min_size=_scaled("min_order_size"),
        max_size=_scaled("max_order_size"),
        **fields,
    )


_GATEWAY: Final = Dialect(
    name="mercury gateway",
    kind=(("channel", "event"),),
    routes={
        "trades:updated": Trade(
            symbol="symbol",
            price="price",
            size="qty",
            side=Side("side"),
            trade_id="trade_id",
            time=Iso("timestamp"),
        ),
        "l2:snapshot": BookSnapshot(**_BOOK),
        "l2:updated": BookUpdate(**_BOOK),
    },
    # Books are those of level 2: level 3 tells the same, order by order. The ticker tells the last trade, not the best prices.
    silent=frozenset(
        {
            *(f"{channel}:subscribed" for channel in _CHANNELS),
            *(f"{channel}:updated" for channel in ("heartbeat", "l3", "ticker", "prices", "symbols")),
            *(f"{channel}:snapshot" for channel in ("l3", "ticker", "symbols")),
            *(f"{channel}:unsubscribed" for channel in _CHANNELS),
        }
    ),
    errors=frozenset(f"{channel}:rejected" for channel in _CHANNELS),
    subscribe=Subscribe(
        message={"action": "subscribe", "channel": CHANNEL, "symbol": SYMBOL},
        channels={Channel.TRADES: "trades", Channel.BOOKS: "l2"},
        first=({"action": "subscribe", "channel": "heartbeat"},),
        resync=tuple(
            {"action": action, "channel": CHANNEL, "symbol": SYMBOL} for action in ("unsubscribe", "subscribe")
        ),
    ),
    instruments=(
        Instruments(
            path="/v3/exchange/symbols",
            lines=(_line(symbol="@name", base="base_currency", quote="counter_currency"),),
        ),
    ),
    path="/mercury-gateway/v1/ws",
    valid_from=_V3_LIST_SINCE,
)

SPEC: Final = SourceSpec(
    name="BLOCKCHAIN",
    title="Blockchain.com Exchange",
    kind=SourceKind.EXCHANGE,
    documentation="https://exchange.blockchain.com/api/",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Blockchain.com's consent.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://ws.blockchain.info",
        "https://api.blockchain.com",
        origin="https://exchange.blockchain.com",
    ),
    # 1,200 messages a minute.
    limits=Limits(100, 20.0, 5.0),
    # The heartbeat channel speaks every five seconds.
    heartbeat=Heartbeat(stale_after_s=20.0),
    books=SnapshotUpdates(),
    dialects=(
        replace(
            _GATEWAY,
            name="mercury gateway, its own list",
            instruments=(
                Instruments(
                    path="/mercury-gateway/v1/instruments",
                    lines=(
                        _line(
                            symbol="symbol",
                            base=Text("symbol", split=("-", 0)),
                            quote=Text("symbol", split=("-", 1)),
                        ),
                    ),
                ),
            ),
            valid_from=datetime(1970, 1, 1, tzinfo=UTC),
            valid_to=_V3_LIST_SINCE,
        ),
        _GATEWAY,
    ),
    aliases=("BLOCKCHAIN.COM", "BLOCKCHAINCOM"),
    notes=(
        "The venue tells no best bid and offer of its own.",
        "The list of the gateway and that of version 3 were there at one time; the documentation names the second alone.",
    ),
)
BLOCKCHAIN: Final = compile_source(SPEC)
