"""The values a predicate compares with, checked against the kind of the field they stand beside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.predicate.catalogue import Field, Kind
from alphapulse.domain.predicate.findings import Findings
from alphapulse.domain.predicate.scan import Token

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?Z)?", re.ASCII)
_WRITTEN: Final = {
    Kind.NUMBER: "a number, such as 0.5",
    Kind.TIME: 'a time in quotes, such as "2026-12-31" or "2026-12-31T08:00:00Z"',
    Kind.TEXT: "a text in quotes",
    Kind.ID: "an id in quotes",
    Kind.WORD: "a word in quotes",
    Kind.FLAG: "true or false",
}


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as it stands in the text."""

    kind: Kind
    """NUMBER, TEXT or FLAG."""
    written: str
    """With its sign, or its quotes."""
    column: int
    """Its first character, from 1."""

    @property
    def content(self) -> str:
        """Without quotes."""
        return self.written[1:-1] if self.kind is Kind.TEXT else self.written


def kind_of_literal(token: Token) -> Kind | None:
    """What sort of value a token is; None for what is none."""
    if token.kind == "text":
        return Kind.TEXT
    if token.kind == "number":
        return Kind.NUMBER
    return Kind.FLAG if token.text in ("true", "True", "false", "False") else None


def decimal_of(field: Field, literal: Literal, findings: Findings) -> ExactDecimal | None:
    """The number that a NUMBER is compared with, exactly."""
    if not _fits(field, literal, Kind.NUMBER, findings):
        return None
    try:
        return ExactDecimal.parse(literal.written).normalised()
    except InvalidArgument as error:
        [broken] = error.violations
        findings.object_to(
            literal.written, "predicate-number", f"the number at character {literal.column}: {broken.description}"
        )
        return None


def moment_of(field: Field, literal: Literal, findings: Findings) -> ExactDecimal | None:
    """The time that a TIME is compared with, in seconds since the Unix epoch."""
    if not _fits(field, literal, Kind.TEXT, findings):
        return None
    text = literal.content
    if _TIME.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
            return ExactDecimal((moment - _EPOCH) // _MICROSECOND, -6)
        except ValueError:
            pass  # a month of 13, a day of 32
    findings.object_to(
        text, "predicate-time", f"{text!r} at character {literal.column} is no {_WRITTEN[Kind.TIME][2:]}"
    )
    return None


def member_of(field: Field, literal: Literal, findings: Findings) -> str | None:
    """What a TEXT, ID, WORD or FLAG is compared with."""
    if not _fits(field, literal, Kind.FLAG if field.kind is Kind.FLAG else Kind.TEXT, findings):
        return None
    text = literal.content
    if field.words and text not in field.words:
        unknown = f"{text!r} at character {literal.column} is no {field.name}; known: {', '.join(field.words)}"
        findings.object_to(text, "predicate-word", unknown)
        return None
    if field.kind is Kind.ID:
        if _ID.fullmatch(text) is None:
            findings.object_to(
                text, "predicate-id", f"{text!r} at character {literal.column} is no id of 32 hexadecimal digits"
            )
            return None
        return text.lower()
    if not text:
        empty = f"the text at character {literal.column} is empty: {field.name} is missing then, ask has({field.name})"
        findings.object_to(literal.written, "predicate-text", empty)
        return None
    return text


def _fits(field: Field, literal: Literal, wanted: Kind, findings: Findings) -> bool:
    if literal.kind is wanted:
        return True
    description = (
        f"{field.name} is a {field.kind.value}, compared with {_WRITTEN[field.kind]}; "
        f"{literal.written} at character {literal.column} is a {literal.kind.value}"
    )
    findings.object_to(literal.written, "predicate-type", description)
    return False
