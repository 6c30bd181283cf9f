"""SEDOL, London Stock Exchange: six characters without vowels and a check digit.

Numbers given before 2004 are all digits; later ones start with a letter. Those that start with 9 and hold letters are
the user's own, not the exchange's, and are refused: register them under the scheme OWN."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier, length_rule
from alphapulse.domain.identifiers.check_digits import sedol_weighted
from alphapulse.domain.identifiers.scheme import Scheme

if TYPE_CHECKING:
    from alphapulse.domain.identifiers.isin import Isin

_FORMAT: Final = re.compile(r"[0-9B-DF-HJ-NP-TV-Z]{6}[0-9]")


@dataclass(frozen=True, slots=True)
class Sedol(Identifier):
    """A Stock Exchange Daily Official List number: an instrument in one country's market."""

    scheme: ClassVar[Scheme] = Scheme.SEDOL
    max_length: ClassVar[int] = 7

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length, characters, old or new style, check digit."""
        if len(text) != 7:
            return length_rule(Scheme.SEDOL, 7, text)
        if _FORMAT.fullmatch(text) is None:
            return BrokenRule("sedol-format", "a SEDOL is six digits or letters without vowels, and a digit")
        if text[0].isdigit() and not text.isdigit():
            return BrokenRule("sedol-style", "a SEDOL that starts with a digit has digits alone")
        expected = sedol_weighted(text[:6])
        if text[6] != "0123456789"[expected]:
            return BrokenRule(
                "sedol-check-digit", f"the check digit is {text[6]}, the other characters give {expected}"
            )
        return None

    def isin(self, country: str = "GB") -> Isin:
        """The ISIN that contains this number after `00`. Raises InvalidArgument for an unknown prefix."""
        from alphapulse.domain.identifiers.isin import Isin  # the two name each other

        return Isin.from_nsin(country, f"00{self.value}")
