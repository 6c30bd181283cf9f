"""Bequant, which runs HitBTC's software."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from collector_service.compiler import compile_source
from collector_service.sources.hitbtc import SPEC as HITBTC_SPEC
from collector_service.spec import Endpoints, SourceSpec

SPEC: Final[SourceSpec] = replace(
    HITBTC_SPEC,
    name="BEQUANT",
    title="Bequant",
    documentation="https://api.bequant.io/",
    endpoints=Endpoints("wss://api.bequant.io", "https://api.bequant.io"),
    notes=(*HITBTC_SPEC.notes, "Pairs that end with _BQX are the same pairs without fees, for brokers."),
)
BEQUANT: Final = compile_source(SPEC)
