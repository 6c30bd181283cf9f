"""ProBit Global. One message may tell trades and changes of a book; the first of a subscription is marked, and tells trades of before."""

from __future__ import annotations

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
    Levels,
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
)

_BOOK: Final[dict[str, Any]] = {
    "symbol": "market_id",
    # An order at the market stands at a price of 0.
    "levels": (
        Levels(path="order_books?", side=Side("side"), price="price", size="quantity", unless={"price": ("0", "0.0")}),
    ),
    "having": "order_books?",
}


def _marketdata(kind: str) -> dict[str, Any]:
    return {"type": kind, "channel": "marketdata", "filter": [CHANNEL], "interval": 100, "market_id": SYMBOL}


SPEC: Final = SourceSpec(
    name="PROBIT",
    title="ProBit Global",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs-en.probit.com/docs/how-to-use-websocket",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution is not spoken of.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://api.probit.com",
        "https://api.probit.com",
        "wss://demo-api.probit.com",
        "https://demo-api.probit.com",
    ),
    limits=Limits(50, 10.0, 5.0),
    heartbeat=Heartbeat(stale_after_s=60.0),
    books=SnapshotUpdates(),
    dialects=(
        Dialect(
            name="marketdata",
            kind=(("channel",), ("type",)),
            routes={
                "marketdata": (
                    Trade(
                        symbol="^market_id",
                        price="price",
                        size="quantity",
                        side=Side("side"),
                        # `ETH-BTC:4429182`
                        trade_id=Text("id", split=(":", -1)),
                        time=Iso("time"),
                        each="recent_trades?",
                    ),
                    BookSnapshot(**_BOOK, where={"reset?": "true"}),
                    BookUpdate(**_BOOK, where={"reset?": "false"}),
                    BookUpdate(**_BOOK, lacking="reset?"),
                )
            },
            silent=frozenset({"exchange_rate"}),
            subscribe=Subscribe(
                message=_marketdata("subscribe"),
                channels={Channel.TRADES: "recent_trades", Channel.BOOKS: "order_books"},
                resync=tuple(map(_marketdata, ("unsubscribe", "subscribe"))),
            ),
            instruments=(
                Instruments(
                    path="/api/exchange/v1/market",
                    each="data",
                    lines=(
                        Line(
                            symbol="id",
                            base="base_currency_id",
                            quote="quote_currency_id",
                            status=Choice("closed", {"false": ListingStatus.TRADING, "true": ListingStatus.DELISTED}),
                            tick="price_increment",
                            lot=Decimals("quantity_precision"),
                            min_size="min_quantity",
                            max_size="max_quantity",
                            min_notional="min_cost",
                        ),
                    ),
                ),
            ),
            path="/api/exchange/v1/ws",
        ),
    ),
    notes=(
        "ProBit announced in February 2026 that it ends its service; the format never changed.",
        "A subscription begins with the last 100 trades, so a new connection tells some again.",
        "The venue tells no best bid and offer of its own.",
    ),
)
PROBIT: Final = compile_source(SPEC)
