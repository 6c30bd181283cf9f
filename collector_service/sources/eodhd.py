"""EODHD: trades of shares and funds of the United States; its list tells their ISIN."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.asset_class import AssetClass
from collector_service.compiler import compile_source
from collector_service.spec import (
    Channel,
    Choice,
    Dialect,
    Endpoints,
    Has,
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

_KEY: Final = "{secret:EODHD_API_KEY}"
_EXCHANGES: Final = {
    "NASDAQ": "XNAS",
    "NYSE": "XNYS",
    "NYSE ARCA": "ARCX",
    "NYSE MKT": "XASE",
    "AMEX": "XASE",
    "BATS": "BATS",
}

SPEC: Final = SourceSpec(
    name="EODHD",
    title="EODHD",
    kind=SourceKind.TRADITIONAL,
    documentation="https://eodhd.com/financial-apis/new-real-time-data-api-websockets",
    read_on="2026-11-30",
    terms="With a key and a plan that has the stream; for the subscriber's own use, not to be redistributed.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("wss://ws.eodhistoricaldata.com", "https://eodhd.com"),
    # 50 symbols a connection, unless more are paid for; 1,000 requests a minute.
    limits=Limits(50, 5.0, 5.0),
    heartbeat=Heartbeat(stale_after_s=24 * 3600.0),
    dialects=(
        Dialect(
            name="trades of the United States",
            kind=((Has("p"),), ("status_code",), ("status",)),
            routes={"p": Trade(symbol="s", price="p", size="v", time=Millis("t"))},
            errors=frozenset({"400", "401", "403", "404", "422", "429", "500"}),
            subscribe=Subscribe(
                after="200",
                message={"action": "subscribe", "symbols": "{symbols}"},
                channels={Channel.TRADES: "trades"},
            ),
            instruments=(
                Instruments(
                    path=f"/api/exchange-symbol-list/US?fmt=json&api_token={_KEY}",
                    lines=(
                        Line(
                            symbol="Code",
                            quote="Currency",
                            security=Security(
                                name="Name",
                                kind=Choice("Type", {"Common Stock": AssetClass.EQUITY, "ETF": AssetClass.ETF}),
                                mic=Choice("Exchange", dict(_EXCHANGES)),
                                isin="Isin",
                            ),
                            where={"Type": ("Common Stock", "ETF"), "Exchange": tuple(_EXCHANGES)},
                        ),
                    ),
                ),
            ),
            path=f"/ws/us?api_token={_KEY}",
        ),
    ),
    notes=(
        "Quotes are at another address, and a source connects to one.",
        "A trade has no number; those off the exchanges (dark pools) are among them.",
        "A class of shares is written with a hyphen, BRK-B, where exchanges write BRK.B.",
        "Only what is listed on the large exchanges is read.",
    ),
)
EODHD: Final = compile_source(SPEC)
