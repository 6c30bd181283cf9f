"""Cells as the bytes of their fields: one parser a kind, a column at a time, every broken cell found.

A cell is a text; an empty one, or None, is absent. Numbers are exact decimals from their text, never through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.violations import FieldViolation
from alphapulse.interchange.framing import chunk, length_tag, number_field, number_tag, varint
from alphapulse.interchange.layout import Column, Kind
from alphapulse.json_text import decoded, message_from

Cells = Sequence[str | None]
Parse = Callable[[str], bytes]
"""The bytes of the whole field of one cell that is not empty. Raises BrokenCell."""

_BOOLS: Final = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_FEW: Final = 4
"""A column with at most this part of distinct values is parsed once a value instead of once a row."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BrokenCell(Exception):  # noqa: N818 - never leaves this package
    """A cell that is not of its column's kind."""

    def __init__(self, rule: str, description: str) -> None:
        super().__init__(description)
        self.rule = rule
        self.description = description


def encode(values: Cells, parse: Parse, column: str, broken: dict[int, list[FieldViolation]]) -> list[bytes] | None:
    """The field's bytes a row, empty where the cell is; None where all of them are. `broken` gets violations by row."""
    distinct = set(values)
    if distinct <= {"", None}:
        return None
    try:
        if len(distinct) * _FEW <= len(values):
            table = {value: parse(value) if value else b"" for value in distinct}
            return [table[value] for value in values]
        return [parse(value) if value else b"" for value in values]
    except BrokenCell:
        return [_one(value, parse, column, broken, row) for row, value in enumerate(values)]


def _one(value: str | None, parse: Parse, column: str, broken: dict[int, list[FieldViolation]], row: int) -> bytes:
    try:
        return parse(value) if value else b""
    except BrokenCell as error:
        broken.setdefault(row, []).append(FieldViolation(column, value or "", error.rule, error.description))
        return b""


def parser(column: Column) -> Parse:
    """How the cells of a column become their field."""
    assert column.field is not None
    return field_parser(column.field, column.kind)


def field_parser(field: FieldDescriptor, kind: Kind) -> Parse:
    """The parser of a field of the API."""
    match kind:
        case Kind.TEXT:
            return _text(length_tag(field.number))
        case Kind.TEXTS:
            return _texts(length_tag(field.number))
        case Kind.ENUM:
            assert field.enum_type is not None
            return _enum(number_tag(field.number), field.enum_type)
        case Kind.DECIMAL:
            return _decimal(length_tag(field.number))
        case Kind.TIME:
            return _time(length_tag(field.number))
        case Kind.BOOL:
            return _bool(number_tag(field.number))
        case Kind.INTEGER:
            return _integer(number_tag(field.number), field.cpp_type == FieldDescriptor.CPPTYPE_UINT32)
        case Kind.JSON:
            return _json(field)


def utf8(value: str) -> bytes:
    """The text's bytes. Raises BrokenCell for a lone surrogate: what the file holds is not UTF-8."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise BrokenCell("text-encoding", "the bytes are not of the file's encoding") from None


def _text(tag: bytes) -> Parse:
    return lambda value: chunk(tag, utf8(value))


def _texts(tag: bytes) -> Parse:
    return lambda value: b"".join([chunk(tag, utf8(one)) for one in value.split()])


def enum_names(enum: EnumDescriptor) -> dict[str, int]:
    """Numbers by name, with and without the enum's own prefix; without the unspecified one."""
    prefix = next(one.name for one in enum.values if one.number == 0).removesuffix("UNSPECIFIED")
    full = {one.name: one.number for one in enum.values if one.number}
    return {**full, **{name.removeprefix(prefix): number for name, number in full.items()}}


def _enum(tag: bytes, enum: EnumDescriptor) -> Parse:
    numbers = enum_names(enum)
    short = ", ".join(name for name in numbers if not name.startswith(enum.values[0].name.removesuffix("UNSPECIFIED")))

    def parse(value: str) -> bytes:
        number = numbers.get(value.strip().upper())
        if number is None:
            raise BrokenCell("enum-unknown", f"one of {short}")
        return number_field(tag, number)

    return parse


def decimal_body(value: str) -> bytes:
    """A Decimal's bytes. Raises BrokenCell."""
    try:
        exact = ExactDecimal.parse(value.strip())
    except InvalidArgument as error:
        broken = error.violations[0]
        raise BrokenCell(broken.rule, broken.description) from None
    return number_field(b"\x08", exact.mantissa) + number_field(b"\x10", exact.exponent)


def _decimal(tag: bytes) -> Parse:
    return lambda value: chunk(tag, decimal_body(value))


def time_of(value: str) -> tuple[int, int]:
    """(seconds since the epoch, nanoseconds) of an ISO 8601 date (its midnight, UTC) or time with its zone. Raises BrokenCell."""
    text, nanos = value.strip(), 0
    whole, point, rest = text.partition(".")
    if point:
        digits = re.match(r"[0-9]{1,9}", rest)
        if digits is None:
            raise BrokenCell("time-format", "a time is 2024-12-31T23:59:59Z, a day 2024-12-31")
        nanos = int(digits[0].ljust(9, "0"))
        text = whole + rest[digits.end() :]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BrokenCell("time-format", "a time is 2024-12-31T23:59:59Z, a day 2024-12-31") from None
    if moment.tzinfo is None:
        if len(text) != 10:
            raise BrokenCell("time-zone", "a time needs its zone, such as Z or +01:00; a mapping can state one")
        moment = moment.replace(tzinfo=UTC)
    try:
        since = moment - _EPOCH
    except OverflowError:
        raise BrokenCell("time-range", "a time between the years 1 and 9999") from None
    return since.days * 86_400 + since.seconds, nanos


def _time(tag: bytes) -> Parse:
    def parse(value: str) -> bytes:
        seconds, nanos = time_of(value)
        return chunk(tag, number_field(b"\x08", seconds) + number_field(b"\x10", nanos))

    return parse


def _bool(tag: bytes) -> Parse:
    def parse(value: str) -> bytes:
        truth = _BOOLS.get(value.strip().lower())
        if truth is None:
            raise BrokenCell("bool-format", "true or false")
        return number_field(tag, truth)

    return parse


def _integer(tag: bytes, unsigned: bool) -> Parse:
    low, high = (0, 2**32 - 1) if unsigned else (-(2**31), 2**31 - 1)

    def parse(value: str) -> bytes:
        text = value.strip()
        if _INTEGER.fullmatch(text) is None or not low <= int(text) <= high:
            raise BrokenCell("integer-format", f"a whole number from {low} to {high}")
        return tag + varint(int(text))  # a 0 that is given is not the same as none

    return parse


def _json(field: FieldDescriptor) -> Parse:
    """A cell of the API's own JSON: of a repeated field a list."""
    assert field.containing_type is not None
    message = GetMessageClass(field.containing_type)

    def parse(value: str) -> bytes:
        try:
            held = message_from({field.name: decoded(value.encode("utf-8", "surrogatepass"))}, message)
            return held.SerializeToString()
        except InvalidArgument as error:
            told = "; ".join([f"{one.field}: {one.description}" for one in error.violations])
            raise BrokenCell("json-format", f"JSON of the API's {field.full_name}: {told}"[:300]) from None

    return parse
