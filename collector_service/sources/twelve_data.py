"""Twelve Data: prices of shares and funds of the United States, without sizes."""

from __future__ import annotations

from typing import Any, Final

from alphapulse.domain.asset_class import AssetClass
from collector_service.compiler import compile_source
from collector_service.spec import (
    SYMBOL,
    TOPICS,
    Channel,
    Choice,
    Const,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Limits,
    Line,
    Seconds,
    Security,
    SourceKind,
    SourceSpec,
    Subscribe,
    Trade,
    Verification,
)

_EXCHANGES: Final = {
    # Nasdaq's segments.
    **dict.fromkeys(("XNAS", "XNGS", "XNMS", "XNCM"), "XNAS"),
    **{one: one for one in ("XNYS", "ARCX", "XASE", "BATS")},
}
_SHARES: Final = ("Common Stock", "American Depositary Receipt", "REIT", "Depositary Receipt")


def _line(kind: AssetClass, **where: Any) -> Line:
    return Line(
        symbol="symbol",
        quote="currency",
        security=Security(
            name="name",
            kind=kind,
            mic=Choice("mic_code", dict(_EXCHANGES)),
            country=Const("US"),
            isin="isin",
            cusip="cusip",
            figi="figi_code",
        ),
        extras={"mic": "mic_code"},
        where={"mic_code": tuple(_EXCHANGES), **where},
    )


SPEC: Final = SourceSpec(
    name="TWELVE_DATA",
    title="Twelve Data",
    kind=SourceKind.TRADITIONAL,
    documentation="https://twelvedata.com/docs#websocket",
    read_on="2026-11-30",
    terms="With a key and a plan that has the stream; for internal use, not to be redistributed.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://ws.twelvedata.com",
        "https://api.twelvedata.com",
        headers=(("Authorization", "apikey {secret:TWELVE_DATA_API_KEY}"),),
    ),
    # 100 messages of ours a connection, each of a megabyte at most.
    limits=Limits(10_000, 1.0, 0.1),
    heartbeat=Heartbeat(stale_after_s=60.0, ping='{"action":"heartbeat"}', interval_s=10.0),
    dialects=(
        Dialect(
            name="prices",
            kind=(("event", "status"),),
            routes={"price": Trade(symbol="symbol", price="price", time=Seconds("timestamp"))},
            silent=frozenset({"subscribe-status:ok", "heartbeat", "heartbeat:ok"}),
            errors=frozenset({"subscribe-status:error", "subscribe-status:warning"}),
            subscribe=Subscribe(
                message={"action": "subscribe", "params": {"symbols": TOPICS}},
                channels={Channel.TRADES: {"symbol": SYMBOL, "mic_code": "{mic}"}},
                at_once=5_000,
            ),
            instruments=(
                Instruments(
                    path="/stocks?country=United%20States",
                    each="data",
                    lines=(_line(AssetClass.EQUITY, type=_SHARES),),
                ),
                Instruments(path="/etfs?country=United%20States", each="data", lines=(_line(AssetClass.ETF),)),
            ),
            path="/v1/quotes/price?apikey={secret:TWELVE_DATA_API_KEY}",
        ),
    ),
    notes=(
        "A price comes without the size of its trade, which is marked absent; its time is in whole seconds.",
        "ISIN and CUSIP are told to plans that have them; others read a note in their place, which is left out.",
        "Only listings of the large exchanges of the United States, whose tickers are unique, are read.",
    ),
)
TWELVE_DATA: Final = compile_source(SPEC)
