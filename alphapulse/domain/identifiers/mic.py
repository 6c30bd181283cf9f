"""MIC, ISO 10383: four letters or digits that name a venue or a segment of one.

The format says nothing about existence: which MICs exist is data of the venue registry, tested with `require_member`.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import ClassVar, Final

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.identifiers.base import BrokenRule, Identifier, length_rule
from alphapulse.domain.identifiers.scheme import Scheme

_FORMAT: Final = re.compile(r"[0-9A-Z]{4}")


@dataclass(frozen=True, slots=True)
class Mic(Identifier):
    """A Market Identifier Code."""

    scheme: ClassVar[Scheme] = Scheme.MIC
    max_length: ClassVar[int] = 4

    @classmethod
    def broken_rule(cls, text: str) -> BrokenRule | None:
        """Length and characters."""
        if len(text) != 4:
            return length_rule(Scheme.MIC, 4, text)
        if _FORMAT.fullmatch(text) is None:
            return BrokenRule("mic-format", "a MIC is four letters or digits")
        return None

    def require_member(self, known: Container[str], field: str = "mic") -> None:
        """InvalidArgument (rule mic-unknown) unless `known` holds the code."""
        if self.value not in known:
            raise InvalidArgument.field(field, self.value, "mic-unknown", f"{self.value} is no MIC of ISO 10383")
