"""The reference rates of the Federal Reserve Bank of New York, SOFR and EFFR among them: one a business day, published on the next."""

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
    Poll,
    SourceKind,
    SourceSpec,
    Statistic,
    Verification,
)

_RATE: Final = 6
_ECONOMIC_FIGURE: Final = 9
_RATES: Final = {
    "SOFR": ("secured", "Secured overnight financing rate"),
    "BGCR": ("secured", "Broad general collateral rate"),
    "TGCR": ("secured", "Tri-party general collateral rate"),
    "EFFR": ("unsecured", "Effective federal funds rate"),
    "OBFR": ("unsecured", "Overnight bank funding rate"),
}
_AVERAGES: Final = {f"average{days}day": f"SOFR, compounded average of {days} days, percent" for days in (30, 90, 180)}
_NAMES: Final = {
    **{name: f"{title}, percent" for name, (_, title) in _RATES.items()},
    **{f"{name}.volumeInBillions": f"{title}, volume, billions of dollars" for name, (_, title) in _RATES.items()},
    "EFFR.targetRateFrom": "Federal funds, lower limit of the target range, percent",
    "EFFR.targetRateTo": "Federal funds, upper limit of the target range, percent",
    **{f"SOFRAI.{field}": title for field, title in _AVERAGES.items()},
    "SOFRAI.index": "SOFR index, compounded, 2 April 2018 = 1",
}
_KINDS: Final = {
    **dict.fromkeys(("percentRate", "targetRateFrom", "targetRateTo", *_AVERAGES), _RATE),
    **dict.fromkeys(("volumeInBillions", "index"), _ECONOMIC_FIGURE),
}
_FIGURES: Final = tuple(
    Statistic(
        symbol="type" if field == "percentRate" else Join(("type", Const(f".{field}"))),
        kind=kind,
        value=f"{field}?",
        absent=("NA",),
        effective=Iso("effectiveDate"),
        each="refRates",
        repeats=True,
    )
    for field, kind in _KINDS.items()
)

SPEC: Final = SourceSpec(
    name="NYFED",
    title="Federal Reserve Bank of New York, reference rates",
    kind=SourceKind.ALTERNATIVE,
    documentation="https://markets.newyorkfed.org/static/docs/markets-api.html",
    read_on="2026-11-30",
    terms="Free; use of the reference rates is subject to the Bank's terms of use: it has to be named, and no endorsement claimed.",
    verified=frozenset({Verification.FIXTURE}),
    endpoints=Endpoints("", "https://markets.newyorkfed.org"),
    limits=Limits(1000, 1.0, 0.5),
    heartbeat=Heartbeat(stale_after_s=2 * 24 * 3600.0),
    dialects=(
        Dialect(
            name="Markets Data API",
            polls=tuple(
                Poll(path=f"/api/rates/{market}/{name.lower()}/last/5.json", every_s=300.0, record=_FIGURES)
                for name, (market, _) in {**_RATES, "SOFRAI": ("secured", "")}.items()
            ),
            instruments=(
                Instruments(
                    given=tuple({"symbol": symbol, "name": name} for symbol, name in _NAMES.items()),
                    lines=(
                        Line(
                            symbol="symbol",
                            quote=Const("USD"),
                            index=Index(name="name", provider=Const("Federal Reserve Bank of New York")),
                        ),
                    ),
                ),
            ),
        ),
    ),
    notes=(
        "Secured rates are published at about 8:00, unsecured ones at about 9:00 New York time, and may be revised at about 14:30.",
        "The answer tells no time of publication: what is revised is another figure of the same effective time.",
    ),
)
NYFED: Final = compile_source(SPEC)
