"""The Bank of Canada: its daily average exchange rates, its target for the overnight rate and its bank rate."""

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
    Match,
    Poll,
    SourceKind,
    SourceSpec,
    Statistic,
    Verification,
)

_INDEX_PRICE: Final = 3
_RATE: Final = 6
_CURRENCIES: Final = (
    "AUD", "BRL", "CHF", "CNY", "EUR", "GBP", "HKD", "IDR", "INR", "JPY", "KRW", "MXN", "NOK", "NZD", "PEN", "SAR", "SEK", "SGD", "TRY",
    "TWD", "USD", "ZAR",
)  # fmt: skip
_PAIRS: Final = tuple(f"FX{code}CAD" for code in _CURRENCIES)
_RATES: Final = {"V39079": "Target for the overnight rate, percent", "V39078": "Bank rate, percent"}


def _figures(names: tuple[str, ...], kind: int) -> tuple[Statistic, ...]:
    return tuple(
        Statistic(
            symbol=Const(name),
            kind=kind,
            value=f"{name}.v?",
            absent=("NA",),
            effective=Iso("d"),
            each="observations",
            repeats=True,
        )
        for name in names
    )


SPEC: Final = SourceSpec(
    name="BANK_OF_CANADA",
    title="Bank of Canada, exchange rates and policy rate",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://www.bankofcanada.ca/valet/docs",
    read_on="2026-11-30",
    terms="The Bank has to be named as the source; commercial use needs its written permission: see https://www.bankofcanada.ca/terms/.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://www.bankofcanada.ca"),
    limits=Limits(1000, 1.0, 0.2),
    heartbeat=Heartbeat(stale_after_s=2 * 24 * 3600.0),
    dialects=(
        Dialect(
            name="Valet",
            polls=(
                Poll(
                    path="/valet/observations/group/FX_RATES_DAILY/json?start_date={utc-10d:%Y-%m-%d}",
                    every_s=900.0,
                    record=_figures(_PAIRS, _INDEX_PRICE),
                ),
                Poll(
                    path=f"/valet/observations/{','.join(_RATES)}/json?start_date={{utc-10d:%Y-%m-%d}}",
                    every_s=900.0,
                    record=_figures(tuple(_RATES), _RATE),
                ),
            ),
            instruments=(
                Instruments(
                    given=tuple({"symbol": name} for name in _PAIRS),
                    lines=(Line(symbol="symbol", base=Match("symbol", "FX([A-Z]{3})CAD"), quote=Const("CAD")),),
                ),
                Instruments(
                    given=tuple({"symbol": symbol, "name": name} for symbol, name in _RATES.items()),
                    lines=(
                        Line(
                            symbol="symbol",
                            quote=Const("CAD"),
                            index=Index(name="name", provider=Const("Bank of Canada")),
                        ),
                    ),
                ),
            ),
        ),
    ),
    notes=(
        "An exchange rate is an average of its day and is published by 16:30 Eastern Time; the answer tells the day alone.",
        "On a holiday a series is missing, or has a code in the place of its value.",
    ),
)
BANK_OF_CANADA: Final = compile_source(SPEC)
