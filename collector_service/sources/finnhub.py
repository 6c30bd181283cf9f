"""Finnhub: trades of shares and funds of the United States."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.asset_class import AssetClass
from collector_service.compiler import compile_source
from collector_service.spec import (
    SYMBOL,
    Channel,
    Choice,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Millis,
    Security,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
)

_KINDS: Final = {
    **dict.fromkeys(("Common Stock", "ADR", "REIT", "MLP", "NY Reg Shrs", "GDR", "Tracking Stk"), AssetClass.EQUITY),
    "ETP": AssetClass.ETF,
}
_KEY: Final = "{secret:FINNHUB_API_KEY}"

SPEC: Final = SourceSpec(
    name="FINNHUB",
    title="Finnhub",
    kind=SourceKind.TRADITIONAL,
    documentation="https://finnhub.io/docs/api/websocket-trades",
    read_on="2026-11-30",
    terms="With a key; free for personal use, not to be redistributed.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("wss://ws.finnhub.io", "https://finnhub.io", headers=(("X-Finnhub-Token", _KEY),)),
    # A key has one connection; 60 requests a minute.
    limits=Limits(50_000, 10.0, 1.0),
    # A ping every minute or so.
    heartbeat=Heartbeat(stale_after_s=180.0),
    dialects=(
        Dialect(
            name="trades",
            kind=(("type",),),
            routes={
                # Where there are no trades, as of currencies, the price comes with a volume of 0.
                "trade": Trade(
                    symbol="s", price="p", size="v", time=Millis("t"), each="data", unless={"v": ("0", "0.0")}
                ),
            },
            silent=frozenset({"ping"}),
            subscribe=Subscribe(
                message={"type": "subscribe", "symbol": SYMBOL},
                channels={Channel.TRADES: "trade"},
            ),
            instruments=(
                Instruments(
                    path="/api/v1/stock/symbol?exchange=US",
                    lines=(
                        Line(
                            symbol="symbol",
                            quote="currency",
                            security=Security(
                                name="description",
                                kind=Choice("type", dict(_KINDS)),
                                mic="mic",
                                isin="isin",
                                share_class_figi="shareClassFIGI",
                                composite_figi="figi",
                            ),
                            where={"type": tuple(_KINDS)},
                        ),
                    ),
                ),
            ),
            path=f"/?token={_KEY}",
        ),
    ),
    notes=(
        "A trade has no number.",
        "Preferred shares, warrants, units and rights are passed over.",
        "A free key may subscribe to 50 symbols.",
    ),
)
FINNHUB: Final = compile_source(SPEC)
