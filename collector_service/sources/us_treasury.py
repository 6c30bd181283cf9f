"""The United States Treasury's daily par yield curve: one series a maturity, each in percent a year."""

from __future__ import annotations

from typing import Final

from collector_service.compiler import compile_source
from collector_service.spec import (
    Body,
    Const,
    Dialect,
    Endpoints,
    Heartbeat,
    Index,
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

_RATE: Final = 6
_PATH: Final = "/resource-center/data-chart-center/interest-rates/pages/xml?data=daily_treasury_yield_curve&field_tdr_date_value_month="
_MONTHS: Final = ("1", "1_5", "2", "3", "4", "6")
_YEARS: Final = ("1", "2", "3", "5", "7", "10", "20", "30")
_MATURITIES: Final = {
    **{f"BC_{number}MONTH": f"{number.replace('_', '.')} months" for number in _MONTHS},
    **{f"BC_{number}YEAR": f"{number} years" for number in _YEARS},
}
_NAME: Final = Join((Const("Treasury par yield at "), "of", Const(", percent")))
_CURVE: Final = tuple(
    Statistic(
        symbol=Const(name),
        kind=_RATE,
        value=f"content[0].properties[0].{name}[0].#text?",
        effective=Iso("content[0].properties[0].NEW_DATE[0].#text"),
        each="entry?",
        repeats=True,
    )
    for name in _MATURITIES
)

SPEC: Final = SourceSpec(
    name="US_TREASURY",
    title="United States Department of the Treasury, par yield curve",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://home.treasury.gov/treasury-daily-interest-rate-xml-feed",
    read_on="2026-11-30",
    terms="Work of the government of the United States, in the public domain.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://home.treasury.gov"),
    limits=Limits(1000, 1.0, 0.2),
    heartbeat=Heartbeat(stale_after_s=2 * 24 * 3600.0),
    dialects=(
        Dialect(
            name="XML feed",
            polls=(
                Poll(path=f"{_PATH}{{utc:%Y%m}}", every_s=900.0, body=Body.XML, record=_CURVE),
                Poll(path=f"{_PATH}{{utc-7d:%Y%m}}", every_s=6 * 3600.0, body=Body.XML, record=_CURVE),
            ),
            instruments=(
                Instruments(
                    given=tuple({"symbol": name, "of": maturity} for name, maturity in _MATURITIES.items()),
                    lines=(
                        Line(
                            symbol="symbol",
                            quote=Const("USD"),
                            index=Index(name=_NAME, provider=Const("United States Department of the Treasury")),
                        ),
                    ),
                ),
            ),
        ),
    ),
    notes=(
        "A yield is of about 15:30 New York time of its day and is published by 18:00; the feed tells the day alone.",
        "A maturity that was not issued on a day has no element, an empty one or one marked as null: there is no figure then.",
        "The month of seven days ago is read beside that of now, so that the end of a month is not missed.",
    ),
)
US_TREASURY: Final = compile_source(SPEC)
