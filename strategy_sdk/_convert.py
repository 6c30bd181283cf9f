"""Messages of the registries as the SDK's values, where more than field names has to be carried over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as service
from alphapulse.api.relay.v1 import relay_service_pb2 as relay
from alphapulse.domain.errors import AlphaPulseError, FieldViolation, from_reason
from alphapulse.domain.ids import InstrumentId, ListingId
from alphapulse.domain.instruments import Instrument, Listing
from alphapulse.domain.outcomes import LookupOutcome
from strategy_sdk._mapping import from_message, into_message
from strategy_sdk._models import (
    Change,
    ChangeKind,
    CollisionCase,
    IdentifierSpan,
    InstrumentEntry,
    LookupResult,
    RegistrationOutcome,
    RegistrationResult,
    Version,
)


@dataclass(frozen=True, slots=True)
class Definition:
    """What a listing is, as market events refer to it."""

    listing: Listing
    instrument: Instrument


def definition_of(message: relay.ListingDefinition) -> Definition:
    """From the relay's message."""
    return Definition(from_message(Listing, message.listing), from_message(Instrument, message.instrument))


def instrument_message(value: Instrument) -> wire.Instrument:
    """An instrument as a message."""
    message = wire.Instrument()
    into_message(value, message)
    return message


def listing_message(value: Listing) -> wire.Listing:
    """A listing as a message."""
    message = wire.Listing()
    into_message(value, message)
    if value.rules == type(value.rules)():
        message.ClearField("rules")
    return message


def entry_message(entry: InstrumentEntry) -> service.InstrumentEntry:
    """An instrument with its listings as a message."""
    return service.InstrumentEntry(
        instrument=instrument_message(entry.instrument), listings=[listing_message(one) for one in entry.listings]
    )


def entry_of(message: service.InstrumentEntry, revision_token: str = "") -> InstrumentEntry:
    """An instrument with its listings, and which write of each this is."""
    return InstrumentEntry(
        instrument=from_message(Instrument, message.instrument),
        listings=tuple(from_message(Listing, one) for one in message.listings),
        version=from_message(Version, message.instrument),
        listing_versions=tuple(from_message(Version, one) for one in message.listings),
        identity_text=message.instrument.identity_text,
        revision_token=revision_token,
    )


def lookup_of(message: service.LookupResult) -> LookupResult:
    """The answer to one look-up."""
    return LookupResult(
        outcome=LookupOutcome(message.outcome),
        entries=tuple(entry_of(entry) for entry in message.entries),
        listing_ids=tuple(ListingId.parse(one) for one in message.listing_ids),
        spans=tuple(from_message(IdentifierSpan, span) for span in message.spans),
        successor_ids=tuple(InstrumentId.parse(one) for one in message.successor_ids),
        explanation=message.explanation,
        violation=violation_of(message.violation) if message.HasField("violation") else None,
    )


def violation_of(message: common.ItemViolation) -> FieldViolation:
    """A broken rule."""
    return FieldViolation(message.field, message.value, message.rule, message.description)


def item_error(message: common.ItemError) -> AlphaPulseError:
    """The error of one item among many, as its domain class."""
    return from_reason(message.reason, message.message, dict(message.metadata), map(violation_of, message.violations))


def registration_result(message: service.RegistrationResult, revision_token: str) -> RegistrationResult:
    """What became of one entry of a batch."""
    return RegistrationResult(
        outcome=RegistrationOutcome(message.outcome),
        instrument_id=InstrumentId.parse(message.instrument_id) if message.instrument_id else None,
        listing_ids=tuple(ListingId.parse(one) if one else None for one in message.listing_ids),
        collision_case_id=message.collision_case_id,
        error=item_error(message.error) if message.HasField("error") else None,
        revision_token=revision_token,
    )


def change_of(message: Any, kinds: dict[str, type[Any]]) -> Change[Any]:
    """A change; `kinds` are the dataclasses of its entities by field name."""
    entity, previous = _entity(message, kinds, ""), _entity(message, kinds, "previous_")
    kind = ChangeKind(message.kind) if message.kind in ChangeKind._value2member_map_ else None
    moment = from_message(_Committed, message).commit_time
    return Change(message.revision, kind, entity, previous, message.actor, message.request_id, moment)


INSTRUMENT_ENTITIES: dict[str, type[Any]] = {
    "instrument": Instrument,
    "listing": Listing,
    "collision_case": CollisionCase,
}


def _entity(message: Any, kinds: dict[str, type[Any]], prefix: str) -> Any:
    names: Iterable[tuple[str, type[Any]]] = ((prefix + name, kind) for name, kind in kinds.items())
    for name, kind in names:
        field = name if name in message.DESCRIPTOR.fields_by_name else "previous"
        if message.HasField(field):
            return from_message(kind, getattr(message, field))
    return None


@dataclass(frozen=True, slots=True)
class _Committed:
    commit_time: datetime | None = None
