"""Exact fractions of decimals, and decimals of fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from alphapulse.domain.decimal import EXPONENT_MAX, EXPONENT_MIN, INT64_MAX, INT64_MIN, ExactDecimal

DIGITS: Final = 9
"""Digits after the point where a fraction is no decimal number."""


def fraction(value: ExactDecimal) -> Fraction:
    """The same number."""
    return Fraction(value.mantissa) * Fraction(10) ** value.exponent


def decimal(value: Fraction, digits: int = DIGITS) -> ExactDecimal:
    """The same number where it is a decimal that fits, otherwise the next one up with as many digits after the point as fit, at most `digits`:
    a cost is never understated. OverflowError beyond 64 bits."""
    exact = _exact(value)
    if exact is not None:
        return exact
    for places in range(digits, -1, -1):
        mantissa = math.ceil(value * 10**places)
        if INT64_MIN <= mantissa <= INT64_MAX:
            return ExactDecimal(mantissa, -places).normalised()
    raise OverflowError(f"{float(value)} needs more than 64 bits")


def _exact(value: Fraction) -> ExactDecimal | None:
    """The decimal of a fraction whose denominator has no factor but 2 and 5, where it fits."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > -EXPONENT_MIN:
        return None
    mantissa, exponent = value.numerator * 10**places // value.denominator, -places
    while mantissa and mantissa % 10 == 0 and exponent < EXPONENT_MAX:
        mantissa, exponent = mantissa // 10, exponent + 1
    return ExactDecimal(mantissa, exponent) if INT64_MIN <= mantissa <= INT64_MAX else None
