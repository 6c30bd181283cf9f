"""Carries values between the API's messages and dataclasses of the same field names, by the dataclass's own annotations.

A dataclass is read into a plan once. What it may hold: texts, numbers, booleans, enumerations, exact decimals, aware
datetimes, dates, minted ids, mappings of texts, dataclasses and named tuples, and tuples of these; each optional. An optional field is None
where the message has none. A number of an enumeration that is not known yet is None, or the field's default.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, date, datetime
from enum import IntEnum
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar, cast

from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.instruments import DETAILS_OF, Details, Instrument, Listing

T = TypeVar("T")
_PLAIN: Final = (str, int, float, bool)
_RENAMED: Final = {(Instrument, "id"): "instrument_id", (Listing, "id"): "listing_id"}


class _Unknown(Exception):  # noqa: N818 - never leaves this module
    """A value this version has no name for."""


class _Carrier(NamedTuple):
    read: Callable[[Any], Any]
    """From the message's value."""
    write: Callable[[Any, str, Any], None]
    """(message, field, value)."""
    presence: bool = False
    """Whether absence is asked of the message, not seen in the value."""


class _Step(NamedTuple):
    attribute: str
    field: str
    carrier: _Carrier
    optional: bool
    many: bool
    required: bool
    """Whether the dataclass has no default for it."""


def from_message(kind: type[T], message: Any) -> T:
    """The dataclass of a message."""
    values: dict[str, Any] = {}
    for attribute, field, carrier, optional, many, required in _plan(cast(Hashable, kind)):
        try:
            if many:
                values[attribute] = tuple(_known(carrier.read, getattr(message, field)))
            elif not optional:
                values[attribute] = carrier.read(getattr(message, field))
            elif carrier.presence and not message.HasField(field):
                values[attribute] = None
            else:
                values[attribute] = carrier.read(getattr(message, field))
        except _Unknown:
            if optional:
                values[attribute] = None
            elif required:
                raise  # the value as a whole is of a later version: left out where it is one of many
    if kind is Instrument:
        values["details"] = _details_from(message)
    return kind(**values)


def into_message(value: Any, message: Any) -> None:
    """Fill a message from a dataclass. What is None is left out."""
    for attribute, field, carrier, _, many, _ in _plan(cast(Hashable, type(value))):
        held = getattr(value, attribute)
        if many:
            for one in held:
                _append(getattr(message, field), one, carrier)
        elif held is not None:
            carrier.write(message, field, held)
    if isinstance(value, Instrument) and value.details is not None:
        into_message(value.details, getattr(message, _details_field(value)))


def number(value: int) -> Any:
    """A member of one of our enumerations as a message takes it: the generated stubs have a type of their own for each."""
    return int(value)


def numbers(values: Iterable[int]) -> Any:
    """As `number`, of many."""
    return [int(value) for value in values]


def stamp(value: datetime, field: str = "time") -> Timestamp:
    """An aware datetime as a message. Raises InvalidArgument naming `field` for a naive one."""
    if value.tzinfo is None:
        raise InvalidArgument.field(
            field, value.isoformat(), "time-zone", "a time needs its zone: datetime(..., tzinfo=UTC)"
        )
    message = Timestamp()
    message.FromDatetime(value.astimezone(UTC).replace(tzinfo=None))
    return message


def _known(read: Callable[[Any], Any], values: Any) -> typing.Iterator[Any]:
    for value in values:
        try:
            yield read(value)
        except _Unknown:
            continue


def _append(target: Any, value: Any, carrier: _Carrier) -> None:
    if hasattr(target, "add"):
        into_message(value, target.add())
    else:
        target.append(str(value) if isinstance(value, (InstrumentId, ListingId)) else value)


def _details_field(value: Instrument) -> str:
    if value.asset_class is None:
        raise InvalidArgument.field("asset_class", "None", "required", "the class says which details an instrument has")
    if not isinstance(value.details, DETAILS_OF[value.asset_class]):
        raise InvalidArgument.field(
            *("details", type(value.details).__name__, "details-class"),
            f"an instrument of class {value.asset_class.name} has {DETAILS_OF[value.asset_class].__name__}",
        )
    return value.asset_class.name.lower()


_DETAILS_BY_FIELD: Final = {kind.name.lower(): details for kind, details in DETAILS_OF.items()}


def _details_from(message: Any) -> Details | None:
    which = message.WhichOneof("details")
    kind = _DETAILS_BY_FIELD.get(which)
    return from_message(kind, getattr(message, which)) if kind is not None else None


@cache
def _plan(kind: Any) -> tuple[_Step, ...]:
    hints = typing.get_type_hints(kind)
    steps = []
    for name, required in _fields_of(kind):
        if kind is Instrument and name == "details":
            continue
        hint, optional = _unwrapped(hints[name])
        many = typing.get_origin(hint) is tuple
        if many:
            hint = typing.get_args(hint)[0]
        field = _RENAMED.get((kind, name), name)
        steps.append(_Step(name, field, _carrier(hint), optional, many, required))
    return tuple(steps)


def _is_record(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields"))


def _fields_of(kind: Any) -> Iterable[tuple[str, bool]]:
    """(name, whether it has no default) of a dataclass or a named tuple."""
    if dataclasses.is_dataclass(kind):
        for item in dataclasses.fields(kind):
            yield item.name, item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    else:
        for name in kind._fields:
            yield name, name not in kind._field_defaults


def _unwrapped(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [one for one in typing.get_args(hint) if one is not type(None)]
        if len(rest) != 1:
            raise TypeError(f"{hint}: at most one type and None")
        return rest[0], True
    return hint, False


def _set(message: Any, field: str, value: Any) -> None:
    setattr(message, field, value)


def _set_text(message: Any, field: str, value: Any) -> None:
    setattr(message, field, str(value))


def _set_message(message: Any, field: str, value: Any) -> None:
    target = getattr(message, field)
    target.SetInParent()
    into_message(value, target)


def _carrier(hint: Any) -> _Carrier:
    if hint in _PLAIN:
        return _Carrier(lambda value: value, _set, presence=True)
    if hint is ExactDecimal:
        return _Carrier(lambda value: ExactDecimal(value.mantissa, value.exponent), _set_message, presence=True)
    if hint is datetime:
        return _Carrier(
            lambda value: value.ToDatetime(tzinfo=UTC),
            lambda message, field, value: getattr(message, field).CopyFrom(stamp(value, field)),
            presence=True,
        )
    if hint is date:
        return _Carrier(lambda value: date.fromisoformat(value) if value else None, _set_text)
    if hint in (InstrumentId, ListingId):
        return _Carrier(lambda value: hint.parse(value) if value else None, _set_text)
    if typing.get_origin(hint) in (dict, Mapping):
        return _Carrier(dict, lambda message, field, value: getattr(message, field).update(value))
    if issubclass(hint, IntEnum):
        return _Carrier(_enum_reader(hint), lambda message, field, value: setattr(message, field, int(value)))
    if _is_record(hint):
        return _Carrier(lambda value: from_message(cast(type[Any], hint), value), _set_message, presence=True)
    raise TypeError(f"{hint!r} cannot be carried between messages and dataclasses")


def _enum_reader(kind: type[IntEnum]) -> Callable[[int], IntEnum]:
    known = {int(member): member for member in kind}

    def read(number: int) -> IntEnum:
        try:
            return known[number]
        except KeyError:
            raise _Unknown from None

    return read
