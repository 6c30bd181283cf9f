"""The World Bank's development indicators of the largest economies: output, growth, prices and unemployment, one figure a year."""

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
    Join,
    Limits,
    Line,
    Period,
    Poll,
    SourceKind,
    SourceSpec,
    Statistic,
    Verification,
)

_ECONOMIC_FIGURE: Final = 9
_COUNTRIES: Final = (
    "AUS",
    "BRA",
    "CAN",
    "CHE",
    "CHN",
    "DEU",
    "ESP",
    "FRA",
    "GBR",
    "IND",
    "ITA",
    "JPN",
    "KOR",
    "MEX",
    "TUR",
    "USA",
)
_INDICATORS: Final = {
    "NY.GDP.MKTP.CD": ("USD", "gross domestic product, dollars of the year"),
    "NY.GDP.MKTP.KD.ZG": ("XXX", "growth of gross domestic product, percent a year"),
    "FP.CPI.TOTL.ZG": ("XXX", "inflation of consumer prices, percent a year"),
    "SL.UEM.TOTL.ZS": ("XXX", "unemployment, modelled by the ILO, percent"),
}

SPEC: Final = SourceSpec(
    name="WORLD_BANK",
    title="World Bank, development indicators",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://datahelpdesk.worldbank.org/knowledgebase/articles/898581-api-basic-call-structures",
    read_on="2026-11-30",
    terms="Creative Commons Attribution 4.0: the World Bank has to be named; some indicators have terms of their own source.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://api.worldbank.org"),
    limits=Limits(1000, 1.0, 0.2),
    heartbeat=Heartbeat(stale_after_s=2 * 24 * 3600.0),
    dialects=(
        Dialect(
            name="version 2",
            polls=tuple(
                Poll(
                    path=f"/v2/country/{';'.join(_COUNTRIES)}/indicator/{indicator}?format=json&mrv=3&per_page=1000",
                    every_s=6 * 3600.0,
                    record=Statistic(
                        symbol=Join(("countryiso3code", "indicator.id"), "."),
                        kind=_ECONOMIC_FIGURE,
                        value="value?",
                        effective=Period("date"),
                        each="[1]",
                        repeats=True,
                    ),
                )
                for indicator in _INDICATORS
            ),
            instruments=(
                Instruments(
                    given=tuple(
                        {"country": country, "indicator": indicator, "currency": currency, "name": name}
                        for indicator, (currency, name) in _INDICATORS.items()
                        for country in _COUNTRIES
                    ),
                    lines=(
                        Line(
                            symbol=Join(("country", "indicator"), "."),
                            quote="currency",
                            index=Index(name=Join(("country", "name"), ", "), provider=Const("World Bank")),
                        ),
                    ),
                ),
            ),
        ),
    ),
    notes=(
        "A figure is of the year that begins at its effective time.",
        "The answer tells when the whole data set was updated and not when a figure was: what is revised is another figure of the same year.",
    ),
)
WORLD_BANK: Final = compile_source(SPEC)
