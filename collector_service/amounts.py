"""From a venue's number text to mantissa and exponent, exactly and never through a float."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from alphapulse.domain.decimal import INT64_MAX, INT64_MIN, parse_unbounded
from alphapulse.domain.errors import InvalidArgument

Amount = tuple[int, int]
"""(mantissa, exponent): the number mantissa x 10**exponent, its trailing zeros kept."""

FINEST: Final = -36
"""Exponents below are refused: no venue quotes them, and prices of a book share this grid."""
_COARSEST: Final = 36
_FAST_DIGITS: Final = 18
_GRID: Final[tuple[int, ...]] = tuple(10**power for power in range(_COARSEST - FINEST + 1))


def read_amount(text: str) -> Amount:
    """The number in a venue's text (`0.00100000`, `1e-8`), not negative.

    Raises InvalidArgument, rule `amount-format`, `amount-negative` or `amount-range`.
    """
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if len(digits) <= _FAST_DIGITS and digits.isdecimal() and digits.isascii():
        return int(digits), -len(fraction)
    mantissa, exponent = parse_unbounded(text, "amount")
    if mantissa < 0:
        raise InvalidArgument.field("amount", text, "amount-negative", "a price or size is not below zero here")
    if not FINEST <= exponent <= _COARSEST:
        raise InvalidArgument.field("amount", text, "amount-range", f"the exponent must be {FINEST} to {_COARSEST}")
    return mantissa, exponent


parse_amount: Final = lru_cache(maxsize=1 << 16)(read_amount)
"""`read_amount`, its answers remembered: prices and sizes repeat."""


def price_key(amount: Amount) -> int:
    """The price on the grid all prices of a book share: equal for equal numbers, however they are written."""
    return amount[0] * _GRID[amount[1] - FINEST]


def fitted(amount: Amount) -> Amount | None:
    """The amount in 64 bits, trailing zeros dropped where that is what it takes; None where it does not fit (G8)."""
    mantissa, exponent = amount
    while mantissa > INT64_MAX and mantissa % 10 == 0:
        mantissa, exponent = mantissa // 10, exponent + 1
    return (mantissa, exponent) if INT64_MIN <= mantissa <= INT64_MAX else None


def at_one_exponent(first: Amount, second: Amount) -> tuple[int, int, int] | None:
    """Both mantissas at one exponent, and the exponent; None where that does not fit 64 bits."""
    exponent = min(first[1], second[1])
    one, two = first[0] * _GRID[first[1] - exponent], second[0] * _GRID[second[1] - exponent]
    while (one > INT64_MAX or two > INT64_MAX) and one % 10 == 0 and two % 10 == 0:
        one, two, exponent = one // 10, two // 10, exponent + 1
    return (one, two, exponent) if one <= INT64_MAX and two <= INT64_MAX else None
