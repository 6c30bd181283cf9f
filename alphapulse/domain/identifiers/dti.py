"""DTI, ISO 24165: nine digits or consonants that name a digital token or a ledger.

The last character is a check character; its algorithm is not public without the standard, so the format alone is
checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from alphapulse.domain.identifiers.base import BrokenRule, Identifier, length_rule
from alphapulse.domain.identifiers.scheme import Scheme

_FORMAT: Final = re.compile(r"[1-9B-DF-HJ-NP-TV-XZ][0-9B-DF-HJ-NP-TV-XZ]{8}")


@dataclass(frozen=True, slots=True)
class Dti(Identifier):
    """A Digital Token Identifier."""

    scheme: ClassVar[Scheme] = Scheme.DTI
    max_length: ClassVar[int] = 9

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length and characters."""
        if len(text) != 9:
            return length_rule(Scheme.DTI, 9, text)
        if _FORMAT.fullmatch(text) is None:
            return BrokenRule("dti-format", "a DTI is nine digits or consonants (no Y), and does not start with 0")
        return None
