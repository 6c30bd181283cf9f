"""From amounts in smallest units to prices and sizes: integers all the way, rounded once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from alphapulse.domain.errors import InvalidArgument
from collector_service.amounts import Amount
from collector_service.chain.events import Swap

PRICE_DIGITS: Final = 18
"""Significant digits of a price."""
_EXPONENTS: Final = range(-100, 101)
BUYER: Final = 1
SELLER: Final = 2


class Rounding(Enum):
    """Where what is behind the last digit goes."""

    HALF_EVEN = "half even"
    DOWN = "down"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A swap as a trade of the base token."""

    price: Amount
    size: Amount
    aggressor: int


def exchange(swap: Swap, base: int, decimals: tuple[int, int]) -> Exchange | None:
    """The trade that a swap is. `base` (0 or 1) says which token is bought and sold, `decimals` are those of the two, as the chain told them.

    The size is exact. The price is the one quotient the platform makes of a source's numbers: quote by base, rounded half-even to 18
    significant digits; whoever needs more has the amounts of the log itself. None where nothing was exchanged for something: a flash swap that
    was paid back in its own token, or dust that rounded to nothing. Raises InvalidArgument for a price beyond 10**±100.
    """
    into = (swap.amount0, swap.amount1)
    bought, paid = -into[base], into[1 - base]
    if bought == 0 or paid == 0 or (bought > 0) != (paid > 0):
        return None
    size, cost = abs(bought), abs(paid)
    price = quotient(cost, size, decimals[base] - decimals[1 - base])
    return Exchange(price, (size, -decimals[base]), BUYER if bought > 0 else SELLER)


def quotient(numerator: int, denominator: int, exponent: int, rounding: Rounding = Rounding.HALF_EVEN) -> Amount:
    """numerator / denominator x 10**exponent, rounded to 18 significant digits, without trailing zeros; both above 0. Integers all the way.
    Raises InvalidArgument, rule `price-range`."""
    # One of two neighbouring powers gives 18 digits; the number of digits of both says which two.
    shift = PRICE_DIGITS - (len(str(numerator)) - len(str(denominator)))
    digits = _rounded(numerator, denominator, shift, rounding)
    if digits >= 10**PRICE_DIGITS:
        shift -= 1
        digits = _rounded(numerator, denominator, shift, rounding)
    if digits == 10**PRICE_DIGITS:  # 999...9.5 became one digit longer
        digits, shift = digits // 10, shift - 1
    found = exponent - shift
    while digits % 10 == 0:
        digits, found = digits // 10, found + 1
    if found not in _EXPONENTS:
        raise InvalidArgument.field("price", f"{digits}e{found}", "price-range", "an exponent from -100 to 100")
    return digits, found


def _rounded(numerator: int, denominator: int, shift: int, rounding: Rounding) -> int:
    if shift >= 0:
        numerator *= 10**shift
    else:
        denominator *= 10**-shift
    whole, rest = divmod(numerator, denominator)
    if rounding is Rounding.DOWN:
        return whole
    if rounding is Rounding.UP:
        return whole + (rest > 0)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))
