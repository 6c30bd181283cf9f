"""AscendEX's perpetual futures: the messages of its spot market, another address, another list."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from alphapulse.domain.asset_class import AssetClass
from collector_service.compiler import compile_source
from collector_service.sources.ascendex import SPEC as SPOT
from collector_service.sources.ascendex import STATUS, STREAM
from collector_service.spec import Contract, Instruments, Line, SourceSpec, Text

SPEC: Final[SourceSpec] = replace(
    SPOT,
    name="ASCENDEX_FUTURES",
    title="AscendEX futures",
    documentation="https://ascendex.github.io/ascendex-futures-pro-api-v2/",
    dialects=(
        replace(
            STREAM,
            name="futures pro, version 2",
            instruments=(
                Instruments(
                    path="/api/pro/v2/futures/contract",
                    each="data",
                    lines=(
                        Line(
                            symbol="symbol",
                            base=Text("symbol", before="-"),
                            quote="settlementAsset",
                            status=STATUS,
                            tick="priceFilter.tickSize",
                            lot="lotSizeFilter.lotSize",
                            min_size="lotSizeFilter.minQty",
                            max_size="lotSizeFilter.maxQty",
                            contract=Contract(kind=AssetClass.PERPETUAL, settle="settlementAsset"),
                        ),
                    ),
                ),
            ),
            path="/api/pro/v2/stream",
        ),
    ),
    aliases=(),
    notes=(*SPOT.notes, "Sizes are of the base currency."),
)
ASCENDEX_FUTURES: Final = compile_source(SPEC)
