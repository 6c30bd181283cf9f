"""Binance TR: Binance's spot dialect. Its symbols of type 1 are `BTCTRY` on streams and in lists, `BTC_TRY` in orders."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from collector_service.compiler import compile_source
from collector_service.sources.binance import SPEC as SPOT
from collector_service.spec import Endpoints, Join, Limits, Verification

_DIALECT: Final = SPOT.dialects[-1]
_LIST: Final = _DIALECT.instruments[0]

SPEC: Final = replace(
    SPOT,
    name="BINANCE_TR",
    title="Binance TR",
    documentation="https://www.binance.tr/apidocs/",
    read_on="2026-11-30",
    terms="Public market data, free to read; redistribution needs Binance TR's consent.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("wss://stream-cloud.binance.tr", "https://api.binance.me"),
    # 1,024 streams a connection, three a symbol; 5 messages/s; a snapshot of 1,000 levels costs up to 50 of 1,200 a minute.
    limits=Limits(300, 4.0, 0.3, connection_lifetime_s=23.5 * 3600),
    dialects=(
        replace(
            _DIALECT,
            instruments=(
                replace(
                    _LIST,
                    lines=tuple(
                        replace(line, aliases=(Join(("baseAsset", "quoteAsset"), "_"),)) for line in _LIST.lines
                    ),
                ),
            ),
        ),
    ),
    notes=(
        "The list is that of the cloud behind it (api.binance.me), and may have pairs that Binance TR does not offer.",
        "Symbols of type 3, which www.binance.tr serves itself, are not read.",
    ),
)
BINANCE_TR: Final = compile_source(SPEC)
