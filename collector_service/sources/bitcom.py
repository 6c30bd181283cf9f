"""Bit.com, which closed in March 2026: spot pairs, and futures and options margined in coins or in dollars. Spot calls an instrument `pair`, the
others `instrument_id`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
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
    Const,
    Contract,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Levels,
    Limits,
    Line,
    Millis,
    PerChannel,
    Quote,
    Record,
    Side,
    SourceKind,
    SourceSpec,
    Subscribe,
    Text,
    Trade,
    Verification,
    sides,
)

_TRADE: Final = Trade(
    symbol="instrument_id?",
    having="instrument_id?",
    price="price",
    size="qty",
    side=Side("side"),
    trade_id="trade_id",
    time=Millis("created_at"),
    each="data",
)
_QUOTE: Final = Quote(
    symbol="data.instrument_id?",
    having="data.instrument_id?",
    bid="data.best_bid",
    bid_size="data.best_bid_qty?",
    ask="data.best_ask",
    ask_size="data.best_ask_qty?",
    time=Millis("timestamp"),
    # The ticker of an option that lacks a side: its book tells the other one.
    unless={"data.best_bid": "", "data.best_ask": ""},
)
_SNAPSHOT: Final = BookSnapshot(
    symbol="data.instrument_id?",
    having="data.instrument_id?",
    levels=sides("data.bids?", "data.asks?"),
    last="data.sequence",
    time=Millis("timestamp"),
    where={"data.type": "snapshot"},
)
_UPDATE: Final = BookUpdate(
    symbol="data.instrument_id?",
    having="data.instrument_id?",
    levels=(Levels(path="data.changes?", side=Side("[0]"), price="[1]", size="[2]"),),
    last="data.sequence",
    time=Millis("timestamp"),
    where={"data.type": "update"},
)


def _both(*told: Any) -> tuple[Record, ...]:
    """For instruments that are called one way, and those that are called the other."""
    return tuple(
        replace(one, symbol=name, having=name)
        for one in told
        for name in (one.symbol, one.symbol.replace("instrument_id", "pair"))
    )


def _line(contract: Contract, **where: str) -> Line:
    return Line(
        symbol="instrument_id",
        base="base_currency",
        quote="quote_currency",
        status=Choice("active", {"true": ListingStatus.TRADING}),
        tick="price_step",
        lot="size_step",
        min_size="min_size",
        contract=contract,
        where=where,
    )


def _lines(settle: str, size: str | Const, *, inverse: bool) -> tuple[Line, ...]:
    """Options and futures that settle in this."""
    ends = Millis("expiration_at")
    return (
        _line(
            Contract(
                kind=AssetClass.OPTION,
                settle=settle,
                size=size,
                expiry=ends,
                strike="strike_price",
                right=Choice("option_type", {"call": "call", "put": "put"}),
            ),
            category="option",
        ),
        _line(
            Contract(
                kind=Choice(
                    Text("instrument_id", split=("-", -1)),
                    {"PERPETUAL": AssetClass.PERPETUAL},
                    default=AssetClass.FUTURE,
                ),
                settle=settle,
                size=size,
                inverse=inverse,
                expiry=ends,
            ),
            category="future",
        ),
    )


def _subscribe(kind: str, symbols: Any) -> dict[str, Any]:
    return {"type": kind, "instruments": symbols, "channels": [CHANNEL], "interval": "raw"}


SPEC: Final = SourceSpec(
    name="BITCOM",
    title="Bit.com",
    kind=SourceKind.EXCHANGE,
    documentation="https://www.bit.com/docs/en-us/futures.html",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution is not spoken of.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://ws.bit.com", "https://api.bit.com", "wss://betaws.bitexch.dev", "https://betaapi.bitexch.dev"
    ),
    limits=Limits(50, 5.0, 5.0),
    heartbeat=Heartbeat(stale_after_s=60.0, ping='{"type":"ping"}', interval_s=20.0),
    books=PerChannel(),
    dialects=(
        Dialect(
            name="version 1",
            kind=(("channel",), ("type",)),
            routes={
                "trade": _both(_TRADE),
                "ticker": _both(_QUOTE),
                "depth": _both(_SNAPSHOT, _UPDATE),
            },
            silent=frozenset(
                {"subscription", "unsubscription", "pong", "kline", "market_trade", "index_price", "mark_price"}
            ),
            subscribe=Subscribe(
                message=_subscribe("subscribe", SYMBOLS),
                channels={Channel.TRADES: "trade", Channel.QUOTES: "ticker", Channel.BOOKS: "depth"},
                resync=tuple(_subscribe(kind, [SYMBOL]) for kind in ("unsubscribe", "subscribe")),
            ),
            instruments=(
                Instruments(
                    path="/spot/v1/instruments",
                    each="data",
                    lines=(
                        Line(
                            symbol="pair",
                            base="base_currency",
                            quote="quote_currency",
                            tick="price_step",
                            lot="qty_step",
                            min_size="qty_min",
                        ),
                    ),
                ),
                Instruments(
                    path="/v1/currencies",
                    each="data.currencies",
                    follow="/v1/instruments?currency={line}&active=true",
                    then="data",
                    lines=_lines("base_currency", "contract_size", inverse=True),
                ),
                # What settles in dollars: its contracts have no size of their own.
                *(
                    Instruments(
                        path=f"/linear/v1/instruments?currency={dollar}&active=true",
                        each="data",
                        lines=_lines("quote_currency", Const("1"), inverse=False),
                    )
                    for dollar in ("USD", "USDT")
                ),
            ),
        ),
    ),
    aliases=("BIT.COM", "BITDOTCOM"),
    notes=(
        "The venue has closed: trading ended on 2026-01-31, everything else on 2026-03-31. This reads what was recorded of it.",
        "Spot had addresses of its own, wss://spot-ws.bit.com and https://spot-api.bit.com, and the same messages.",
        "Sizes of futures are in dollars where they settle in the coin; those of others, and of options, are in the base currency.",
        "A ticker that lacks a side is passed over.",
    ),
)
BITCOM: Final = compile_source(SPEC)
