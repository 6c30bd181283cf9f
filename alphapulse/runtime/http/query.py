"""Query parameters into the JSON value of a request: `?isin=US0378331005&options.as_of=2024-01-31T00:00:00Z`.

A dot leads into a message, a parameter that stands several times makes a list (as google.api.http has it).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from alphapulse.domain.errors import FieldViolation, InvalidArgument


def json_value(parameters: Iterable[tuple[str, str]], message: type[Message]) -> dict[str, Any]:
    """The parameters as nested objects. What no field bears stays where it stands, to be refused with the rest of the request."""
    found: dict[str, Any] = {}
    violations: list[FieldViolation] = []
    for path, text in parameters:
        *parents, name = path.split(".")
        place: dict[str, Any] = found
        kind: Any = message.DESCRIPTOR
        for parent in parents:
            field = _field(kind, parent)
            kind = field.message_type if field is not None else None
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                violations.append(FieldViolation(path, text, "json-type", f"{parent} has a value of its own already"))
                break
            place = inner
        else:
            _put(place, name, text, _field(kind, name), path, violations)
    if violations:
        raise InvalidArgument.of(violations)
    return found


def _put(
    place: dict[str, Any],
    name: str,
    text: str,
    field: FieldDescriptor | None,
    path: str,
    violations: list[FieldViolation],
) -> None:
    value: Any = text
    if field is not None and field.type == FieldDescriptor.TYPE_BOOL:
        # Any other text is left as it is, which is no boolean and is told so.
        value = {"true": True, "false": False}.get(text, text)
    if field is not None and field.is_repeated:
        held = place.setdefault(name, [])
        if isinstance(held, list):
            held.append(value)
            return
    if name in place:
        violations.append(
            FieldViolation(path, text, "json-duplicate-field", "the parameter stands twice and takes one value")
        )
    place[name] = value


def _field(message: Descriptor | None, name: str) -> FieldDescriptor | None:
    if message is None:
        return None
    return next((field for field in message.fields if name in (field.name, field.json_name)), None)
