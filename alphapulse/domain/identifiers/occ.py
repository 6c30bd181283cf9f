"""OCC option symbol, Option Symbology Initiative: 21 characters, `AAPL  240119C00100000`.

Root of up to six characters filled with spaces, expiry as yymmdd (20yy), C or P, strike in thousandths as eight digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier, length_rule
from alphapulse.domain.identifiers.scheme import Scheme

_FORMAT: Final = re.compile(r"(?=.{6}[0-9])[A-Z][A-Z0-9]{0,5} {0,5}[0-9]{6}[CP][0-9]{8}")


@dataclass(frozen=True, slots=True)
class OccSymbol(Identifier):
    """A listed US option series."""

    scheme: ClassVar[Scheme] = Scheme.OCC
    max_length: ClassVar[int] = 21

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length, layout, and a day that exists."""
        if len(text) != 21:
            return length_rule(Scheme.OCC, 21, text)
        if _FORMAT.fullmatch(text) is None:
            return BrokenRule(
                "occ-format", "an OCC symbol is a root of six, yymmdd, C or P, and eight digits of strike"
            )
        try:
            _expiry(text)
        except ValueError:
            return BrokenRule("occ-expiry", f"{text[6:12]} is no day (yymmdd)")
        return None

    @property
    def root(self) -> str:
        """The option root, without its filling spaces."""
        return self.value[:6].rstrip()

    @property
    def expiry(self) -> date:
        """The last trading day."""
        return _expiry(self.value)

    @property
    def is_call(self) -> bool:
        """Call or put."""
        return self.value[12] == "C"

    @property
    def strike_thousandths(self) -> int:
        """The strike price times 1000, exact."""
        return int(self.value[13:])


def _expiry(text: str) -> date:
    return date(2000 + int(text[6:8]), int(text[8:10]), int(text[10:12]))
