"""Venue messages as stored entries, and stored entries and changes as answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from hashlib import sha256
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1 import instrument_pb2 as listing_wire
from alphapulse.api.instrument.v1 import instrument_service_pb2 as listing_service
from alphapulse.api.venue.v1 import venue_pb2 as wire
from alphapulse.api.venue.v1 import venue_service_pb2 as service
from alphapulse.domain.decimal import ExactDecimal
from registry_service.differences import all_differences
from registry_service.storage.model import Change, ChangeKind, Entity, EntityKind, Query
from registry_service.times import moment, stamp
from registry_service.venue.schedule import Declared, Effect

__all__ = ["Timestamp", "common", "listing_service", "listing_wire", "moment", "service", "stamp", "wire"]

VERSION_FIELDS: Final = ("etag", "revision", "create_time", "update_time")
"""Fields of a version, which the registry fills."""
SERVER_FIELDS: Final = (*VERSION_FIELDS, "status_reason", "status_time")
"""Fields the registry fills; what a caller puts there is dropped."""


def day_of(text: str) -> date | None:
    """The day of YYYY-MM-DD between 1900 and 2999; None for anything else."""
    try:
        found = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None
    return found if found is not None and 1900 <= found.year < 3000 else None


def content(message: wire.Venue) -> wire.Venue:
    """A copy without the fields of its version."""
    copy = wire.Venue()
    copy.CopyFrom(message)
    for name in VERSION_FIELDS:
        copy.ClearField(name)
    return copy


def registered(message: wire.Venue) -> wire.Venue:
    """A copy as it is registered: without the registry's own fields, the status and the ids of exceptions filled in."""
    copy = wire.Venue()
    copy.CopyFrom(message)
    for name in SERVER_FIELDS:
        copy.ClearField(name)
    if copy.status == wire.VENUE_STATUS_UNSPECIFIED:
        copy.status = wire.VENUE_STATUS_ACTIVE
    for one in copy.session_exceptions:
        one.ClearField("record_time")
        one.exception_id = exception_id(one)
    return copy


def told_apart(held: wire.Venue, sent: wire.Venue, path: str) -> list[listing_wire.FieldDifference] | None:
    """In what a venue that is sent differs from the one held, whoever registered them; None where they say the same."""
    first, second = registered(held), registered(sent)
    first.source = second.source = ""
    return None if first == second else all_differences(first, second, path)


def exception_id(message: wire.SessionException) -> str:
    """Names an exception by what was declared, so that one told twice is one."""
    return sha256(_told(message).SerializeToString(deterministic=True)).hexdigest()[:16]


def same_exception(one: wire.SessionException, other: wire.SessionException) -> bool:
    """Whether two declarations are of the same days or hours, whenever they were made."""
    first, second = _told(one), _told(other)
    first.ClearField("declare_time")
    second.ClearField("declare_time")
    return first == second


def _told(message: wire.SessionException) -> wire.SessionException:
    told = wire.SessionException()
    told.CopyFrom(message)
    for name in ("exception_id", "withdraw_time", "reason", "source", "record_time"):
        told.ClearField(name)
    return told


def declared(venue: wire.Venue) -> tuple[Declared, ...]:
    """The exceptions a venue declared, in the order they were."""
    return tuple(sorted((_declared(one) for one in venue.session_exceptions), key=lambda one: one.declared))


def _declared(one: wire.SessionException) -> Declared:
    def time(name: str) -> datetime | None:
        return moment(getattr(one, name)) if one.HasField(name) else None  # type: ignore[arg-type]

    return Declared(
        exception_id=one.exception_id,
        effect=Effect(one.kind),
        # By the clock of whoever told it, which may be ahead of ours: what is recorded is known.
        declared=min(moment(one.declare_time), time("record_time") or moment(one.declare_time)),
        withdrawn=time("withdraw_time"),
        first=day_of(one.first_date),
        last=day_of(one.last_date),
        start=time("open_time"),
        end=time("close_time"),
    )


def exact(value: common.Decimal) -> ExactDecimal:
    """The number of a message that is known to be sound."""
    return ExactDecimal(value.mantissa, value.exponent)


def decimal(value: ExactDecimal) -> common.Decimal:
    """The message of a number."""
    return common.Decimal(mantissa=value.mantissa, exponent=value.exponent)


def stored(message: wire.Venue, *, revision: int, now: datetime, created: Timestamp | None = None) -> wire.Venue:
    """The message with the registry's own fields."""
    message.revision = revision
    message.etag = f"{revision:x}"
    message.update_time.CopyFrom(stamp(now))
    message.create_time.CopyFrom(created if created is not None else message.update_time)
    return message


def entity(message: wire.Venue) -> Entity:
    """The entry to keep."""
    return Entity(
        kind=EntityKind.VENUE,
        entity_id=message.code,
        body=message.SerializeToString(deterministic=True),
        revision=message.revision,
        facets=facets(message),
        name=f"{message.code} {message.name}",
    )


def facets(message: wire.Venue) -> tuple[str, ...]:
    """What filters ask for."""
    found = [f"type:{message.type}", f"status:{message.status}"]
    if message.country:
        found.append(f"country:{message.country}")
    if message.operating_mic:
        found.append(f"operator:{message.operating_mic}")
    return tuple(sorted(found))


def cache_keys(*messages: wire.Venue) -> list[str]:
    """The cached answers that a change of these makes void."""
    keys: set[str] = set()
    for message in messages:
        keys.add(venue_key(message.code))
        keys.update(mic_key(mic) for mic in (message.code, message.mic, message.operating_mic) if mic)
    return sorted(keys)


def venue_key(code: str) -> str:
    """The cache key of a venue."""
    return f"venue/{code}"


def mic_key(mic: str) -> str:
    """The cache key of a MIC's answer."""
    return f"mic/{mic}"


def query(filter_: service.VenueFilter) -> Query:
    """The entries a filter asks for."""
    groups = (
        tuple(f"type:{one}" for one in filter_.types),
        tuple(f"country:{one}" for one in filter_.countries),
        tuple(f"status:{one}" for one in filter_.statuses),
        tuple(f"operator:{one}" for one in filter_.operating_mics),
    )
    return Query(EntityKind.VENUE, tuple(group for group in groups if group), ids=tuple(filter_.codes))


def venues(entities: Iterable[Entity]) -> list[wire.Venue]:
    """The messages of entries."""
    return [wire.Venue.FromString(one.body) for one in entities]


def change(row: Change) -> service.VenueChange:
    """One revision as an answer."""
    message = service.VenueChange(
        revision=row.revision,
        kind=common.ChangeKind.ValueType(row.change),
        venue=wire.Venue.FromString(row.after),
        actor=row.actor,
        request_id=row.request_id,
        commit_time=stamp(row.commit_time),
    )
    if row.before:
        message.previous.ParseFromString(row.before)
    return message


def change_kind(before: wire.Venue | None, after: wire.Venue) -> ChangeKind:
    """What happened to a venue."""
    if before is None:
        return ChangeKind.CREATED
    expired = after.status == wire.VENUE_STATUS_EXPIRED and before.status != wire.VENUE_STATUS_EXPIRED
    return ChangeKind.RETIRED if expired else ChangeKind.UPDATED
