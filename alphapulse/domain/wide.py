"""Amounts of up to 256 bits, as tokens of chains have them: exact, as four words of 64 bits where a row holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from alphapulse.domain.decimal import EXPONENT_MAX, EXPONENT_MIN, ExactDecimal, parse_unbounded
from alphapulse.domain.errors import InvalidArgument

MANTISSA_BITS: Final = 256
_NEEDED: Final = f"the mantissa needs {MANTISSA_BITS} unsigned bits, the exponent {EXPONENT_MIN} to {EXPONENT_MAX}"
_WORD_BITS: Final = 64
_WORD: Final = (1 << _WORD_BITS) - 1

Words = tuple[int, int, int, int]
"""A mantissa of 256 bits, the lowest 64 first."""


@dataclass(frozen=True, slots=True, eq=False)
class WideDecimal(ExactDecimal):
    """An exact decimal, not below zero, whose mantissa has up to 256 bits: what an amount of a trade is where 64 bits do not hold it. Compares
    with other exact decimals by value."""

    def __post_init__(self) -> None:
        if not is_wide_enough(self.mantissa, self.exponent):
            shown = f"{self.mantissa:#x}e{self.exponent}"
            raise InvalidArgument.field("decimal", shown, "decimal-oversize", _NEEDED)

    @classmethod
    def parse(cls, text: str, field: str = "decimal") -> Self:
        """Exactly the number in `text`. Raises InvalidArgument as `ExactDecimal.parse`, for what has more than 256 bits or is below zero."""
        mantissa, exponent = parse_unbounded(text, field)
        if is_wide_enough(mantissa, exponent):
            return cls(mantissa, exponent)
        without_zeros = widened(mantissa, exponent)
        if without_zeros is None:
            raise InvalidArgument.field(field, text, "decimal-oversize", _NEEDED)
        return cls(*without_zeros)


def is_wide_enough(mantissa: int, exponent: int) -> bool:
    """Whether a WideDecimal holds the number."""
    return 0 <= mantissa < 1 << MANTISSA_BITS and EXPONENT_MIN <= exponent <= EXPONENT_MAX


def widened(mantissa: int, exponent: int) -> tuple[int, int] | None:
    """The same number without trailing zeros in the mantissa; None where a WideDecimal does not hold even that."""
    while mantissa and mantissa % 10 == 0 and exponent < EXPONENT_MAX:
        mantissa, exponent = mantissa // 10, exponent + 1
    return (mantissa, exponent) if is_wide_enough(mantissa, exponent) else None


def words_of(mantissa: int) -> Words:
    """A mantissa of 256 bits in words. Raises ValueError for one that has more, or is below zero."""
    if not 0 <= mantissa < 1 << MANTISSA_BITS:
        raise ValueError(f"a mantissa of {MANTISSA_BITS} bits, not {mantissa:#x}")
    one, two, three, four = ((mantissa >> shift) & _WORD for shift in range(0, MANTISSA_BITS, _WORD_BITS))
    return one, two, three, four


def mantissa_of(words: Sequence[int]) -> int:
    """The mantissa that words hold, the lowest first."""
    return sum(int(word) << _WORD_BITS * place for place, word in enumerate(words))
