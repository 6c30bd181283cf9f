"""Upbit, the Korean exchange: markets are written with the quote first, books come whole, and what is subscribed to is said in one message,
since a further one would take its place.
"""

from __future__ import annotations

from typing import Any, Final

from collector_service.compiler import compile_source
from collector_service.spec import (
    ASK,
    BID,
    SYMBOLS,
    TOPICS,
    BookSnapshot,
    Channel,
    Dialect,
    Endpoints,
    Has,
    Heartbeat,
    Instruments,
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


def _asked(kind: str) -> dict[str, Any]:
    return {"type": kind, "codes": SYMBOLS, "is_only_realtime": kind == "trade"}


SPEC: Final = SourceSpec(
    name="UPBIT",
    title="Upbit",
    kind=SourceKind.EXCHANGE,
    documentation="https://docs.upbit.com/kr/v1.6.4/reference/websocket-trade",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Upbit's consent.",
    verified=frozenset({Verification.RECORDING, Verification.FIXTURE}),
    endpoints=Endpoints("wss://api.upbit.com", "https://api.upbit.com"),
    # 5 messages a second and 100 a minute; 10 lists a second.
    limits=Limits(100, 1.5, 8.0),
    # The venue closes after 120 seconds of silence.
    heartbeat=Heartbeat(stale_after_s=90.0, ping="PING", interval_s=30.0),
    fiat=frozenset({"KRW"}),
    books=SnapshotOnly(),
    dialects=(
        Dialect(
            name="short names",
            kind=(("ty",), (Has("error"),), (Has("status"),)),
            routes={
                "trade": Trade(
                    symbol="cd",
                    price="tp",
                    size="tv",
                    side=Side("ab", buy="BID", sell="ASK"),
                    trade_id="sid",
                    time=Millis("ttms"),
                ),
                "orderbook": BookSnapshot(
                    symbol="cd",
                    levels=(
                        Levels(path="obu", side=BID, price="bp", size="bs"),
                        Levels(path="obu", side=ASK, price="ap", size="as"),
                    ),
                    time=Millis("tms"),
                ),
            },
            silent=frozenset({"status"}),
            subscribe=Subscribe(
                message=[{"ticket": "alphapulse"}, {...: TOPICS}, {"format": "SIMPLE"}],
                channels={Channel.TRADES: _asked("trade"), Channel.BOOKS: _asked("orderbook")},
                replaces=True,
            ),
            instruments=(
                Instruments(
                    path="/v1/market/all",
                    lines=(
                        Line(
                            symbol="market",
                            base=Text("market", split=("-", 1)),
                            quote=Text("market", split=("-", 0)),
                        ),
                    ),
                ),
            ),
            path="/websocket/v1",
        ),
    ),
    notes=("The list tells no steps: those of prices depend on the price.", "There is no channel of quotes."),
)
UPBIT: Final = compile_source(SPEC)
