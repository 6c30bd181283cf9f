"""JSON into a message, by the JSON mapping of proto3: of a request, of a line of a file. What does not fit is told by field, all of it at once.

Fields may be written in either spelling, `listing_id` or `listingId`. A field that the message has not is refused, and so are a name given
twice, a number that JSON has not (`NaN`), and objects within objects beyond `MAX_DEPTH`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, Never

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from alphapulse.domain.errors import FieldViolation, InvalidArgument

MAX_DEPTH: Final = 64
_MOST_TOLD: Final = 100
"""Names that stand twice told of one text."""
_FAULTS: Final = (ParseError, ValueError, TypeError, AttributeError, OverflowError, KeyError)
_INTEGERS: Final = {
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32),
        "a whole number of 32 bits",
    ),
    **dict.fromkeys(
        (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32), "a whole number of 32 bits, not negative"
    ),
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64),
        "a whole number of 64 bits, as a text or a number",
    ),
    **dict.fromkeys(
        (FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64),
        "a whole number of 64 bits, not negative, as a text or a number",
    ),
}
_OTHERS: Final = {
    FieldDescriptor.TYPE_STRING: "a text of valid Unicode",
    FieldDescriptor.TYPE_BYTES: "bytes in base64",
    FieldDescriptor.TYPE_BOOL: "true or false",
    FieldDescriptor.TYPE_DOUBLE: "a number",
    FieldDescriptor.TYPE_FLOAT: "a number",
}
_WELL_KNOWN: Final = {
    "google.protobuf.Timestamp": "a time in UTC such as 2024-01-31T00:00:00Z",
    "google.protobuf.Duration": "seconds such as 1.5s",
    "google.protobuf.FieldMask": "names of fields with commas between, such as name,status",
}


def message_of(text: bytes, kind: type[Message]) -> Message:
    """The message that a JSON text says. Raises InvalidArgument."""
    return message_from(decoded(text), kind)


def decoded(text: bytes, *, number: Callable[[str], Any] = float) -> Any:
    """The JSON value of a text; nothing is nothing: `{}`. Raises InvalidArgument that says where the text goes wrong, and every name that
    stands twice. `number` reads what is not whole."""
    if not text.strip():
        return {}
    twice = False

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        found = dict(pairs)
        for name in found:
            if not name.isascii():
                _require_text(name)
        if len(found) == len(pairs):
            return found
        twice = True
        return _Twice(pairs)

    try:
        value = json.loads(text.decode(), object_pairs_hook=object_of, parse_float=number, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # a number of more than 4,300 digits
        raise _malformed(str(error)) from error
    if _deeper_than(value, MAX_DEPTH):
        raise _too_deep()
    if twice:
        raise InvalidArgument.of(list(islice(_doubled(value, ""), _MOST_TOLD)))
    return value


def message_from(value: Any, kind: type[Message]) -> Message:
    """The message that a JSON value says. Raises InvalidArgument with every field that does not fit."""
    if isinstance(value, dict):
        try:
            message: Message = ParseDict(value, kind())
        except _FAULTS as fault:
            found = list(_violations(value, kind, ""))
            # The message as a whole can break a rule that no part of it breaks: two fields of which only one may be set.
            raise InvalidArgument.of(found or [_whole(kind, fault)]) from fault
        return message
    raise InvalidArgument.field(
        "body", _shown(value), "json-object", f"the request has to be a JSON object, a {kind.DESCRIPTOR.name}"
    )


def _violations(value: dict[str, Any], kind: type[Message], prefix: str) -> Iterator[FieldViolation]:
    """What of an object does not fit: walked only when it is known that something does not."""
    fields: dict[str, Any] = {
        **{field.name: field for field in kind.DESCRIPTOR.fields},
        **{field.json_name: field for field in kind.DESCRIPTOR.fields},
    }
    seen: dict[str, str] = {}
    for name, held in value.items():
        path = f"{prefix}{name}"
        field = fields.get(name)
        if field is None:
            yield FieldViolation(path, _shown(held), "json-unknown-field", _unknown(name, kind))
            continue
        place = field.containing_oneof.name if field.containing_oneof is not None and held is not None else field.name
        if place in seen and seen[place] != name:
            yield FieldViolation(path, _shown(held), "json-one-of", f"only one of {seen[place]} and {name} may be set")
        seen.setdefault(place, name)
        yield from _of_field(held, field, kind, f"{prefix}{field.name}")


def _of_field(value: Any, field: FieldDescriptor, kind: type[Message], path: str) -> Iterator[FieldViolation]:
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    if value is None or is_map or not field.is_repeated:
        yield from _of_value(value, field, kind, path)
        return
    if not isinstance(value, list):
        yield FieldViolation(path, _shown(value), "json-type", "must be a list")
        return
    for number, item in enumerate(value):
        yield from _of_value(item, field, kind, f"{path}[{number}]", listed=True)


def _of_value(
    value: Any, field: FieldDescriptor, kind: type[Message], path: str, listed: bool = False
) -> Iterator[FieldViolation]:
    inner = field.message_type
    walked = inner is not None and inner.full_name not in _WELL_KNOWN and not inner.GetOptions().map_entry
    if walked and isinstance(value, dict):
        yield from _violations(value, type(_part(kind, field)), f"{path}.")
        return
    try:
        ParseDict({field.name: [value] if listed else value}, kind())
    except _FAULTS:
        rule = "json-enum" if field.enum_type is not None else "json-type"
        yield FieldViolation(path, _shown(value), rule, f"must be {_wanted(field)}")


def _part(kind: type[Message], field: FieldDescriptor) -> Message:
    """An empty message of the kind a field holds."""
    held = getattr(kind(), field.name)
    return held.add() if field.is_repeated else held  # type: ignore[no-any-return]


def _wanted(field: FieldDescriptor) -> str:
    if field.enum_type is not None:
        names = [value.name for value in field.enum_type.values if value.number != 0]
        return f"one of {', '.join(names)}"
    if field.message_type is not None:
        return _WELL_KNOWN.get(field.message_type.full_name, f"an object, a {field.message_type.name}")
    return _INTEGERS.get(field.type) or _OTHERS.get(field.type, "of another type")


def _unknown(name: str, kind: type[Message]) -> str:
    known = [field.name for field in kind.DESCRIPTOR.fields]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known)}" if known else ""
    return f"{kind.DESCRIPTOR.name} has no such field{hint}"


def _whole(kind: type[Message], fault: Exception) -> FieldViolation:
    return FieldViolation("body", "", "json-type", f"no {kind.DESCRIPTOR.name}: {fault}")


def _require_text(name: str) -> None:
    """Half of a pair of surrogates is no text: neither a message nor a file can hold it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise _malformed(f"the name {name!a} is no valid Unicode") from None


class _Twice(dict[str, Any]):
    """An object in which names stand more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        seen: set[str] = set()
        self.again: dict[str, Any] = {}
        """What stands behind such a name the second time."""
        for name, value in pairs:
            if name in seen:
                self.again.setdefault(name, value)
            seen.add(name)


def _doubled(value: Any, path: str) -> Iterator[FieldViolation]:
    """The names that stand twice in one object, each with its path."""
    if isinstance(value, list):
        for at, one in enumerate(value):
            yield from _doubled(one, f"{path}[{at}]")
    elif isinstance(value, dict):
        again = value.again if isinstance(value, _Twice) else {}
        for name, one in value.items():
            inner = f"{path}.{name}" if path else name
            if name in again:
                text = "the name stands twice in one object"
                yield FieldViolation(inner, _shown(again[name]), "json-duplicate-field", text)
            yield from _doubled(one, inner)


def _constant(name: str) -> Never:
    raise _malformed(f"{name} is no JSON number")


def _malformed(why: str) -> InvalidArgument:
    return InvalidArgument.field("body", "", "json-syntax", f"the request is not JSON: {why}")


def _too_deep() -> InvalidArgument:
    return InvalidArgument.field("body", "", "json-depth", f"at most {MAX_DEPTH} objects and lists within one another")


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
