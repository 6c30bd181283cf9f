"""In what an entry differs from what is held: told in the answer of a registration, and taken over by nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from registry_service.differences import MOST, PLAIN, difference
from registry_service.instrument.convert import wire

__all__ = ["MOST", "differences", "identifier_differences"]

_FILLED: Final = frozenset(
    (
        *("instrument_id", "listing_id", "listing_key", "identity_text", "source", "etag", "revision", "create_time"),
        *("update_time", "merged_into", "predecessor_ids", "events", "identifiers", "definition_version"),
    )
)
"""Fields that the registry fills, or that are compared elsewhere."""


def differences(held: Any, sent: Any, path: str) -> list[wire.FieldDifference]:
    """The fields that are set in the message sent and have another value in the one held (Instrument or Listing)."""
    return list(_walk(held, sent, path)) if held != sent else []


def identifier_differences(
    held: Sequence[wire.IdentifierAssertion], sent: Sequence[wire.IdentifierAssertion], path: str
) -> list[wire.FieldDifference]:
    """Identifiers that are borne at another level, or in another span than the one that is stated."""
    found: list[wire.FieldDifference] = []
    known: dict[tuple[int, str, str], list[wire.IdentifierAssertion]] = {}
    for other in held:
        known.setdefault((other.scheme, other.value, other.venue), []).append(other)
    for at, one in enumerate(sent):
        same = known.get((one.scheme, one.value, one.venue), ())
        if not same or any(not _of_one(other, one) for other in same):
            continue
        fields = one.DESCRIPTOR.fields_by_name
        found += [difference(fields[name], same[-1], one, f"{path}[{at}]") for name in _of_one(same[-1], one)]
    return found


def _of_one(held: wire.IdentifierAssertion, sent: wire.IdentifierAssertion) -> list[str]:
    """The fields of one identifier that are stated and differ."""
    found = [] if held.level == sent.level else ["level"]
    if sent.HasField("valid_from") and sent.valid_from != held.valid_from:
        found.append("valid_from")
    if sent.HasField("valid_to") and sent.valid_to != held.valid_to:
        found.append("valid_to")
    return found


def _walk(held: Any, sent: Any, path: str) -> Iterator[wire.FieldDifference]:
    for field, value in sent.ListFields():
        if field.name in _FILLED:
            continue
        known = getattr(held, field.name)
        if known == value:
            continue
        kind = field.message_type
        if kind is not None and not field.is_repeated and kind.name not in PLAIN:
            if field.containing_oneof is not None and not held.HasField(field.name):
                continue  # the details of another class: the class itself differs
            yield from _walk(known, value, f"{path}.{field.name}")
        else:
            yield difference(field, held, sent, path)
