"""FRED, the economic data of the Federal Reserve Bank of St. Louis, with vintages: when a figure was published, and when it was revised."""

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
    Iso,
    Limits,
    Line,
    Poll,
    Requested,
    SourceKind,
    SourceSpec,
    Statistic,
    Verification,
)

_ECONOMIC_FIGURE: Final = 9
_NONE: Final = "XXX"
_SERIES: Final = (
    ("CPIAUCSL", _NONE, "Consumer prices, all items, adjusted, 1982-84 = 100"),
    ("CPILFESL", _NONE, "Consumer prices less food and energy, adjusted, 1982-84 = 100"),
    ("PCEPI", _NONE, "Prices of personal consumption, adjusted, index"),
    ("PCEPILFE", _NONE, "Prices of personal consumption less food and energy, adjusted, index"),
    ("PPIFIS", _NONE, "Producer prices, final demand, adjusted, November 2009 = 100"),
    ("UNRATE", _NONE, "Unemployment, adjusted, percent"),
    ("PAYEMS", _NONE, "Employees, total nonfarm, adjusted, thousands"),
    ("CES0500000003", "USD", "Average hourly earnings, private, adjusted, dollars"),
    ("ICSA", _NONE, "Initial claims for unemployment insurance, adjusted, number a week"),
    ("JTSJOL", _NONE, "Job openings, nonfarm, adjusted, thousands"),
    ("GDP", "USD", "Gross domestic product, adjusted annual rate, billions of dollars"),
    ("GDPC1", "USD", "Real gross domestic product, adjusted annual rate, billions of chained dollars"),
    ("INDPRO", _NONE, "Industrial production, adjusted, index"),
    ("RSAFS", "USD", "Retail and food sales, adjusted, millions of dollars"),
    ("HOUST", _NONE, "Housing starts, adjusted annual rate, thousands"),
    ("BOPGSTB", "USD", "Trade balance, goods and services, adjusted, millions of dollars"),
    ("M2SL", "USD", "Money stock M2, adjusted, billions of dollars"),
    ("WALCL", "USD", "Assets of the Federal Reserve, millions of dollars"),
    ("RRPONTSYD", "USD", "Overnight reverse repurchase agreements, billions of dollars"),
    ("DFF", "USD", "Federal funds, effective rate, percent"),
    ("DFEDTARL", "USD", "Federal funds, lower limit of the target range, percent"),
    ("DFEDTARU", "USD", "Federal funds, upper limit of the target range, percent"),
    ("DGS2", "USD", "Treasury yield at 2 years, percent"),
    ("DGS10", "USD", "Treasury yield at 10 years, percent"),
    ("T10Y2Y", "USD", "Treasury yield at 10 years less that at 2 years, percent"),
    ("T10YIE", "USD", "Breakeven inflation at 10 years, percent"),
    ("DTWEXBGS", "USD", "Dollar, broad trade-weighted, January 2006 = 100"),
)
_SINCE: Final = "{utc-400d:%Y-%m-%d}"

SPEC: Final = SourceSpec(
    name="FRED",
    title="Federal Reserve Bank of St. Louis, FRED and ALFRED",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://fred.stlouisfed.org/docs/api/fred/series_observations.html",
    read_on="2026-11-30",
    terms="Free with a key; products have to say that they use the FRED API and are not endorsed or certified by the Bank. Series of private owners "
    "have terms of their own; there are none of these here.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://api.stlouisfed.org"),
    limits=Limits(1000, 1.0, 1.0),
    heartbeat=Heartbeat(stale_after_s=2 * 24 * 3600.0),
    dialects=(
        Dialect(
            name="observations with vintages",
            polls=(
                Poll(
                    path="/fred/series/observations?series_id={symbol}&api_key={secret:FRED_API_KEY}&file_type=json"
                    f"&realtime_start={_SINCE}&realtime_end=9999-12-31&observation_start={_SINCE}",
                    every_s=600.0,
                    record=Statistic(
                        symbol=Requested(),
                        kind=_ECONOMIC_FIGURE,
                        value="value",
                        absent=(".",),
                        effective=Iso("date"),
                        time=Iso("realtime_start"),
                        each="observations",
                        repeats=True,
                    ),
                ),
            ),
            instruments=(
                Instruments(
                    given=tuple({"symbol": one, "currency": currency, "name": name} for one, currency, name in _SERIES),
                    lines=(Line(symbol="symbol", quote="currency", index=Index(name="name", provider=Const("FRED"))),),
                ),
            ),
        ),
    ),
    notes=(
        "The time of a figure is its vintage's day, which begins before the hour of publication: only the time of receipt tells more.",
        "A vintage older than `realtime_start` is given as if it began there; no observation asked for is old enough to have one.",
        "A request may span 2,000 vintages; 400 days have fewer.",
        "Observations older than 400 days are not followed, nor are their revisions.",
    ),
)
FRED: Final = compile_source(SPEC)
