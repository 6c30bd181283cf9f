"""In what two messages differ, field by field, as an answer tells it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.domain.decimal import ExactDecimal
from alphapulse.domain.violations import shorten

MOST: Final = 50
"""Differences told of one entry."""
PLAIN: Final = ("Decimal", "Timestamp")
"""Messages that are one value to a person."""


def all_differences(held: Any, sent: Any, path: str) -> list[wire.FieldDifference]:
    """The fields in which two messages of one type differ, those that only one of them has among them; at most `MOST`."""
    return list(islice(_walk(held, sent, path), MOST))


def difference(field: Any, held: Any, sent: Any, path: str) -> wire.FieldDifference:
    """One field of two messages, as a person reads it."""
    return wire.FieldDifference(field=f"{path}.{field.name}", held=_text(field, held), sent=_text(field, sent))


def _walk(held: Any, sent: Any, path: str) -> Iterator[wire.FieldDifference]:
    for field in held.DESCRIPTOR.fields:
        one, other = getattr(held, field.name), getattr(sent, field.name)
        if field.has_presence and not field.is_repeated and held.HasField(field.name) != sent.HasField(field.name):
            yield difference(field, held, sent, path)
        elif one == other:
            continue
        elif field.message_type is None or field.message_type.GetOptions().map_entry or _plain(field):
            yield difference(field, held, sent, path)
        elif field.is_repeated:
            yield from _items(one, other, f"{path}.{field.name}")
        else:
            yield from _walk(one, other, f"{path}.{field.name}")


def _plain(field: Any) -> bool:
    return field.message_type.name in PLAIN


def _items(held: Any, sent: Any, path: str) -> Iterator[wire.FieldDifference]:
    """Of two lists of messages: place by place, what one of them has more of as a whole."""
    for at in range(max(len(held), len(sent))):
        if at < len(held) and at < len(sent):
            yield from _walk(held[at], sent[at], f"{path}[{at}]")
        else:
            texts = [shorten(str(each[at]).strip()) if at < len(each) else "" for each in (held, sent)]
            yield wire.FieldDifference(field=f"{path}[{at}]", held=texts[0], sent=texts[1])


def _text(field: Any, message: Any) -> str:
    """A field as a person reads it; an empty text for one that is not set."""
    value = getattr(message, field.name)
    if field.is_repeated:
        return shorten(", ".join([str(one).strip() for one in value]))
    if field.message_type is not None:
        if not message.HasField(field.name):
            return ""
        if isinstance(value, common.Decimal):
            return str(ExactDecimal(value.mantissa, value.exponent))
        return str(value.ToJsonString()) if hasattr(value, "ToJsonString") else shorten(str(value).strip())
    if field.enum_type is not None:
        number = field.enum_type.values_by_number.get(value)
        return number.name if number is not None else str(value)
    return shorten(str(value))
