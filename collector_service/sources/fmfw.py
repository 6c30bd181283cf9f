"""FMFW.io, which runs HitBTC's software: version 3 since it opened in 2021; as Bitcoin.com Exchange it spoke version 2 before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from collector_service.compiler import compile_source
from collector_service.sources.hitbtc import DOLLARS, V2, V3
from collector_service.sources.hitbtc import SPEC as HITBTC_SPEC
from collector_service.spec import Endpoints, SourceSpec

_V3_SINCE: Final = datetime(2021, 9, 1, tzinfo=UTC)

SPEC: Final[SourceSpec] = replace(
    HITBTC_SPEC,
    name="FMFW",
    title="FMFW.io",
    documentation="https://api.fmfw.io/",
    endpoints=Endpoints("wss://api.fmfw.io", "https://api.fmfw.io"),
    codes={},
    dialects=(
        replace(V2, instruments=tuple(replace(one, codes=DOLLARS) for one in V2.instruments), valid_to=_V3_SINCE),
        replace(V3, valid_from=_V3_SINCE),
    ),
    aliases=("FMFWIO", "BITCOINCOM"),
    notes=(
        "Sizes of futures are of the base currency.",
        "It was Bitcoin.com Exchange until 2021: the day is not documented. Version 2 was spoken in July, version 3 in October.",
    ),
)
FMFW: Final = compile_source(SPEC)
