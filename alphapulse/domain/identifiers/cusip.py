"""CUSIP, ANSI X9.6: six characters of the issuer, two of the issue, a check digit.

`*`, `@` and `#` (values 36, 37, 38) stand in private placement numbers (PPN). A first letter marks a CINS number, given
to an issuer outside the US and Canada: it names the region (G: United Kingdom and its islands, N: Netherlands, Y: Asia);
I, O and Z name none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers.base import BrokenRule, Identifier, length_rule
from alphapulse.domain.identifiers.check_digits import double_add_double
from alphapulse.domain.identifiers.scheme import Scheme

if TYPE_CHECKING:
    from alphapulse.domain.identifiers.isin import Isin

_FORMAT: Final = re.compile(r"[0-9A-Z*@#]{8}[0-9]")
NO_REGION: Final = frozenset("IOZ")
"""First letters that are no region of a CINS number."""


@dataclass(frozen=True, slots=True)
class Cusip(Identifier):
    """A number of the Committee on Uniform Securities Identification Procedures."""

    scheme: ClassVar[Scheme] = Scheme.CUSIP
    max_length: ClassVar[int] = 9

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length, characters, region of a CINS number, check digit."""
        if len(text) != 9:
            return length_rule(Scheme.CUSIP, 9, text)
        if _FORMAT.fullmatch(text) is None:
            return BrokenRule("cusip-format", "a CUSIP is eight letters, digits, *, @ or #, and a digit")
        if text[0] in NO_REGION:
            return BrokenRule("cusip-cins", f"{text[0]} is no region of a CINS number; 1 and 0 are often misread so")
        expected = double_add_double(text[:8])
        if text[8] != "0123456789"[expected]:
            return BrokenRule(
                "cusip-check-digit", f"the check digit is {text[8]}, the other characters give {expected}"
            )
        return None

    @property
    def issuer(self) -> str:
        """The first six characters."""
        return self.value[:6]

    @property
    def issue(self) -> str:
        """Characters seven and eight."""
        return self.value[6:8]

    @property
    def is_cins(self) -> bool:
        """Whether the issuer is outside the US and Canada."""
        return self.value[0].isalpha()

    @property
    def is_private_placement(self) -> bool:
        """Whether it holds *, @ or #, and so has no ISIN."""
        return not self.value.isalnum()

    def isin(self, country: str = "US") -> Isin:
        """The ISIN that contains this number. InvalidArgument for a private placement or an unknown prefix."""
        from alphapulse.domain.identifiers.isin import Isin  # the two name each other

        if self.is_private_placement:
            raise InvalidArgument.field("cusip", self.value, "cusip-no-isin", "a private placement number has no ISIN")
        return Isin.from_nsin(country, self.value)
