"""Synthetic messages as stored entries, and stored entries and changes as answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from alphapulse.api.common.v1 import common_pb2 as common
from alphapulse.api.instrument.v1.instrument_pb2 import FieldDifference
from alphapulse.api.synthetic.v1 import synthetic_pb2 as wire
from alphapulse.api.synthetic.v1 import synthetic_service_pb2 as service
from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.errors import FieldViolation, InvalidArgument
from alphapulse.domain.identity import instrument_text
from alphapulse.domain.ids import Digest, InstrumentId, sha256
from alphapulse.domain.instruments import Instrument, SyntheticDetails
from registry_service.calls import apply_mask
from registry_service.differences import all_differences
from registry_service.storage.model import Change, ChangeKind, Entity, EntityKind, Query
from registry_service.times import moment, stamp

__all__ = ["Timestamp", "common", "moment", "service", "stamp", "wire"]

SERVER_FIELDS: Final = (
    "synthetic_id",
    "listing_key",
    "formula_version",
    "etag",
    "revision",
    "create_time",
    "update_time",
)
"""Fields the registry fills; what a caller puts there is dropped."""
_MEANING: Final = ("components", "formula", "unit", "max_age_ms", "min_value", "max_value", "outlier_sigma", "valid_to")
"""Fields whose change is a new formula version."""


def synthetic_id(name: str, salt: int = 0, digest: Digest = sha256) -> InstrumentId:
    """The id minted from a name; a salt where the key of an earlier one is taken."""
    text = instrument_text(Instrument(AssetClass.SYNTHETIC, name, SyntheticDetails(name)))
    return InstrumentId.of(text, salt, digest=digest)


def registered(message: wire.Synthetic) -> wire.Synthetic:
    """A copy as it is registered: without the registry's own fields, defaults filled in, ids in lower case."""
    copy = wire.Synthetic()
    copy.CopyFrom(message)
    for name in SERVER_FIELDS:
        copy.ClearField(name)
    if copy.status == wire.SYNTHETIC_STATUS_UNSPECIFIED:
        copy.status = wire.SYNTHETIC_STATUS_ACTIVE
    for component in copy.components:
        if component.price_field == wire.PRICE_FIELD_UNSPECIFIED:
            component.price_field = wire.PRICE_FIELD_MID
        if component.WhichOneof("target") == "listing_id":
            component.listing_id = component.listing_id.lower()
        elif component.WhichOneof("target") == "instrument_id":
            component.instrument_id = component.instrument_id.lower()
    return copy


def told_apart(held: wire.Synthetic, sent: wire.Synthetic, path: str) -> list[FieldDifference] | None:
    """In what a synthetic that is sent differs from the one held, whoever registered them; None where they say the same."""
    first, second = registered(held), registered(sent)
    first.source = second.source = ""
    return None if first == second else all_differences(first, second, path)


def same_meaning(one: wire.Synthetic, other: wire.Synthetic) -> bool:
    """Whether values of the one can be compared with values of the other."""
    first, second = wire.Synthetic(), wire.Synthetic()
    for target, source in ((first, one), (second, other)):
        for name in _MEANING:
            apply_mask(target, source, (name,))
    return first == second


def stored(
    message: wire.Synthetic,
    *,
    identity: InstrumentId,
    revision: int,
    now: datetime,
    before: wire.Synthetic | None = None,
) -> wire.Synthetic:
    """The message with the registry's own fields."""
    message.synthetic_id = identity.hex
    message.listing_key = identity.key
    message.revision = revision
    message.etag = f"{revision:x}"
    message.update_time.CopyFrom(stamp(now))
    if before is None:
        message.formula_version = 1
        message.create_time.CopyFrom(message.update_time)
    else:
        message.formula_version = before.formula_version + (not same_meaning(message, before))
        message.create_time.CopyFrom(before.create_time)
    return message


def entity(message: wire.Synthetic) -> Entity:
    """The entry to keep."""
    return Entity(
        kind=EntityKind.SYNTHETIC,
        entity_id=message.name,
        body=message.SerializeToString(deterministic=True),
        revision=message.revision,
        facets=facets(message),
        name=f"{message.name} {message.description}"[:512],
        sort_key=signed(message.listing_key),
    )


def signed(key: int) -> int:
    """A key as a signed 64-bit integer."""
    return key - 2**64 if key >= 2**63 else key


def facets(message: wire.Synthetic) -> tuple[str, ...]:
    """What filters and dependents ask for."""
    found = {f"status:{message.status}", f"unit:{message.unit}"}
    for component in message.components:
        target = component.WhichOneof("target")
        if target == "synthetic":
            found.add(uses(component.synthetic))
        elif target is not None:
            found.add(component_facet(getattr(component, target)))
    return tuple(sorted(found))


def uses(name: str) -> str:
    """The facet of what has a synthetic as a component."""
    return f"uses:{name}"


def component_facet(id_: str) -> str:
    """The facet of what has an instrument or listing as a component."""
    return f"component:{id_.lower()}"


def name_key(name: str) -> str:
    """The cache key of a synthetic by its name."""
    return f"synthetic/{name}"


def id_key(id_: str) -> str:
    """The cache key of a synthetic by its id."""
    return f"synthetic-id/{id_}"


def query(filter_: service.SyntheticFilter) -> Query:
    """The entries a filter asks for. InvalidArgument for a text that Postgres cannot hold, and so nothing bears."""
    found = [
        FieldViolation(f"filter.{name}[{at}]", one, "text-characters", "the character NUL is not text")
        for name, values in (("component_ids", filter_.component_ids), ("units", filter_.units))
        for at, one in enumerate(values)
        if "\0" in one
    ]
    if found:
        raise InvalidArgument.of(found)
    groups = (
        tuple(f"status:{one}" for one in filter_.statuses),
        tuple(component_facet(one) for one in filter_.component_ids),
        tuple(f"unit:{one}" for one in filter_.units),
    )
    return Query(EntityKind.SYNTHETIC, tuple(group for group in groups if group))


def synthetics(entities: Iterable[Entity]) -> list[wire.Synthetic]:
    """The messages of entries."""
    return [wire.Synthetic.FromString(one.body) for one in entities]


def change(row: Change) -> service.SyntheticChange:
    """One revision as an answer."""
    message = service.SyntheticChange(
        revision=row.revision,
        kind=common.ChangeKind.ValueType(row.change),
        synthetic=wire.Synthetic.FromString(row.after),
        actor=row.actor,
        request_id=row.request_id,
        commit_time=stamp(row.commit_time),
    )
    if row.before:
        message.previous.ParseFromString(row.before)
    return message


def change_kind(before: wire.Synthetic | None, after: wire.Synthetic) -> ChangeKind:
    """What happened to a synthetic."""
    if before is None:
        return ChangeKind.CREATED
    ended = after.status == wire.SYNTHETIC_STATUS_RETIRED and before.status != wire.SYNTHETIC_STATUS_RETIRED
    return ChangeKind.RETIRED if ended else ChangeKind.UPDATED
