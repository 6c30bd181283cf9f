"""Bequant, which runs HitBTC's software."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from collector_service.compiler import compile_source
from collector_service.sources.hitbtc import SPEC as HITBTC_SPEC
from collector_service.sources.hitbtc import V2, V3
from collector_service.spec import Endpoints, SourceSpec

_V3_SINCE: Final = datetime(2024, 1, 1, tzinfo=UTC)

SPEC: Final[SourceSpec] = replace(
    HITBTC_SPEC,
    name="BEQUANT",
    title="Bequant",
    documentation="https://api.bequant.io/",
    endpoints=Endpoints("wss://api.bequant.io", "https://api.bequant.io"),
    dialects=(replace(V2, valid_to=_V3_SINCE), replace(V3, valid_from=_V3_SINCE)),
    notes=(
        "Sizes of futures are of the base currency.",
        "The day on which version 2 ended is not documented: it was spoken in 2023.",
        "Pairs that end with _BQX are the same pairs without fees, for brokers.",
    ),
)
BEQUANT: Final = compile_source(SPEC)
