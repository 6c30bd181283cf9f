"""ISIN, ISO 6166:2021: a prefix of two letters, nine characters given by the national agency (NSIN), a check digit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier, length_rule
from alphapulse.domain.identifiers.check_digits import isin_sum_is_right, luhn_expanded
from alphapulse.domain.identifiers.countries import ISIN_PREFIXES
from alphapulse.domain.identifiers.cusip import Cusip
from alphapulse.domain.identifiers.scheme import Scheme
from alphapulse.domain.identifiers.sedol import Sedol

_FORMAT: Final = re.compile(r"[A-Z]{2}[0-9A-Z]{9}[0-9]")
CUSIP_COUNTRIES: Final = frozenset({"US", "CA", "AN"})
CINS_COUNTRIES: Final = frozenset({"BM", "BS", "KY", "MH", "PA", "VG"})
"""Where CUSIP Global Services gives the ISINs, around a CINS number. Not LR, whose ISINs hold other numbers, too."""
SEDOL_COUNTRIES: Final = frozenset({"GB", "GG", "IE", "IM", "JE"})


@dataclass(frozen=True, slots=True)
class Isin(Identifier):
    """An International Securities Identification Number. A right check digit is no proof of identity: it misses some
    transpositions (AU0000XVGZA3 and AU0000VXGZA3 both pass)."""

    scheme: ClassVar[Scheme] = Scheme.ISIN
    max_length: ClassVar[int] = 12

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length, characters, prefix, check digit."""
        if len(text) == 12 and text[:2] in ISIN_PREFIXES and text[11] in "0123456789" and isin_sum_is_right(text):
            return None  # the look-up path; what follows only finds the rule to name
        if len(text) != 12:
            return length_rule(Scheme.ISIN, 12, text)
        if _FORMAT.fullmatch(text) is None:
            return BrokenRule("isin-format", "an ISIN is two letters, nine letters or digits, and a digit")
        if text[:2] not in ISIN_PREFIXES:
            return BrokenRule("isin-prefix", f"{text[:2]} is neither an ISO 3166 country nor an ISO 6166 prefix")
        expected = luhn_expanded(text[:11])
        return BrokenRule("isin-check-digit", f"the check digit is {text[11]}, the other characters give {expected}")

    @property
    def country(self) -> str:
        """The two-letter prefix: where the number was given, not where the issuer is at home."""
        return self.value[:2]

    @property
    def nsin(self) -> str:
        """The nine characters of the national agency."""
        return self.value[2:11]

    @property
    def check_digit(self) -> int:
        """The last digit."""
        return int(self.value[11])

    def cusip(self) -> Cusip | None:
        """The CUSIP inside a US, CA or AN ISIN, the CINS number inside a BM, BS, KY, MH, PA or VG one; None for other
        prefixes, or where the nine characters are not one."""
        found = number_inside(self.value)
        return Cusip(found[1]) if found is not None and found[0] is Scheme.CUSIP else None

    def sedol(self) -> Sedol | None:
        """The SEDOL inside a GB00 ISIN (also IE, GG, IM, JE); None where there is none."""
        found = number_inside(self.value)
        return Sedol(found[1]) if found is not None and found[0] is Scheme.SEDOL else None

    def wkn(self) -> str | None:
        """The Wertpapierkennnummer (six characters) inside a DE000 ISIN; None where there is none."""
        return self.nsin[3:] if self.country == "DE" and self.nsin.startswith("000") else None

    @classmethod
    def from_nsin(cls, country: str, nsin: str) -> Isin:
        """The ISIN of a prefix and nine characters, the check digit calculated. Raises InvalidArgument."""
        body = country + nsin
        valid = len(body) == 11 and _FORMAT.fullmatch(body + "0") is not None
        return cls(f"{body}{luhn_expanded(body)}" if valid else body)


def number_inside(isin: str) -> tuple[Scheme, str] | None:
    """The CUSIP, CINS number or SEDOL inside a sound ISIN; None where there is none."""
    country, nsin = isin[:2], isin[2:11]
    if country in CUSIP_COUNTRIES or (country in CINS_COUNTRIES and nsin[0].isalpha()):
        return (Scheme.CUSIP, nsin) if Cusip.broken_rule(nsin) is None else None
    if country in SEDOL_COUNTRIES and nsin.startswith("00") and Sedol.broken_rule(nsin[2:]) is None:
        return Scheme.SEDOL, nsin[2:]
    return None
