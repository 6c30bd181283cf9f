"""LEI, ISO 17442: eighteen letters or digits and two check digits by ISO 7064 MOD 97-10.

The check digits run from 02 to 98. 00, 01 and 99 leave the same remainder as 97, 98 and 02, and are refused: one entity
has one spelling.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier, length_rule
from alphapulse.domain.identifiers.check_digits import mod_97
from alphapulse.domain.identifiers.scheme import Scheme

_FORMAT: Final = re.compile(r"[0-9A-Z]{18}[0-9]{2}")
_ALIASES: Final = frozenset({"00", "01", "99"})


@dataclass(frozen=True, slots=True)
class Lei(Identifier):
    """A Legal Entity Identifier: names an issuer, never an instrument."""

    scheme: ClassVar[Scheme] = Scheme.LEI
    max_length: ClassVar[int] = 20

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length, characters, check digits."""
        if len(text) != 20:
            return length_rule(Scheme.LEI, 20, text)
        if _FORMAT.fullmatch(text) is None:
            return BrokenRule("lei-format", "an LEI is eighteen letters or digits, and two digits")
        if mod_97(text) != 1 or text[18:] in _ALIASES:
            expected = 98 - mod_97(text[:18] + "00")
            return BrokenRule("lei-check-digits", f"the check digits are {text[18:]}, the others give {expected:02}")
        return None

    @property
    def issuing_unit(self) -> str:
        """The first four characters: the local operating unit (LOU) that gave it."""
        return self.value[:4]
