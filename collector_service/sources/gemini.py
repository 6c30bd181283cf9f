"""Gemini: spot pairs, and perpetuals in GUSD. One subscription brings a book and its trades."""

from __future__ import annotations

from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.spec import (
    SYMBOLS,
    BookSnapshot,
    BookUpdate,
    Channel,
    Choice,
    Contract,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Levels,
    Limits,
    Line,
    Millis,
    Side,
    SnapshotUpdates,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
)

_LEVELS: Final = (Levels(path="changes", side=Side("[0]"), price="[1]", size="[2]"),)


_AUCTION: Final = ("open", "indicative", "result", "cleared")


def _line(**fields: Any) -> Line:
    return Line(
        symbol="symbol",
        base="base_currency",
        quote="quote_currency",
        status=Choice("status", dict.fromkeys(("open", "limit_only", "post_only"), ListingStatus.TRADING)),
        # What is called a tick here is one of the size.
        tick="quote_increment",
        lot="tick_size",
        min_size="min_order_size",
        **fields,
    )


def _said(kind: str) -> dict[str, Any]:
    return {"type": kind, "subscriptions": [{"name": "l2", "symbols": SYMBOLS}]}


SPEC: Final = SourceSpec(
    name="GEMINI",
    title="Gemini",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs.gemini.com/websocket/archived/v2",
    read_on="2026-11-30",
    terms="Public market data, free to read for personal and internal use under Gemini's market data terms.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://api.gemini.com",
        "https://api.gemini.com",
        "wss://api.sandbox.gemini.com",
        "https://api.sandbox.gemini.com",
    ),
    # 120 requests a minute.
    limits=Limits(50, 5.0, 1.0),
    # A heartbeat every five seconds.
    heartbeat=Heartbeat(stale_after_s=20.0),
    fiat=frozenset({"AUD", "CAD", "EUR", "GBP", "HKD", "SGD", "USD"}),
    books=SnapshotUpdates(),
    dialects=(
        Dialect(
            name="market data, version 2",
            kind=(("type",), ("result",)),
            routes={
                "trade": Trade(
                    symbol="symbol",
                    price="price",
                    size="quantity",
                    side=Side("side"),
                    trade_id="event_id",
                    time=Millis("timestamp"),
                ),
                # The first one has the whole book, and the last 50 trades: history, not events of now.
                "l2_updates": (
                    BookSnapshot(symbol="symbol", levels=_LEVELS, having="trades?"),
                    BookUpdate(symbol="symbol", levels=_LEVELS, lacking="trades?"),
                ),
            },
            silent=frozenset({"heartbeat", "block_trade"} | {f"auction_{what}" for what in _AUCTION}),
            subscribe=Subscribe(
                message=_said("subscribe"),
                channels={Channel.TRADES: "l2", Channel.BOOKS: "l2"},
                at_once=50,
                resync=(_said("unsubscribe"), _said("subscribe")),
            ),
            instruments=(
                Instruments(
                    path="/v1/symbols",
                    follow="/v1/symbols/details/{line}",
                    lines=(
                        _line(
                            contract=Contract(
                                kind=AssetClass.PERPETUAL,
                                settle="contract_price_currency",
                                inverse=Choice("contract_type", {"inverse": True}, default=False),
                            ),
                            where={"product_type": "swap"},
                        ),
                        _line(where={"product_type": ("", "spot")}),
                    ),
                ),
            ),
            path="/v2/marketdata",
        ),
    ),
    notes=(
        "The venue has newer streams at ws.gemini.com, with quotes, and calls these archived: they are what is read here.",
        "A trade's number is that of its event.",
        "Books have no times of their own.",
        "Sizes of perpetuals are in the base.",
    ),
)
GEMINI: Final = compile_source(SPEC)
