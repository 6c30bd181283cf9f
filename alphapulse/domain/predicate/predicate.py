"""A parsed predicate, and the functions that parse one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.predicate.findings import Findings
from alphapulse.domain.predicate.nodes import Node, leaves
from alphapulse.domain.predicate.reader import read
from alphapulse.domain.predicate.scan import scan
from alphapulse.domain.violations import FieldViolation


@dataclass(frozen=True, slots=True)
class Predicate:
    """A valid predicate. Equal when the checked trees are: blanks, quotes and trailing zeros do not count."""

    text: str = dataclasses.field(compare=False)
    """As it was given."""
    root: Node = dataclasses.field(repr=False)
    """The checked tree."""

    @property
    def fields(self) -> frozenset[str]:
        """The names of the catalogue it looks at."""
        return frozenset(leaf.field for leaf in leaves(self.root))


def parse(text: str, *, field: str = "predicate") -> Predicate:
    """The predicate in a text.

    InvalidArgument lists every violation, `field` is the path they name. A text of any size is refused in bounded time.
    """
    findings = Findings(field)
    root = _read(text, findings)
    if root is None:
        raise InvalidArgument.of(findings.found)
    return Predicate(text, root)


def violations(text: str, *, field: str = "predicate") -> tuple[FieldViolation, ...]:
    """Every rule a text breaks as a predicate; empty for a valid one."""
    findings = Findings(field)
    _read(text, findings)
    return tuple(findings.found)


def _read(text: str, findings: Findings) -> Node | None:
    tokens = scan(text, findings)
    root = None if findings.found else read(text, tokens, findings)
    return None if findings.found else root
