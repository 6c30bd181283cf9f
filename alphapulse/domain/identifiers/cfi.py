"""CFI, ISO 10962: six letters; the first is the category, the second the group, four attributes (X: not applicable).

Category and group are checked against ISO 10962:2021; attributes for being letters alone, because their meaning depends
on the group and grows with each edition."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier, length_rule
from alphapulse.domain.identifiers.scheme import Scheme

_FORMAT: Final = re.compile(r"[A-Z]{6}")
GROUPS: Final = {
    "E": "SPCFLDYMX",  # equities
    "C": "IHBESFPMX",  # collective investment vehicles
    "D": "BCWTSEGANDMYX",  # debt
    "R": "ASPWFDMX",  # entitlements
    "O": "CPMX",  # listed options
    "F": "FCX",  # futures
    "S": "RTECFMX",  # swaps
    "H": "RTECFMX",  # options that are not listed, complex
    "I": "FTPX",  # spot
    "J": "EFCRTX",  # forwards
    "K": "RTECFYMX",  # strategies
    "L": "LRSX",  # financing
    "T": "CTRIBDMX",  # referential instruments
    "M": "CMX",  # others
}


@dataclass(frozen=True, slots=True)
class Cfi(Identifier):
    """A Classification of Financial Instruments code: what kind of thing it is, not which."""

    scheme: ClassVar[Scheme] = Scheme.CFI
    max_length: ClassVar[int] = 6

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length, letters, category, group."""
        if len(text) != 6:
            return length_rule(Scheme.CFI, 6, text)
        if _FORMAT.fullmatch(text) is None:
            return BrokenRule("cfi-format", "a CFI is six letters")
        if text[0] not in GROUPS:
            return BrokenRule("cfi-category", f"{text[0]} is no category of ISO 10962")
        if text[1] not in GROUPS[text[0]]:
            return BrokenRule("cfi-group", f"{text[1]} is no group of category {text[0]} of ISO 10962")
        return None

    @staticmethod
    def agree(one: str, other: str) -> bool:
        """Whether two codes can be of one instrument: of one category, and but for letters that say nothing (X) of one group and with the
        same attributes."""
        return one[:1] == other[:1] and all(a == b or "X" in (a, b) for a, b in zip(one[1:], other[1:], strict=True))

    @property
    def category(self) -> str:
        """The first letter."""
        return self.value[0]

    @property
    def group(self) -> str:
        """The second letter."""
        return self.value[1]
