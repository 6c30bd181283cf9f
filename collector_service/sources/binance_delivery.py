"""Binance's COIN-M futures: inverse perpetuals and futures, in contracts of 10 or 100 dollars. The stream is that of USD-M before its split."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from collector_service.compiler import compile_source
from collector_service.sources.binance_futures import LEGACY, line
from collector_service.sources.binance_futures import SPEC as USD_M
from collector_service.spec import Endpoints, Instruments, RestSnapshot, Verification

_SNAPSHOT: Final = LEGACY.snapshot
assert isinstance(_SNAPSHOT, RestSnapshot)

SPEC: Final = replace(
    USD_M,
    name="BINANCE_DELIVERY",
    title="Binance COIN-M futures",
    documentation="https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams/Connect",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints(
        "wss://dstream.binance.com",
        "https://dapi.binance.com",
        "wss://dstream.binancefuture.com",
        "https://testnet.binancefuture.com",
    ),
    aliases=("BINANCE_COINM",),
    dialects=(
        replace(
            LEGACY,
            silent=LEGACY.silent | {"indexPrice", "contractInfo"},
            snapshot=replace(_SNAPSHOT, path="/dapi/v1/depth?symbol={symbol}&limit=1000"),
            instruments=(
                Instruments(
                    path="/dapi/v1/exchangeInfo",
                    each="symbols",
                    lines=(line("contractStatus", size="contractSize", inverse=True),),
                ),
            ),
            valid_to=USD_M.dialects[-1].valid_to,
        ),
    ),
    notes=(
        "Sizes are contracts, each worth `contractSize` of the quote.",
        "Trades of one order at one price come as one: the documentation has no stream of single trades.",
    ),
)
BINANCE_DELIVERY: Final = compile_source(SPEC)
