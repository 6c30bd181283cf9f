"""DTI, ISO 24165: nine digits or consonants that name a digital token or a ledger.

The last is a check character by ISO/IEC 7064 MOD 31,30 over these thirty characters. The standard is not public: the rule
was found by, and agrees with, 108 of 109 identifiers of the public DTI registry. The one it does not fit is Bitcoin's own,
registered with an X where the rule gives T: the registered spelling is the right one, and T is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier, length_rule
from alphapulse.domain.identifiers.check_digits import mod_31_30
from alphapulse.domain.identifiers.scheme import Scheme

_FORMAT: Final = re.compile(r"[1-9B-DF-HJ-NP-TV-XZ][0-9B-DF-HJ-NP-TV-XZ]{8}")
_AS_REGISTERED: Final = {"4H95J0R2": "X"}


@dataclass(frozen=True, slots=True)
class Dti(Identifier):
    """A Digital Token Identifier."""

    scheme: ClassVar[Scheme] = Scheme.DTI
    max_length: ClassVar[int] = 9

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length, characters, check character."""
        if len(text) != 9:
            return length_rule(Scheme.DTI, 9, text)
        if _FORMAT.fullmatch(text) is None:
            return BrokenRule("dti-format", "a DTI is nine digits or consonants (no Y), and does not start with 0")
        expected = _AS_REGISTERED.get(text[:8]) or mod_31_30(text[:8])
        if text[8] != expected:
            return BrokenRule("dti-check-character", f"the check character is {text[8]}, the others give {expected}")
        return None
