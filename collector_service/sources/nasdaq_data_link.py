"""Nasdaq Data Link, once Quandl: figures of its free tables, the price of OPEC's basket and the statistics of the Bitcoin chain."""

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
    ("OPEC", "USD", "OPEC reference basket, dollars a barrel"),
    ("MKPRU", "USD", "Bitcoin, market price, dollars"),
    ("ETRVU", "USD", "Bitcoin, estimated value of transactions, dollars a day"),
    ("NTRAN", _NONE, "Bitcoin, transactions a day"),
    ("HRATE", _NONE, "Bitcoin, hash rate"),
    ("DIFF", _NONE, "Bitcoin, difficulty"),
    ("TOTBC", _NONE, "Bitcoin, coins in circulation"),
    ("MIREV", "USD", "Bitcoin, revenue of miners, dollars a day"),
)
_PARAMETERS: Final = "date.gte={utc-30d:%Y-%m-%d}&qopts.columns=date,value&api_key={secret:NASDAQ_DATA_LINK_API_KEY}"


def _figure(symbol: Const | Requested) -> Statistic:
    return Statistic(
        symbol=symbol,
        kind=_ECONOMIC_FIGURE,
        value="[1]?",
        effective=Iso("[0]"),
        each="datatable.data",
        repeats=True,
    )


SPEC: Final = SourceSpec(
    name="NASDAQ_DATA_LINK",
    title="Nasdaq Data Link",
    kind=SourceKind.TRADITIONAL,
    documentation="https://docs.data.nasdaq.com/docs/in-depth-usage-1",
    read_on="2026-11-30",
    terms="Free tables with a key, under the terms of each publisher; the source has to be named.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://data.nasdaq.com"),
    # With a key 2,000 requests in ten minutes.
    limits=Limits(1000, 1.0, 1.0),
    heartbeat=Heartbeat(stale_after_s=2 * 24 * 3600.0),
    aliases=("QUANDL",),
    dialects=(
        Dialect(
            name="tables",
            polls=(
                Poll(
                    path=f"/api/v3/datatables/QDL/OPEC.json?{_PARAMETERS}",
                    every_s=3600.0,
                    record=_figure(Const("OPEC")),
                ),
                Poll(
                    path=f"/api/v3/datatables/QDL/BCHAIN.json?code={{symbol}}&{_PARAMETERS}",
                    every_s=3600.0,
                    record=_figure(Requested()),
                ),
            ),
            instruments=(
                Instruments(
                    given=tuple({"symbol": one, "currency": money, "name": name} for one, money, name in _SERIES),
                    lines=(
                        Line(
                            symbol="symbol",
                            quote="currency",
                            index=Index(name="name", provider=Const("Nasdaq Data Link")),
                        ),
                    ),
                ),
            ),
        ),
    ),
    notes=(
        "A figure's time is the day it is of; when it was published is not told.",
        "Of the chain's table every series is asked for, and of OPEC's too, which that table answers with no lines.",
        "Figures older than thirty days are not followed, nor are their revisions.",
    ),
)
NASDAQ_DATA_LINK: Final = compile_source(SPEC)
