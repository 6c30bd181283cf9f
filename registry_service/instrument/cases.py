"""Collision cases: two claims that cannot both be true, kept with both sides until a person decides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from registry_service.instrument.convert import stamp, wire
from registry_service.instrument.keys import entry_key, name_keys
from registry_service.storage.model import ChangeKind, Entity, EntityKind, WriteSession


def case_id_of(
    kind: int, identifier: wire.IdentifierAssertion | None, incumbents: Sequence[str], challenger: str
) -> str:
    """The same for the same claim against the same holders: sending it again opens no second case."""
    name = f"{identifier.scheme}|{identifier.venue}|{identifier.value}" if identifier is not None else ""
    text = "|".join(["case", str(kind), *sorted(incumbents), challenger, name])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def case_facets(case: wire.CollisionCase, challenger_id: str) -> tuple[str, ...]:
    """What cases are listed by, and found by in a look-up."""
    facets = {f"state:{case.state}", f"kind:{case.kind}", f"instrument:{challenger_id}"}
    facets.update(f"instrument:{one}" for one in case.incumbent_ids)
    if case.HasField("identifier"):
        one = case.identifier
        facets.update(f"name:{key}" for key in name_keys(one.scheme, one.value, one.venue))
    return tuple(sorted(facets))


async def open_case(
    session: WriteSession,
    *,
    kind: int,
    identifier: wire.IdentifierAssertion | None,
    incumbents: Sequence[str],
    challenger: wire.Instrument,
    challenger_id: str,
    challenger_listings: Sequence[wire.Listing],
    explanation: str,
    now: datetime,
) -> tuple[str, bool]:
    """The id of the case, and whether it is new; one that is there already stays as it is, decided or not."""
    case_id = case_id_of(kind, identifier, incumbents, challenger_id)
    if await session.get(EntityKind.COLLISION_CASE, [case_id]):
        return case_id, False
    revision = session.next_revision()
    case = wire.CollisionCase(
        case_id=case_id,
        kind=kind,  # type: ignore[arg-type]
        state=wire.COLLISION_STATE_OPEN,
        incumbent_ids=sorted(incumbents),
        challenger=challenger,
        challenger_listings=challenger_listings,
        explanation=explanation,
        create_time=stamp(now),
        revision=revision,
        etag=str(revision),
    )
    keys = [entry_key(one) for one in incumbents]
    if identifier is not None:
        case.identifier.CopyFrom(identifier)
        keys.extend(name_keys(identifier.scheme, identifier.value, identifier.venue))
    entity = Entity(
        EntityKind.COLLISION_CASE, case_id, case.SerializeToString(), revision, case_facets(case, challenger_id)
    )
    session.put(entity, ChangeKind.CREATED, keys)
    return case_id, True
