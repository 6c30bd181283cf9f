"""Units of prices and values: products of powers of symbols, such as USD, USD/EUR, USD/barrel.

    unit = "1" | plain | symbol { ("*" | "/") symbol }
    symbol = a letter, then letters, digits, _ and .; at most 32 characters
    plain = ratio | bps | percent | % | rate | vol | correlation      numbers without a unit, whatever their scale

`points` is the unit of an index: the level is a matter of definition, so a formula may give it from anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Self

PLAIN: Final = frozenset({"1", "ratio", "bps", "percent", "%", "rate", "vol", "correlation"})
"""Names of numbers without a unit."""
POINTS: Final = "points"
"""The unit of an index."""
UNIT_RULE: Final = "such as USD, USD/EUR, ratio, bps, percent, vol, points or 1: symbols joined by * and /"
_SYMBOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,31}")
_LONGEST: Final = 128


@dataclass(frozen=True, slots=True)
class Unit:
    """A product of powers. Equal when they are, in whatever order they were written."""

    powers: tuple[tuple[str, Fraction], ...] = ()
    """(symbol, exponent) in order of symbol, no exponent 0. Empty: a plain number."""

    @classmethod
    def of(cls, powers: Mapping[str, Fraction] | Iterable[tuple[str, Fraction]]) -> Self:
        """From symbols and exponents, in any order."""
        return cls(tuple(sorted((symbol, power) for symbol, power in dict(powers).items() if power)))

    @classmethod
    def symbol(cls, name: str) -> Self:
        """One symbol, such as a currency."""
        return cls(((name, Fraction(1)),))

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text. ValueError for what is no unit."""
        if text in PLAIN:
            return cls()
        if len(text) > _LONGEST:
            raise ValueError(f"a unit has at most {_LONGEST} characters")
        parts = re.split(r"([*/])", text)
        powers: dict[str, Fraction] = {}
        for at in range(0, len(parts), 2):
            symbol, up = parts[at].strip(), at == 0 or parts[at - 1] == "*"
            if symbol == "1" and at == 0 and len(parts) > 1:
                continue
            if _SYMBOL.fullmatch(symbol) is None or symbol in PLAIN:
                raise ValueError(f"{text!r} is no unit {UNIT_RULE}")
            powers[symbol] = powers.get(symbol, Fraction(0)) + (1 if up else -1)
        return cls.of(powers)

    def times(self, other: Unit, power: Fraction | int = 1) -> Unit:
        """This times a power of the other."""
        powers = dict(self.powers)
        for symbol, exponent in other.powers:
            powers[symbol] = powers.get(symbol, Fraction(0)) + exponent * power
        return Unit.of(powers)

    def to(self, power: Fraction) -> Unit:
        """A power of this."""
        return Unit.of({symbol: exponent * power for symbol, exponent in self.powers})

    @property
    def is_price(self) -> bool:
        """Whether it can be what something costs, or a plain number: at most one symbol above the line, no powers."""
        above = [power for _, power in self.powers if power > 0]
        return len(above) <= 1 and all(abs(power) == 1 for _, power in self.powers)

    def __str__(self) -> str:
        above = "*".join(_power(symbol, power) for symbol, power in self.powers if power > 0)
        below = "".join("/" + _power(symbol, -power) for symbol, power in self.powers if power < 0)
        return (above or "1") + below if self.powers else "a plain number"


ONE: Final = Unit()
"""A plain number."""


def _power(symbol: str, power: Fraction) -> str:
    return symbol if power == 1 else f"{symbol}^{power}"
