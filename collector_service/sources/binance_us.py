"""Binance.US: Binance's spot dialect at addresses and limits of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from collector_service.compiler import compile_source
from collector_service.sources.binance import SPEC as SPOT
from collector_service.spec import Endpoints, Limits, Verification

SPEC: Final = replace(
    SPOT,
    name="BINANCE_US",
    title="Binance.US",
    documentation="https://docs.binance.us/#websocket-streams",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Binance.US's consent.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("wss://stream.binance.us:9443", "https://api.binance.us"),
    # 1,024 streams a connection, three a symbol; 5 messages/s; a snapshot of 1,000 levels costs up to 50 of 1,200 a minute.
    limits=Limits(300, 4.0, 0.3, connection_lifetime_s=23.5 * 3600),
    fiat=frozenset({"USD"}),
)
BINANCE_US: Final = compile_source(SPEC)
