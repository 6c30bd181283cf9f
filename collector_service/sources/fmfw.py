"""FMFW.io, which runs HitBTC's software: version 3 since it opened in 2021."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from collector_service.compiler import compile_source
from collector_service.sources.hitbtc import SPEC as HITBTC_SPEC
from collector_service.sources.hitbtc import V3
from collector_service.spec import Endpoints, SourceSpec

SPEC: Final[SourceSpec] = replace(
    HITBTC_SPEC,
    name="FMFW",
    title="FMFW.io",
    documentation="https://api.fmfw.io/",
    endpoints=Endpoints("wss://api.fmfw.io", "https://api.fmfw.io"),
    codes={},
    dialects=(V3,),
    aliases=("FMFWIO",),
    notes=(
        "Sizes of futures are of the base currency.",
        "It was Bitcoin.com Exchange until 2021, which spoke version 2.",
    ),
)
FMFW: Final = compile_source(SPEC)
