"""Collision cases: two claims that cannot both be true, kept with both sides until a person decides.

One case stands for one claim against the same holders: the claim sent again is counted there, and what was decided holds for
it from then on. Counting leaves the etag alone, so that a source that repeats itself makes nobody's decision stale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from registry_service.instrument.convert import stamp, wire
from registry_service.instrument.keys import answer_key, entry_key, name_keys, truth_key
from registry_service.storage.model import (
    ChangeKind,
    Entity,
    EntityKind,
    IdentifierRow,
    WriteSession,
)

MOST_EVIDENCE: Final = 100
"""Holders told of in one case."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What is contested, by whom, and against whom."""

    kind: wire.CollisionKind.ValueType
    identifier: wire.IdentifierAssertion | None
    incumbents: Sequence[str]
    challenger: wire.Instrument
    challenger_id: str
    listings: Sequence[wire.Listing]
    explanation: str
    evidence: Sequence[wire.CollisionEvidence] = ()
    differences: Sequence[wire.FieldDifference] = ()
    variant: str = ""
    """What tells this claim from others of the same entry against the same holders, such as the name it came under."""

    @property
    def case_id(self) -> str:
        """The same for the same claim against the same holders: sending it again opens no second case."""
        one = self.identifier
        name = f"{one.scheme}|{one.venue}|{one.value}" if one is not None else ""
        parts = ["case", str(self.kind), *sorted(self.incumbents), self.challenger_id, name]
        text = "|".join([*parts, self.variant] if self.variant else parts)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def case_facets(case: wire.CollisionCase) -> tuple[str, ...]:
    """What cases are listed by, and found by in a look-up."""
    facets = {f"state:{case.state}", f"kind:{case.kind}", f"instrument:{case.challenger_id}"}
    facets.update(f"instrument:{one}" for one in case.incumbent_ids)
    if case.HasField("identifier"):
        one = case.identifier
        own = truth_key(one.scheme, one.value, one.venue)
        facets.update({f"name:{answer_key(*own)}", f"name:{answer_key(own.scheme, own.value)}"})
    return tuple(sorted(facets))


def evidence_of(rows: Iterable[IdentifierRow], holders: dict[str, wire.Instrument]) -> list[wire.CollisionEvidence]:
    """Who holds a name, since when and by which source."""
    found = []
    for row in list(rows)[:MOST_EVIDENCE]:
        held = holders.get(row.instrument_id, wire.Instrument())
        one = wire.CollisionEvidence(
            instrument_id=row.instrument_id,
            listing_id=row.target_id if row.target_kind is EntityKind.LISTING else "",
            name=held.name,
            asset_class=held.asset_class,
            level=row.level,  # type: ignore[arg-type]
            source=row.source,
            recorded_revision=row.recorded_revision,
        )
        if row.valid_from is not None:
            one.valid_from.CopyFrom(stamp(row.valid_from))
        if row.valid_to is not None:
            one.valid_to.CopyFrom(stamp(row.valid_to))
        found.append(one)
    return found


async def read_case(session: WriteSession, case_id: str) -> wire.CollisionCase | None:
    """The case as it is now."""
    held = (await session.get(EntityKind.COLLISION_CASE, [case_id])).get(case_id)
    return wire.CollisionCase.FromString(held.body) if held is not None else None


async def raise_case(session: WriteSession, claim: Claim, now: datetime) -> wire.CollisionCase:
    """The case of a claim: opened, or counted once more where it is open; one that was decided stays as it is."""
    case = await read_case(session, claim.case_id)
    if case is not None:
        if case.state == wire.COLLISION_STATE_OPEN:
            case.sightings += 1
            case.last_seen_time.CopyFrom(stamp(now))
            put_case(session, case, ChangeKind.UPDATED)
        return case
    case = wire.CollisionCase(
        case_id=claim.case_id,
        kind=claim.kind,
        state=wire.COLLISION_STATE_OPEN,
        incumbent_ids=sorted(claim.incumbents),
        challenger=claim.challenger,
        challenger_id=claim.challenger_id,
        challenger_listings=claim.listings,
        explanation=claim.explanation,
        evidence=claim.evidence,
        differences=claim.differences,
        sightings=1,
        create_time=stamp(now),
        last_seen_time=stamp(now),
    )
    if claim.identifier is not None:
        case.identifier.CopyFrom(claim.identifier)
    put_case(session, case, ChangeKind.CREATED)
    return case


def put_case(session: WriteSession, case: wire.CollisionCase, change: ChangeKind) -> int:
    """Stages a version of a case; its revision, and but for a mere sighting its etag, are filled here."""
    revision = session.next_revision()
    case.revision = revision
    keys: list[str] = []
    if change is ChangeKind.CREATED or case.state != wire.COLLISION_STATE_OPEN:
        case.etag = str(revision)
        keys = [entry_key(one) for one in case.incumbent_ids]
        if case.HasField("identifier"):
            keys.extend(name_keys(case.identifier.scheme, case.identifier.value, case.identifier.venue))
    entity = Entity(EntityKind.COLLISION_CASE, case.case_id, case.SerializeToString(), revision, case_facets(case))
    session.put(entity, change, tuple(dict.fromkeys(keys)))
    return revision
