"""What is wrong with a message, collected while it is read: all broken rules at once, each with its path."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from enum import IntEnum
from typing import Any, Final, TypeVar, cast

from alphapulse.domain import instruments as domain
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.identifiers import Level
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.outcomes import LookupView
from registry_service.times import broken_kept_time, broken_time, moment

_E = TypeVar("_E", bound=IntEnum)

MEMBERS: Final[dict[type[IntEnum], dict[int, IntEnum]]] = {
    kind: {int(member): member for member in kind}
    for kind in (
        *(AssetClass, Level, domain.CurrencyKind, domain.ExerciseStyle, domain.InstrumentStatus),
        *(domain.ListingStatus, domain.OptionRight, LookupView),
    )
}
"""The members of the enumerations that messages hold, by number."""

DetailsKey = tuple[int, str, bytes]
KNOWN_DETAILS: Final[dict[DetailsKey, domain.Details]] = {}
"""Details that were found to break no rule, by class, field and bytes: many instruments have the same ones."""
_KNOWN_MOST: Final = 8192
_KNOWN_SIZE: Final = 1024
"""Bytes of the details that are remembered at most."""


class Findings:
    """Violations met while reading a message."""

    __slots__ = ("details_key", "found", "sound_details", "unusual")

    def __init__(self) -> None:
        self.found: list[FieldViolation] = []
        self.unusual: list[int] = []
        """The numbers of the identifiers whose rules are still to be looked at; the others are sound (`_plain`)."""
        self.details_key: DetailsKey | None = None
        """What the details are remembered by, where they were read just now."""
        self.sound_details = False
        """Whether the details are known to break no rule."""

    def remember(self, details: domain.Details | None) -> None:
        """The details that were read broke no rule: those of the next instrument that has the same ones are known."""
        if self.details_key is not None and details is not None and len(self.details_key[2]) <= _KNOWN_SIZE:
            if len(KNOWN_DETAILS) >= _KNOWN_MOST:
                KNOWN_DETAILS.clear()
            KNOWN_DETAILS[self.details_key] = details

    def add(self, field: str, value: object, rule: str, description: str) -> None:
        """One broken rule."""
        self.found.append(FieldViolation(field, str(value), rule, description))

    def enum(self, kind: type[_E], number: int, field: str, absent: _E | None = None) -> _E | None:
        """The member; `absent` for 0, a violation for a number without a member."""
        if number == 0:
            return absent
        known: Any = MEMBERS[kind].get(number)
        if known is None:
            self.add(field, number, "enum-unknown", f"{number} is no {kind.__name__} this registry knows")
            return absent
        return cast(_E, known)

    def id(self, text: str, field: str) -> InstrumentId | None:
        """An instrument id; None where it is absent or wrong."""
        if not text:
            return None
        try:
            return InstrumentId.parse(text, field)
        except InvalidArgument as error:
            self.found.extend(error.violations)
            return None

    def ids(self, texts: Sequence[str], field: str) -> tuple[InstrumentId, ...]:
        """Instrument ids. In the place of one that cannot be read stands an id that nobody has, so that the others keep
        their numbers; its violation refuses the whole."""
        found = []
        for at, text in enumerate(texts):
            if not text:
                self.add(f"{field}[{at}]", text, "id-format", "an id is 32 hexadecimal digits")
            read = self.id(text, f"{field}[{at}]")
            found.append(read or InstrumentId(b"\xff" * 12 + at.to_bytes(4, "big")))
        return tuple(found)

    def decimal(self, message: Any, name: str, path: str) -> ExactDecimal | None:
        """An optional Decimal field."""
        if not message.HasField(name):
            return None
        value = getattr(message, name)
        try:
            return ExactDecimal(value.mantissa, value.exponent)
        except InvalidArgument as error:
            broken = error.violations[0]
            self.add(f"{path}.{name}".lstrip("."), broken.value, broken.rule, broken.description)
            return None

    def time(self, message: Any, name: str, path: str, *, kept: bool = False) -> datetime | None:
        """An optional Timestamp field. `kept`: it stays in the entry."""
        if not message.HasField(name):
            return None
        value = getattr(message, name)
        broken = (broken_kept_time if kept else broken_time)(value, f"{path}.{name}".lstrip("."))
        if broken is not None:
            self.found.append(broken)
            return None
        return moment(value)

    def date(self, text: str, field: str) -> date | None:
        """A YYYY-MM-DD text."""
        if not text:
            return None
        try:
            if len(text) == 10:
                return date.fromisoformat(text)
        except ValueError:
            pass
        self.add(field, text, "date-format", "a date is YYYY-MM-DD")
        return None
