"""What is wrong with a predicate, gathered as it is found."""

from __future__ import annotations

from typing import Final

from alphapulse.domain.violations import FieldViolation

MAX_REPORTED: Final = 32
"""Violations listed of one predicate; a text of rubbish is not answered by a page of it."""


class Findings:
    """Violations of one predicate, in the order found; a rule at one place is reported once."""

    __slots__ = ("field", "found")

    def __init__(self, field: str) -> None:
        self.field = field
        self.found: list[FieldViolation] = []

    @property
    def is_full(self) -> bool:
        """Whether no more is told."""
        return len(self.found) >= MAX_REPORTED

    def object_to(self, value: str, rule: str, description: str) -> None:
        """One broken rule."""
        violation = FieldViolation(self.field, value, rule, description)
        if not self.is_full and violation not in self.found:
            self.found.append(violation)
