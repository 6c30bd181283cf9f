"""The calendar of FRED: which release of economic data is due on which day."""

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
    Join,
    Limits,
    Line,
    Notice,
    Poll,
    SourceKind,
    SourceSpec,
    Verification,
)

_CALENDAR: Final = 3

SPEC: Final = SourceSpec(
    name="FRED_RELEASES",
    title="Federal Reserve Bank of St. Louis, calendar of releases",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://fred.stlouisfed.org/docs/api/fred/releases_dates.html",
    read_on="2026-11-30",
    terms="Free with a key; products have to say that they use the FRED API and are not endorsed or certified by the Bank.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://api.stlouisfed.org"),
    limits=Limits(1000, 1.0, 1.0),
    heartbeat=Heartbeat(stale_after_s=2 * 24 * 3600.0),
    dialects=(
        Dialect(
            name="release dates",
            polls=(
                Poll(
                    path="/fred/releases/dates?api_key={secret:FRED_API_KEY}&file_type=json&include_release_dates_with_no_data=true"
                    "&realtime_start={utc-1d:%Y-%m-%d}&realtime_end=9999-12-31&sort_order=asc&limit=1000",
                    every_s=1800.0,
                    record=Notice(
                        symbol=Const("fred/releases"),
                        kind=_CALENDAR,
                        id=Join(("release_id", "date"), "@"),
                        headline="release_name?",
                        link=Join((Const("https://fred.stlouisfed.org/release?rid="), "release_id")),
                        effective=Iso("date"),
                        each="release_dates",
                    ),
                ),
            ),
            instruments=(
                Instruments(
                    given=({"symbol": "fred/releases", "name": "Calendar of releases of economic data, FRED"},),
                    lines=(
                        Line(
                            symbol="symbol",
                            index=Index(name="name", provider=Const("Federal Reserve Bank of St. Louis")),
                        ),
                    ),
                ),
            ),
        ),
    ),
    notes=(
        "A release's day is told, not its hour; what it brought comes as figures of the source FRED.",
        "A day that is moved is a new entry: that the old one is off is not told.",
        "The thousand entries from yesterday on are followed.",
    ),
)
FRED_RELEASES: Final = compile_source(SPEC)
