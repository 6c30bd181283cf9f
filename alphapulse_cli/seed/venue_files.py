"""Venues as files, one a venue: TOML or JSON in the shape of the API's Venue, read into messages and checked.

What a file may say is what the message `Venue` has: enumerations by their short names ("CRYPTO_EXCHANGE"), decimals as text ("0.1"), so
that no digit goes through a float, times as RFC 3339 or a date, which is midnight UTC. Every fault of every file is found before anything
is registered, each with file, field, value and rule.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from registry_service.venue.rules import registered_violations

SUFFIXES: Final = (".toml", ".json")
LARGEST: Final = 1 << 20
"""Bytes of a file."""
_DECIMAL: Final = "alphapulse.api.common.v1.Decimal"
_TIME: Final = "google.protobuf.Timestamp"
_SERVER: Final = frozenset({"etag", "revision", "create_time", "update_time", "status_reason", "status_time"})


@dataclass(frozen=True, slots=True)
class VenueFile:
    """A venue and the file that says so."""

    path: Path
    venue: wire.Venue


def read_folder(folder: Path) -> list[VenueFile]:
    """The venues of the files in a folder, by name. Raises InvalidArgument with every fault of every file; the field of each begins
    with the file's name."""
    if not folder.is_dir():
        raise InvalidArgument.field("folder", str(folder), "folder", "a folder that exists")
    found: list[VenueFile] = []
    broken: list[FieldViolation] = []
    for path in sorted(one for one in folder.iterdir() if one.suffix in SUFFIXES):
        try:
            found.append(read_file(path))
        except InvalidArgument as error:
            broken += error.violations
    taken: dict[str, str] = {}
    for one in found:
        code = one.venue.code
        if code in taken:
            rule = f"the file {taken[code]} is of this venue too"
            broken.append(FieldViolation(f"{one.path.name}: code", code, "code-taken", rule))
        taken.setdefault(code, one.path.name)
    if broken:
        raise InvalidArgument.of(broken)
    return found


def read_file(path: Path) -> VenueFile:
    """The venue of a file. Raises InvalidArgument with every fault."""
    entry = _parsed(path)
    reading = _Reading(path.name)
    venue = wire.Venue()
    reading.message("", entry, venue)
    broken = reading.broken
    if not broken:
        broken = [
            FieldViolation(f"{path.name}: {one.field}", one.value, one.rule, one.description)
            for one in registered_violations(venue, "")
        ]
    if not broken and path.stem != venue.code.lower():
        rule = f"the file of {venue.code} is named {venue.code.lower()}{path.suffix}"
        broken = [FieldViolation(f"{path.name}: code", venue.code, "file-name", rule)]
    if broken:
        raise InvalidArgument.of(broken)
    return VenueFile(path, venue)


def _parsed(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise InvalidArgument.field(path.name, str(size), "file-size", f"at most {LARGEST} bytes")
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text, parse_float=_no_float)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument.field(path.name, "", "file-format", f"it is no {path.suffix[1:]}: {error}") from None


def _no_float(text: str) -> Any:
    """A float of a JSON file, kept as its text: where a decimal is wanted no digit is lost."""
    return _Float(text)


class _Float(str):
    """A number with a point in a JSON file."""


class _Reading:
    """Reads one file into a message."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.broken: list[FieldViolation] = []

    def message(self, path: str, entry: Any, target: Message) -> None:
        """Fills a message from a table."""
        if not isinstance(entry, dict):
            self._add(path, entry, "table", "a table of fields")
            return
        fields = target.DESCRIPTOR.fields_by_name
        for key, value in entry.items():
            where = f"{path}.{key}" if path else key
            if key not in fields or (not path and key in _SERVER):
                known = ", ".join(sorted(set(fields) - (_SERVER if not path else set())))
                self._add(where, value, "field-unknown", f"fields are {known}")
                continue
            self._field(where, value, target, fields[key])

    def _field(self, path: str, value: Any, target: Message, field: Any) -> None:
        if not hasattr(getattr(target, field.name), "extend"):
            self._one(path, value, target, field)
        elif not isinstance(value, list):
            self._add(path, value, "list", "a list")
        else:
            for at, item in enumerate(value):
                self._item(f"{path}[{at}]", item, target, field)

    def _item(self, path: str, value: Any, target: Message, field: Any) -> None:
        held = getattr(target, field.name)
        if field.message_type is not None:
            self.message(path, value, held.add())
            return
        scalar = self._scalar(path, value, field)
        if scalar is not None:
            held.append(scalar)

    def _one(self, path: str, value: Any, target: Message, field: Any) -> None:
        kind = field.message_type
        if kind is None:
            scalar = self._scalar(path, value, field)
            if scalar is not None:
                setattr(target, field.name, scalar)
        elif kind.full_name == _DECIMAL:
            self._decimal(path, value, getattr(target, field.name))
        elif kind.full_name == _TIME:
            self._time(path, value, getattr(target, field.name))
        else:
            part = getattr(target, field.name)
            part.SetInParent()
            self.message(path, value, part)

    def _decimal(self, path: str, value: Any, target: Any) -> None:
        if not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, int)):
            self._add(path, value, "decimal-text", 'a decimal as text, such as "0.1": a float would lose digits')
            return
        try:
            exact = ExactDecimal.parse(str(value), path)
        except InvalidArgument as error:
            self.broken += [
                FieldViolation(f"{self._name}: {path}", one.value, one.rule, one.description)
                for one in error.violations
            ]
            return
        target.SetInParent()
        target.mantissa, target.exponent = exact.mantissa, exact.exponent

    def _time(self, path: str, value: Any, target: Any) -> None:
        moment = _moment(value)
        if moment is None:
            self._add(path, value, "time-format", "a date, or a time with its zone, such as 2024-12-30T14:00:00Z")
            return
        target.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))

    def _scalar(self, path: str, value: Any, field: Any) -> Any:
        """The value of a plain field; None, and a violation, for one of another type."""
        if field.enum_type is not None:
            return self._enum(path, value, field)
        name, fits, convert = _TYPES[field.cpp_type]
        if isinstance(value, date | datetime) and field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            value = value.isoformat()
        if not fits(value):
            self._add(path, value, "type", name)
            return None
        if field.cpp_type == FieldDescriptor.CPPTYPE_UINT32 and not 0 <= value < 2**32:
            self._add(path, value, "range", "0 to 4294967295")
            return None
        return convert(value)

    def _enum(self, path: str, value: Any, field: Any) -> int | None:
        names: dict[str, int] = {name: number.number for name, number in field.enum_type.values_by_name.items()}
        prefix = next(iter(names)).removesuffix("UNSPECIFIED")
        full = f"{prefix}{value}"
        if not isinstance(value, str) or full not in names or names[full] == 0:
            known = ", ".join(name.removeprefix(prefix) for name, number in names.items() if number)
            self._add(path, value, "enum-unknown", f"one of {known}")
            return None
        return names[full]

    def _add(self, path: str, value: Any, rule: str, description: str) -> None:
        self.broken.append(FieldViolation(f"{self._name}: {path}".rstrip(": "), str(value)[:200], rule, description))


_TYPES: Final[dict[int, tuple[str, Callable[[Any], bool], Callable[[Any], Any]]]] = {
    FieldDescriptor.CPPTYPE_STRING: ("a text", lambda v: isinstance(v, str) and not isinstance(v, _Float), str),
    FieldDescriptor.CPPTYPE_BOOL: ("true or false", lambda v: isinstance(v, bool), bool),
    FieldDescriptor.CPPTYPE_UINT32: ("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool), int),
    FieldDescriptor.CPPTYPE_INT64: (
        "a whole number of 64 bits",
        lambda v: isinstance(v, int) and not isinstance(v, bool) and -(2**63) <= v < 2**63,
        int,
    ),
    FieldDescriptor.CPPTYPE_DOUBLE: (
        "a number",
        lambda v: isinstance(v, int | float | _Float) and not isinstance(v, bool),
        float,
    ),
}
"""By the kind of a field: what is expected, whether a value fits, how it is taken."""


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else None
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return None


def merged(base: Iterable[wire.Venue], files: Iterable[VenueFile]) -> Iterator[wire.Venue]:
    """Each venue of a list with what a file of the same code says over it, then the venues of the other files. A list in a file takes
    the place of the list before."""
    by_code = {one.venue.code: one.venue for one in files}
    for venue in base:
        said = by_code.pop(venue.code, None)
        yield venue if said is None else _over(venue, said)
    yield from by_code.values()


def _over(base: wire.Venue, said: wire.Venue) -> wire.Venue:
    venue = wire.Venue()
    venue.CopyFrom(base)
    for field, _ in said.ListFields():
        venue.ClearField(field.name)  # type: ignore[arg-type]
    venue.MergeFrom(said)
    if said.source and said.source != base.source:
        venue.source = f"{base.source}; {said.source}"
    return venue
