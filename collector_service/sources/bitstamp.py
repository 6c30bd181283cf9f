"""Bitstamp. A book's numbers are its times in microseconds: a change is newer than the snapshot or older, and one that is lost goes unnoticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    TOPIC,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Contract,
    Decimals,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Micros,
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

_MARKETS_SINCE: Final = datetime(2025, 1, 1, tzinfo=UTC)
_CHANNELS: Final = ("diff_order_book_", "live_trades_")
_SYMBOL: Final = Text("channel", after=_CHANNELS)
_STATUS: Final = Choice("trading", {"Enabled": ListingStatus.TRADING})


def _listed(path: str, *lines: Line) -> tuple[Instruments]:
    return (Instruments(path=path, lines=lines),)


def _line(symbol: str, **fields: Any) -> Line:
    return Line(
        symbol=symbol,
        status=_STATUS,
        tick=Decimals("counter_decimals"),
        lot=Decimals("base_decimals"),
        aliases=("name",),
        **fields,
    )


def _market(kind: str, **fields: Any) -> Line:
    return _line(
        "market_symbol",
        base="base_currency",
        quote="counter_currency",
        min_size="minimum_order_amount",
        max_size="maximum_order_amount",
        min_notional="minimum_order_value",
        where={"market_type": kind},
        **fields,
    )


_LIVE: Final = Dialect(
    name="WebSocket API v2",
    kind=(("event", Text("channel", heads=_CHANNELS)),),
    routes={
        "trade:live_trades": Trade(
            symbol=_SYMBOL,
            price="data.price_str",
            size="data.amount_str",
            side=Side("data.type", buy=0, sell=1),
            trade_id="data.id",
            time=Micros("data.microtimestamp"),
        ),
        "data:diff_order_book": BookUpdate(
            symbol=_SYMBOL,
            levels=sides("data.bids", "data.asks"),
            last="data.microtimestamp",
            time=Micros("data.microtimestamp"),
        ),
    },
    snapshot=RestSnapshot(
        path="/api/v2/order_book/{symbol}",
        record=BookSnapshot(levels=sides("bids", "asks"), last="microtimestamp", time=Micros("microtimestamp")),
    ),
    silent=frozenset(
        {"bts:heartbeat", "bts:request_reconnect"}
        | {
            f"bts:{what}_succeeded:{channel.rstrip('_')}"
            for what in ("subscription", "unsubscription")
            for channel in _CHANNELS
        }
    ),
    errors=frozenset({"bts:error"}),
    subscribe=Subscribe(
        message={"event": "bts:subscribe", "data": {"channel": TOPIC}},
        channels={Channel.TRADES: "live_trades_{symbol}", Channel.BOOKS: "diff_order_book_{symbol}"},
        leave=({"event": "bts:unsubscribe", "data": {"channel": TOPIC}},),
    ),
    instruments=_listed(
        "/api/v2/markets/",
        _market("SPOT"),
        _market(
            "PERPETUAL",
            contract=Contract(
                kind=AssetClass.PERPETUAL,
                settle="counter_currency",
                size="contract_size",
                inverse=Choice("payoff_type", {"Inverse": True}, default=False),
            ),
        ),
    ),
    valid_from=_MARKETS_SINCE,
)

SPEC: Final = SourceSpec(
    name="BITSTAMP",
    title="Bitstamp",
    kind=SourceKind.EXCHANGE,
    documentation="https://www.bitstamp.net/websocket/v2/",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Bitstamp's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints("wss://ws.bitstamp.net", "https://www.bitstamp.net"),
    # 10,000 requests in 10 minutes; connections are ended after 90 days.
    limits=Limits(100, 20.0, 10.0),
    heartbeat=Heartbeat(stale_after_s=30.0, ping='{"event":"bts:heartbeat"}', interval_s=10.0),
    fiat=frozenset({"CHF", "EUR", "GBP", "USD"}),
    books=RangeSequence(contiguous=False),
    dialects=(
        replace(
            _LIVE,
            name="WebSocket API v2, trading pairs alone",
            instruments=_listed(
                "/api/v2/trading-pairs-info/",
                _line(
                    "url_symbol",
                    base=Text("name", split=("/", 0)),
                    quote=Text("name", split=("/", 1)),
                    min_notional=Text("minimum_order", before=" "),
                ),
            ),
            valid_from=datetime(1970, 1, 1, tzinfo=UTC),
            valid_to=_MARKETS_SINCE,
        ),
        _LIVE,
    ),
    notes=(
        "There is no stream of quotes.",
        "Sizes of perpetuals are in contracts of `contract_size` of the base.",
    ),
)
BITSTAMP: Final = compile_source(SPEC)
