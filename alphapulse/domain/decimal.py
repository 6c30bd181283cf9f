"""Exact decimals (promise G8): mantissa x 10**exponent, from the venue's text to the strategy, never through a float.

The mantissa is a signed 64-bit integer and the exponent lies in -128..127, in the API's messages and in the records.
What does not fit is refused here with rule `decimal-oversize`; the collector then marks the record OVERSIZE.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import total_ordering
from typing import Final, Self

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.violations import FieldViolation

INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)
EXPONENT_MIN: Final = -128
EXPONENT_MAX: Final = 127
MAX_TEXT_LENGTH: Final = 128
_FORMAT: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,4}))?")


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class ExactDecimal:
    """mantissa x 10**exponent. Compared and hashed by value: 1.50 equals 1.5, yet each keeps its digits."""

    mantissa: int
    exponent: int = 0

    def __post_init__(self) -> None:
        broken = violation_of(self.mantissa, self.exponent)
        if broken is not None:
            raise InvalidArgument.of((broken,))

    @classmethod
    def parse(cls, text: str, field: str = "decimal") -> Self:
        """Exactly the number in `text` (`0.00100000`, `-3`, `1e-8`), trailing zeros kept in the exponent.

        Digits beyond 64 bits that are trailing zeros after the point are dropped, because the value stays exact. NaN,
        infinities, white space and thousands separators are refused: InvalidArgument names `field` and the rule
        (`decimal-format`, `decimal-length`, `decimal-oversize`).
        """
        mantissa, exponent = parse_unbounded(text, field)
        if not INT64_MIN <= mantissa <= INT64_MAX or not EXPONENT_MIN <= exponent <= EXPONENT_MAX:
            mantissa, exponent = _normal(mantissa, exponent)
            broken = violation_of(mantissa, exponent, field, text)
            if broken is not None:
                raise InvalidArgument.of((broken,))
        return cls(mantissa, exponent)

    @classmethod
    def of(cls, value: Decimal | int) -> Self:
        """From a Decimal or an int, exactly. Raises InvalidArgument for NaN, infinities and what does not fit."""
        return cls.parse(str(value))

    def normalised(self) -> Self:
        """The same value without trailing zeros in the mantissa; 0 has exponent 0."""
        mantissa, exponent = _normal(self.mantissa, self.exponent)
        return self if exponent > EXPONENT_MAX else type(self)(mantissa, exponent)

    def to_decimal(self) -> Decimal:
        """The same value as a Decimal, exact whatever the context."""
        digits = tuple(map(int, str(abs(self.mantissa))))
        return Decimal((int(self.mantissa < 0), digits, self.exponent))

    @property
    def is_positive(self) -> bool:
        """Above zero."""
        return self.mantissa > 0

    def is_multiple_of(self, step: ExactDecimal) -> bool:
        """Whether it lies on the grid of `step` (a tick or lot size above zero), exactly."""
        low = min(self.exponent, step.exponent)
        return _scaled(self, low) % _scaled(step, low) == 0

    def __str__(self) -> str:
        """Plain notation, no exponent, the digits as given: ExactDecimal(150, -2) is 1.50."""
        if self.exponent >= 0:
            return str(self.mantissa * 10**self.exponent)
        digits = str(abs(self.mantissa)).rjust(1 - self.exponent, "0")
        return f"{'-' if self.mantissa < 0 else ''}{digits[: self.exponent]}.{digits[self.exponent :]}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExactDecimal):
            return NotImplemented
        return _normal(self.mantissa, self.exponent) == _normal(other.mantissa, other.exponent)

    def __lt__(self, other: ExactDecimal) -> bool:
        low = min(self.exponent, other.exponent)
        return _scaled(self, low) < _scaled(other, low)

    def __hash__(self) -> int:
        return hash(_normal(self.mantissa, self.exponent))


def _scaled(value: ExactDecimal, exponent: int) -> int:
    """The mantissa at an exponent that is not above the value's own."""
    factor: int = 10 ** (value.exponent - exponent)
    return value.mantissa * factor


def parse_unbounded(text: str, field: str = "decimal") -> tuple[int, int]:
    """(mantissa, exponent) of a decimal text of any size up to 128 characters: for chain amounts of 256 bits.

    Raises InvalidArgument naming `field` for what is no decimal number.
    """
    if len(text) > MAX_TEXT_LENGTH:
        description = f"expected at most {MAX_TEXT_LENGTH} characters, got {len(text)}"
        raise InvalidArgument.field(field, text, "decimal-length", description)
    found = _FORMAT.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        raise InvalidArgument.field(field, text, "decimal-format", "expected a decimal number such as -12.50 or 1e-8")
    sign, whole, fraction, power = found.groups()
    digits = whole + (fraction or "")
    return int(f"{sign}{digits}"), int(power or 0) - len(fraction or "")


def violation_of(
    mantissa: int, exponent: int, field: str = "decimal", text: str | None = None
) -> FieldViolation | None:
    """The broken rule of a (mantissa, exponent) that does not fit, None for one that does."""
    if INT64_MIN <= mantissa <= INT64_MAX and EXPONENT_MIN <= exponent <= EXPONENT_MAX:
        return None
    shown = text if text is not None else f"{mantissa}e{exponent}"
    description = f"the mantissa needs 64 signed bits, the exponent {EXPONENT_MIN} to {EXPONENT_MAX}"
    return FieldViolation(field, shown, "decimal-oversize", description)


def _normal(mantissa: int, exponent: int) -> tuple[int, int]:
    """The one pair without trailing zeros in the mantissa; (0, 0) for zero."""
    if mantissa == 0:
        return 0, 0
    while mantissa % 10 == 0:
        mantissa //= 10
        exponent += 1
    return mantissa, exponent
