"""Bybit's spot pairs. They have the symbols of its linear contracts (BTCUSDT) at an address of their own: a source and a venue of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from alphapulse.domain.instruments import ListingStatus
from collector_service.compiler import compile_source
from collector_service.sources.bybit import SPEC as CONTRACTS
from collector_service.spec import Choice, Instruments, Line, Verification

_V5: Final = CONTRACTS.dialects[-1]
assert _V5.subscribe is not None

SPEC: Final = replace(
    CONTRACTS,
    name="BYBIT_SPOT",
    title="Bybit spot",
    verified=frozenset({Verification.FIXTURE}),
    dialects=(
        replace(
            _V5,
            # Ten topics a message, where contracts have hundreds.
            subscribe=replace(_V5.subscribe, at_once=10),
            instruments=(
                Instruments(
                    path="/v5/market/instruments-info?category=spot",
                    each="result.list",
                    lines=(
                        Line(
                            symbol="symbol",
                            base="baseCoin",
                            quote="quoteCoin",
                            status=Choice("status", {"Trading": ListingStatus.TRADING}),
                            tick="priceFilter.tickSize",
                            lot="lotSizeFilter.basePrecision",
                            min_size="lotSizeFilter.minOrderQty",
                            max_size="lotSizeFilter.maxOrderQty",
                            min_notional="lotSizeFilter.minOrderAmt",
                        ),
                    ),
                ),
            ),
            path="/v5/public/spot",
            valid_from=datetime(1970, 1, 1, tzinfo=UTC),
        ),
    ),
    notes=("Numbers of trades are not read, since those of contracts are UUIDs.",),
)
BYBIT_SPOT: Final = compile_source(SPEC)
