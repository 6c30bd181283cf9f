"""The European Central Bank's euro foreign exchange reference rates: one a currency and working day, polled."""

from __future__ import annotations

from typing import Final

from collector_service.compiler import compile_source
from collector_service.spec import (
    Body,
    Const,
    Dialect,
    Endpoints,
    Heartbeat,
    Instruments,
    Iso,
    Join,
    Limits,
    Line,
    Poll,
    SourceKind,
    SourceSpec,
    Statistic,
    Verification,
)

_INDEX_PRICE: Final = 3
_PATH: Final = "/stats/eurofxref/eurofxref-daily.xml"
_SYMBOL: Final = Join((Const("EUR/"), "@currency"))

SPEC: Final = SourceSpec(
    name="ECB",
    title="European Central Bank, reference rates",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/html/index.en.html",
    read_on="2026-11-30",
    terms="Free to use with the ECB named as the source.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://www.ecb.europa.eu"),
    limits=Limits(1000, 1.0, 0.2),
    heartbeat=Heartbeat(stale_after_s=2 * 24 * 3600.0),
    dialects=(
        Dialect(
            name="daily XML",
            polls=(
                Poll(
                    path=_PATH,
                    every_s=1800.0,
                    body=Body.XML,
                    record=Statistic(
                        symbol=_SYMBOL,
                        kind=_INDEX_PRICE,
                        value="@rate",
                        effective=Iso("^Cube[0].Cube[0].@time"),
                        each="Cube[0].Cube[0].Cube",
                        repeats=True,
                    ),
                ),
            ),
            instruments=(
                Instruments(
                    path=_PATH,
                    body=Body.XML,
                    each="Cube[0].Cube[0].Cube",
                    lines=(Line(symbol=_SYMBOL, base=Const("EUR"), quote="@currency"),),
                ),
            ),
        ),
    ),
    notes=(
        "A rate is of about 14:15 Central European Time of its day and is published around 16:00; the feed tells the day alone.",
    ),
)
ECB: Final = compile_source(SPEC)
