"""Finnhub's economic calendar: what is published when, what was expected, and what came of it."""

from __future__ import annotations

from typing import Final

from collector_service.compiler import compile_source
from collector_service.spec import (
    Choice,
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
_IMPACTS: Final = {"low": 1, "medium": 2, "high": 3}

SPEC: Final = SourceSpec(
    name="FINNHUB_CALENDAR",
    title="Finnhub, economic calendar",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://finnhub.io/docs/api/economic-calendar",
    read_on="2026-11-30",
    terms="With a key of a paid plan; not to be redistributed.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://finnhub.io", headers=(("X-Finnhub-Token", "{secret:FINNHUB_API_KEY}"),)),
    limits=Limits(1000, 1.0, 1.0),
    heartbeat=Heartbeat(stale_after_s=24 * 3600.0),
    dialects=(
        Dialect(
            name="economic calendar",
            polls=(
                Poll(
                    path="/api/v1/calendar/economic?from={utc-1d:%Y-%m-%d}&to={utc+14d:%Y-%m-%d}",
                    every_s=30.0,
                    record=Notice(
                        symbol=Const("finnhub/economic"),
                        kind=_CALENDAR,
                        id=Join(("country?", "event?", "time?"), "|"),
                        headline="event?",
                        subject="country?",
                        unit="unit?",
                        actual="actual?",
                        forecast="estimate?",
                        previous="prev?",
                        importance=Choice("impact?", dict(_IMPACTS)),
                        effective=Iso("time?"),
                        each="economicCalendar?",
                    ),
                ),
            ),
            instruments=(
                Instruments(
                    given=({"symbol": "finnhub/economic", "name": "Economic calendar, Finnhub"},),
                    lines=(Line(symbol="symbol", index=Index(name="name", provider=Const("Finnhub"))),),
                ),
            ),
        ),
    ),
    notes=(
        "An entry has no id: country, event and time are its id, so that one whose time is moved is a new entry.",
        "The zone of times is not told: they are taken as UTC.",
        "Values are told again when they change: an actual value comes as a revision of the entry.",
    ),
)
FINNHUB_CALENDAR: Final = compile_source(SPEC)
