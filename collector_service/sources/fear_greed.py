"""The Crypto Fear & Greed Index of alternative.me: one figure a day, from 0 (fear) to 100 (greed)."""

from __future__ import annotations

from typing import Final

from collector_service.compiler import compile_source
from collector_service.spec import (
    Const,
    Dialect,
    Endpoints,
    Heartbeat,
    Index,
    Instruments,
    Limits,
    Line,
    Poll,
    Seconds,
    SourceKind,
    SourceSpec,
    Statistic,
    Verification,
)

_SENTIMENT: Final = 7

SPEC: Final = SourceSpec(
    name="FEAR_GREED",
    title="alternative.me, Crypto Fear & Greed Index",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://alternative.me/crypto/fear-and-greed-index/#api",
    read_on="2026-11-30",
    terms="Free, in commercial use as well, where alternative.me is named beside the figures as their source.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://api.alternative.me"),
    limits=Limits(1000, 1.0, 0.2),
    heartbeat=Heartbeat(stale_after_s=2 * 24 * 3600.0),
    dialects=(
        Dialect(
            name="fng",
            polls=(
                Poll(
                    path="/fng/?limit=10",
                    every_s=1800.0,
                    record=Statistic(
                        symbol=Const("FNG"),
                        kind=_SENTIMENT,
                        value="value",
                        effective=Seconds("timestamp"),
                        each="data",
                        repeats=True,
                    ),
                ),
            ),
            instruments=(
                Instruments(
                    given=({"symbol": "FNG", "name": "Crypto Fear & Greed Index, 0 to 100"},),
                    lines=(Line(symbol="symbol", index=Index(name="name", provider=Const("alternative.me"))),),
                ),
            ),
        ),
    ),
)
FEAR_GREED: Final = compile_source(SPEC)
