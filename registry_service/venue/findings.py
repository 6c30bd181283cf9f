"""The violations of an entry as they are found: each with its path, its value and the rule."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final

from alphapulse.domain.decimal import ExactDecimal, violation_of
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.identifiers import Identifier
from alphapulse.domain.invisible import broken_sight
from registry_service.times import broken_kept_time, broken_time, moment
from registry_service.venue.convert import day_of

MAX_REPEATED: Final = 64


class Findings:
    """The violations found so far; paths are below `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.found: list[FieldViolation] = []

    def add(self, field: str, value: object, rule: str, description: str) -> None:
        self.found.append(FieldViolation(self._path(field), str(value), rule, description))

    def refuse(self) -> None:
        """InvalidArgument with all that was found, where something was."""
        if self.found:
            raise InvalidArgument.of(self.found)

    def text(self, field: str, value: str, limit: int) -> None:
        """Bounded and without control characters, which Postgres or a terminal would choke on."""
        if len(value) > limit:
            self.add(field, value, "text-length", f"at most {limit} characters, got {len(value)}")
        elif any(unicodedata.category(char) == "Cc" for char in value):
            self.add(field, value, "text-characters", "control characters are not text")
        elif (hidden := broken_sight(value)) is not None:
            self.add(field, value, "text-invisible", hidden)

    def identifier(self, field: str, value: str, kind: type[Identifier]) -> bool:
        broken = kind.broken_rule(value) if value else None
        if broken is not None:
            self.add(field, value, broken.rule, broken.description)
        return broken is None

    def known_enum(self, field: str, number: int, kind: Any, *, required: bool) -> None:
        if number not in kind.values():
            self.add(field, number, "enum-unknown", f"{number} is no value this registry knows")
        elif required and number == 0:
            self.add(field, "", "required", "it is needed")

    def decimal(self, message: Any, name: str, path: str) -> ExactDecimal | None:
        """An optional decimal; None where it is absent or does not fit."""
        if not message.HasField(name):
            return None
        value = getattr(message, name)
        broken = violation_of(value.mantissa, value.exponent)
        if broken is not None:
            self.add(f"{path}.{name}" if path else name, broken.value, broken.rule, broken.description)
            return None
        return ExactDecimal(value.mantissa, value.exponent)

    def count(self, field: str, items: Any, most: int = MAX_REPEATED) -> Iterable[tuple[int, Any]]:
        """The items, up to the most there may be; more are one violation."""
        if len(items) > most:
            self.add(field, len(items), "too-many", f"at most {most}, got {len(items)}")
        return enumerate(items[:most])

    def day(self, field: str, text: str, *, required: bool = False) -> date | None:
        """A date, YYYY-MM-DD; None where there is none."""
        if not text:
            if required:
                self.add(field, "", "required", "it is needed")
            return None
        found = day_of(text)
        if found is None:
            self.add(field, text, "date-format", "a date is YYYY-MM-DD")
        return found

    def time(
        self, message: Any, name: str, path: str, *, required: bool = False, kept: bool = False
    ) -> datetime | None:
        """A time of a message; None where there is none. `kept`: it stays in the entry."""
        field = f"{path}.{name}" if path else name
        if not message.HasField(name):
            if required:
                self.add(field, "", "required", "it is needed")
            return None
        broken = (broken_kept_time if kept else broken_time)(getattr(message, name), self._path(field))
        if broken is not None:
            self.found.append(broken)
            return None
        return moment(getattr(message, name))

    def _path(self, field: str) -> str:
        return f"{self._prefix}.{field}" if self._prefix else field
