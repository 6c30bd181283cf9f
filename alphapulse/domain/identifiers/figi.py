"""FIGI, OMG Financial Instrument Global Identifier (ANSI X9.145): two consonants, G, eight consonants or digits, a
digit.

The prefixes BS, BM, GG, GB, GH, KY and VG are excluded, so that no FIGI can be taken for an ISIN. Check digit: each
character's value (A=10), every second doubled, the digits of all summed, filled up to the next ten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier, length_rule
from alphapulse.domain.identifiers.check_digits import double_add_double
from alphapulse.domain.identifiers.scheme import Scheme

EXCLUDED_PREFIXES: Final = frozenset({"BS", "BM", "GG", "GB", "GH", "KY", "VG"})
_FORMAT: Final = re.compile(r"[B-DF-HJ-NP-TV-Z]{2}G[0-9B-DF-HJ-NP-TV-Z]{8}[0-9]")


@dataclass(frozen=True, slots=True)
class Figi(Identifier):
    """A Financial Instrument Global Identifier; its level (share class, composite, listing) is not in the text."""

    scheme: ClassVar[Scheme] = Scheme.FIGI
    max_length: ClassVar[int] = 12

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length, characters, third letter, prefix, check digit."""
        if len(text) != 12:
            return length_rule(Scheme.FIGI, 12, text)
        if _FORMAT.fullmatch(text) is None:
            return BrokenRule("figi-format", "a FIGI is two consonants, G, eight consonants or digits, and a digit")
        if text[:2] in EXCLUDED_PREFIXES:
            return BrokenRule("figi-prefix", f"{text[:2]} is a prefix that the FIGI standard excludes")
        expected = double_add_double(text[:11])
        if text[11] != "0123456789"[expected]:
            return BrokenRule(
                "figi-check-digit", f"the check digit is {text[11]}, the other characters give {expected}"
            )
        return None

    @property
    def provider(self) -> str:
        """The certified provider's two letters: BB for Bloomberg, KK for Kaiko."""
        return self.value[:2]
