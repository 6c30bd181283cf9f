"""Answers of look-ups, read from the truth at one revision and serialized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from alphapulse.domain.outcomes import LookupOutcome
from registry_service.instrument.convert import service, stamp, wire
from registry_service.instrument.framing import chunk, entry
from registry_service.instrument.keys import answer_key
from registry_service.instrument.outcomes import Decision, changes_by_itself, decide, prefer
from registry_service.instrument.validity import GONE, held_then, retirements, valid_at
from registry_service.storage.model import Entity, EntityKind, IdentifierKey, IdentifierRow, Query, Store

_MOST_CASES = 1000


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a caller asks beyond the name."""

    as_of: datetime | None = None
    primary_only: bool = False
    venues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A serialized LookupResult."""

    body: bytes
    lasting: bool
    """False where time alone will change it."""


@dataclass(slots=True)
class _Evidence:
    """Everything the answers of a batch rest on, of one revision."""

    rows: Mapping[IdentifierKey, Sequence[IdentifierRow]]
    instruments: Mapping[str, Entity]
    listings: Mapping[str, Sequence[Entity]]
    contested: Mapping[str, str]
    retired: Mapping[str, datetime]
    """Since when the instruments that are gone have been; read where a caller names a time."""
    as_of: datetime | None
    now: datetime
    parsed: dict[str, wire.Listing] = field(default_factory=dict)

    def listing(self, listing_id: str, owner: str) -> wire.Listing:
        """A listing of an instrument, parsed once."""
        if listing_id not in self.parsed:
            for one in self.listings.get(owner, ()):
                self.parsed[one.entity_id] = wire.Listing.FromString(one.body)
        return self.parsed.get(listing_id, wire.Listing())

    def in_force(self, listing_id: str, owner: str) -> bool:
        """Whether a listing is one that can be preferred: at the time asked for, or now."""
        one = self.listing(listing_id, owner)
        if self.as_of is None and one.status == wire.LISTING_STATUS_DELISTED:
            return False
        return held_then(one, self.as_of or self.now)


class Answers:
    """Answers names from the truth."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def at(self, keys: Sequence[IdentifierKey], revision: int, wanted: Preferences) -> list[Answer]:
        """One answer a name, in order, all as known at a revision."""
        now = datetime.now(UTC)
        evidence = await self._evidence(keys, revision, wanted.as_of, now)
        return [self._answer(key, evidence, wanted) for key in keys]

    async def _evidence(
        self, keys: Sequence[IdentifierKey], revision: int, as_of: datetime | None, now: datetime
    ) -> _Evidence:
        rows = await self._store.identifiers(list(dict.fromkeys(keys)), revision)
        ids = list({row.instrument_id for found in rows.values() for row in found})
        instruments: Mapping[str, Entity] = {}
        listings: Mapping[str, Sequence[Entity]] = {}
        if ids:
            instruments = await self._store.get(EntityKind.INSTRUMENT, ids, revision)
            listings = await self._store.children(EntityKind.LISTING, ids, revision)
        retired: Mapping[str, datetime] = {}
        if as_of is not None:
            gone = [one.entity_id for one in instruments.values() if not GONE.isdisjoint(one.facets)]
            retired = await retirements(self._store, gone, revision)
        return _Evidence(rows, instruments, listings, await self._contested(keys, revision), retired, as_of, now)

    async def _contested(self, keys: Sequence[IdentifierKey], revision: int) -> dict[str, str]:
        """The open collision case of each name that has one."""
        names = tuple({f"name:{answer_key(key.scheme, key.value, key.venue)}" for key in keys})
        query = Query(EntityKind.COLLISION_CASE, ((f"state:{wire.COLLISION_STATE_OPEN}",), names))
        found = await self._store.page(query, after_id="", limit=_MOST_CASES, at_revision=revision)
        return {facet: case.entity_id for case in found for facet in case.facets if facet.startswith("name:")}

    def _answer(self, key: IdentifierKey, evidence: _Evidence, wanted: Preferences) -> Answer:
        rows = evidence.rows.get(key, ())

        def gone(instrument_id: str, as_of: datetime | None) -> bool:
            held = evidence.instruments.get(instrument_id)
            if held is None or GONE.isdisjoint(held.facets):
                return False
            since = evidence.retired.get(instrument_id)
            return as_of is None or since is None or as_of >= since

        def venue_of(listing_id: str) -> str:
            owner = owners[listing_id]
            return evidence.listing(listing_id, owner).venue if evidence.in_force(listing_id, owner) else ""

        def primary(listing_id: str) -> bool:
            owner = owners[listing_id]
            return evidence.listing(listing_id, owner).primary and evidence.in_force(listing_id, owner)

        decision = decide(rows, wanted.as_of, evidence.now, gone)
        if wanted.venues or wanted.primary_only:
            owners = {row.target_id: row.instrument_id for row in decision.rows}
            decision = prefer(decision, wanted.venues, venue_of, primary if wanted.primary_only else None)
        body = self._serialized(key, decision, evidence, wanted)
        return Answer(body, not changes_by_itself(rows, evidence.now))

    def _serialized(self, key: IdentifierKey, decision: Decision, evidence: _Evidence, wanted: Preferences) -> bytes:
        explanation = decision.explanation
        case_id = evidence.contested.get(f"name:{answer_key(key.scheme, key.value, key.venue)}")
        if case_id is not None:
            claim = f"another entry contests it: collision case {case_id} is open"
            explanation = f"{explanation}; {claim}" if explanation else claim
        successors: list[str] = []
        entries = []
        for holder in decision.holders:
            held = evidence.instruments.get(holder)
            if held is None:
                continue
            if decision.outcome is LookupOutcome.RETIRED:
                successors.extend(wire.Instrument.FromString(held.body).successor_ids)
            shown, why = self._shown(holder, decision, evidence, wanted)
            if why and why not in explanation:
                explanation = f"{explanation}; {why}" if explanation else why
            if wanted.as_of is not None:
                named = decision.listing_ids
                held, then = valid_at(held, shown, wanted.as_of)
                shown = [one for one in shown if one in then or one.entity_id in named]
            entries.append(chunk(2, entry(held, shown)))
        head = service.LookupResult(
            outcome=int(decision.outcome),  # type: ignore[arg-type]
            listing_ids=decision.listing_ids,
            spans=[_span(row) for row in decision.spans],
            successor_ids=successors,
            explanation=explanation,
        )
        return head.SerializeToString() + b"".join(entries)

    def _shown(
        self, holder: str, decision: Decision, evidence: _Evidence, wanted: Preferences
    ) -> tuple[Sequence[Entity], str]:
        """The listings of a holder that a caller wants to see, and the rule that left others out."""
        listings = evidence.listings.get(holder, ())
        if not listings or not (wanted.primary_only or wanted.venues):
            return listings, ""
        if named := decision.listing_ids:
            return [one for one in listings if one.entity_id in named], ""
        kept, why = listings, ""
        in_force = {one.entity_id for one in listings if evidence.in_force(one.entity_id, holder)}
        if wanted.primary_only:
            primary = [
                one for one in kept if one.entity_id in in_force and evidence.listing(one.entity_id, holder).primary
            ]
            why = f"primary_only: {len(primary)} of {len(kept)} listings"
            kept = primary or kept
            if not primary:
                why = "primary_only: no listing in force is marked primary, all are given"
        for at, venue in enumerate(wanted.venues):
            there = [
                one
                for one in kept
                if one.entity_id in in_force and evidence.listing(one.entity_id, holder).venue == venue
            ]
            if there:
                return there, f"preferred_venues[{at}] {venue}: {len(there)} of {len(kept)} listings"
        return kept, why


def _span(row: IdentifierRow) -> service.IdentifierSpan:
    span = service.IdentifierSpan(instrument_id=row.instrument_id)
    if row.target_kind is EntityKind.LISTING:
        span.listing_id = row.target_id
    if row.valid_from is not None:
        span.valid_from.CopyFrom(stamp(row.valid_from))
    if row.valid_to is not None:
        span.valid_to.CopyFrom(stamp(row.valid_to))
    return span
