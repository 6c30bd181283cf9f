"""The score of a venue, with its parts: pure arithmetic on exact fractions.

Each part is 0 to 100, the best venue has 100:

- fees: 100 x 10 / (10 + basis points above the lowest fee), so 10 basis points more halve it; a rebate is a fee below zero;
- liquidity: 100 x the venue's / the largest; by depth where any venue's depth was measured, else by volume in 24 hours;
- fill: 100 x the shortest time from order to fill / the venue's;
- latency: 100 x the shortest round trip / the venue's.

What was not measured scores 0 and is named: a venue nobody measured is never the best for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

PARTS: Final = ("fees", "liquidity", "fill", "latency")
FEE_HALVES: Final = Fraction(10)
"""Basis points above the lowest fee at which the part is halved."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part weighs; together 100."""

    fees: Fraction = Fraction(30)
    liquidity: Fraction = Fraction(40)
    fill: Fraction = Fraction(20)
    latency: Fraction = Fraction(10)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A listing and what is known of it and its venue; None is not known."""

    code: str
    listing_id: str
    fee: Fraction | None
    depth: Fraction | None = None
    volume: Fraction | None = None
    fill: Fraction | None = None
    latency: Fraction | None = None
    measured: str = ""
    """When the venue was measured, for the reader."""
    fee_source: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its score."""

    candidate: Candidate
    score: Fraction
    parts: dict[str, Fraction]
    missing: tuple[str, ...]
    why: tuple[str, ...] = field(default=())


def liquidity_measure(candidates: Sequence[Candidate]) -> str:
    """depth_usd where any depth was measured, so that all are compared by one measure; else volume_24h_usd."""
    return "depth_usd" if any(one.depth is not None for one in candidates) else "volume_24h_usd"


def rank(candidates: Sequence[Candidate], weights: Weights) -> list[Scored]:
    """The candidates, the best first; equal ones by code and listing."""
    by_depth = liquidity_measure(candidates) == "depth_usd"
    figures: dict[str, Callable[[Candidate], Fraction | None]] = {
        "fees": lambda one: one.fee,
        "liquidity": lambda one: one.depth if by_depth else one.volume,
        "fill": lambda one: one.fill,
        "latency": lambda one: one.latency,
    }
    known = {part: [v for one in candidates if (v := figure(one)) is not None] for part, figure in figures.items()}
    best = {part: max(v) if part == "liquidity" else min(v) for part, v in known.items() if v}
    scored = []
    for one in candidates:
        values = {part: figure(one) for part, figure in figures.items()}
        parts = {part: _part(part, value, best.get(part)) for part, value in values.items()}
        score = sum((parts[part] * getattr(weights, part) for part in PARTS), Fraction(0)) / 100
        missing = tuple(part for part in PARTS if values[part] is None)
        scored.append(Scored(one, score, parts, missing, _why(one, values, best, "depth" if by_depth else "volume")))
    return sorted(scored, key=lambda one: (-one.score, one.candidate.code, one.candidate.listing_id))


def _part(part: str, value: Fraction | None, best: Fraction | None) -> Fraction:
    if value is None or best is None:
        return Fraction(0)
    if part == "fees":
        return 100 * FEE_HALVES / (FEE_HALVES + value - best)
    if part == "liquidity":
        return 100 * value / best
    return 100 * best / value


def _why(
    one: Candidate, values: dict[str, Fraction | None], best: dict[str, Fraction], liquidity: str
) -> tuple[str, ...]:
    fee = values["fees"]
    found = [
        f"fees: {_text(fee)} bps ({one.fee_source}); the lowest is {_text(best['fees'])}"
        if fee is not None
        else f"fees: not known, {one.fee_source}"
    ]
    units = {"liquidity": f"USD {liquidity}", "fill": "ms to fill", "latency": "ms round trip"}
    for part, unit in units.items():
        value = values[part]
        found.append(
            f"{part}: {_text(value)} {unit}, measured {one.measured}; the best is {_text(best[part])}"
            if value is not None
            else f"{part}: not measured"
        )
    return tuple(found)


def _text(value: Fraction) -> str:
    return f"{float(value):.12g}"
