"""GDELT: articles of the world's news that are about the economy, as the DOC 2.0 API finds them, by theme."""

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
    Limits,
    Line,
    Notice,
    Poll,
    Requested,
    SourceKind,
    SourceSpec,
    Verification,
    Written,
)

_NEWS: Final = 2
_THEMES: Final = (
    ("ECON_STOCKMARKET", "News of stock markets, English"),
    ("ECON_INFLATION", "News of inflation, English"),
    ("ECON_INTEREST_RATES", "News of interest rates, English"),
    ("ECON_CENTRALBANK", "News of central banks, English"),
)

SPEC: Final = SourceSpec(
    name="GDELT",
    title="GDELT, DOC 2.0",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://blog.gdeltproject.org/gdelt-doc-2-0-api-debuts/",
    read_on="2026-11-30",
    terms="Free, in commercial use as well, where the GDELT Project is named and linked to; the articles are their publishers'.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://api.gdeltproject.org"),
    # One request in five seconds.
    limits=Limits(1000, 1.0, 0.2),
    heartbeat=Heartbeat(stale_after_s=24 * 3600.0),
    dialects=(
        Dialect(
            name="articles",
            polls=(
                Poll(
                    path="/api/v2/doc/doc?query=theme:{symbol}%20sourcelang:english&mode=artlist&format=json&maxrecords=250"
                    "&timespan=1h&sort=datedesc",
                    every_s=120.0,
                    record=Notice(
                        symbol=Requested(),
                        kind=_NEWS,
                        id="url?",
                        headline="title?",
                        link="url?",
                        category="domain?",
                        time=Written("seendate", "%Y%m%dT%H%M%SZ"),
                        latest=True,
                        newest_first=True,
                        each="articles?",
                    ),
                ),
            ),
            instruments=(
                Instruments(
                    given=tuple({"symbol": symbol, "name": name} for symbol, name in _THEMES),
                    lines=(Line(symbol="symbol", index=Index(name="name", provider=Const("GDELT Project"))),),
                ),
            ),
        ),
    ),
    notes=(
        "The time is that at which GDELT met the article, in steps of a quarter of an hour. The category is the publisher's domain.",
        "An article of several themes is told under each. Of more than 250 at once the latest 250 are seen, and a gap is told.",
        "No listing is told of: GDELT names no securities.",
    ),
)
GDELT: Final = compile_source(SPEC)
