"""Okcoin, OKX's sister for money: version 5 speaks as OKX does; version 3, which it spoke until 2022, had frames of raw deflate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from collector_service.compiler import compile_source
from collector_service.sources.okx import CHECKED, NUMBERED, lists, subscription
from collector_service.spec import (
    BookSnapshot,
    BookUpdate,
    Compression,
    Endpoints,
    Heartbeat,
    Instruments,
    Iso,
    Limits,
    Line,
    PreviousId,
    Quote,
    Side,
    SourceKind,
    SourceSpec,
    Trade,
    Verification,
    sides,
)

_NUMBERED_SINCE: Final = datetime(2023, 6, 1, tzinfo=UTC)
"""Some time after OKX: its documentation of June 2023 numbers books, and in May they were not numbered."""
_BOOK: Final[dict[str, Any]] = {
    "symbol": "instrument_id",
    "levels": sides("bids", "asks"),
    "checksum": "checksum",
    "time": Iso("timestamp"),
    "each": "data",
}
_VERSION_3: Final[dict[str, Any]] = {
    "spot/trade": Trade(
        symbol="instrument_id",
        price="price",
        size="size",
        side=Side("side"),
        trade_id="trade_id",
        time=Iso("timestamp"),
        each="data",
    ),
    "spot/ticker": Quote(
        symbol="instrument_id",
        bid="best_bid",
        bid_size="best_bid_size?",
        ask="best_ask",
        ask_size="best_ask_size?",
        time=Iso("timestamp"),
        each="data",
    ),
    **{
        f"{table}:{action}": record
        for table in ("spot/depth", "spot/depth_l2_tbt")
        for action, record in (("partial", BookSnapshot(**_BOOK)), ("update", BookUpdate(**_BOOK)))
    },
}
_LIST_3: Final = Instruments(
    path="/api/spot/v3/instruments",
    lines=(
        Line(
            symbol="instrument_id",
            base="base_currency",
            quote="quote_currency",
            tick="tick_size",
            lot="size_increment",
            min_size="min_size",
        ),
    ),
)

SPEC: Final = SourceSpec(
    name="OKCOIN",
    title="Okcoin",
    kind=SourceKind.EXCHANGE,
    documentation="https://www.okcoin.com/docs-v5/en/#websocket-api-public-channel-order-book-channel",
    read_on="2023-06-01",
    terms="Public market data, free to read; redistribution needs Okcoin's consent.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("wss://real.okcoin.com:8443", "https://www.okcoin.com"),
    # As OKX: 240 messages an hour to subscribe, 20 lists in two seconds.
    limits=Limits(100, 3.0, 8.0),
    heartbeat=Heartbeat(stale_after_s=40.0, ping="ping", interval_s=20.0),
    fiat=frozenset({"EUR", "SGD", "USD"}),
    books=PreviousId(),
    dialects=(
        replace(
            CHECKED,
            name="versions 3 and 5, books with a checksum",
            kind=(("event",), ("arg.channel", "action"), ("table", "action")),
            routes={**CHECKED.routes, **_VERSION_3},
            instruments=(_LIST_3, *lists("SPOT")),
            compression=Compression.DEFLATE,
            valid_to=_NUMBERED_SINCE,
        ),
        replace(
            NUMBERED,
            valid_from=_NUMBERED_SINCE,
            instruments=lists("SPOT"),
            subscribe=subscription("tickers"),
            routes={
                **{kind: route for kind, route in NUMBERED.routes.items() if kind != "bbo-tbt"},
                "tickers": CHECKED.routes["tickers"],
            },
        ),
    ),
    notes=("A frame says which version it is of, so both are read in the time when one gave way to the other.",),
)
OKCOIN: Final = compile_source(SPEC)
