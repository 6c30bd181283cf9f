"""Answers of look-ups, read from the truth at one revision and serialized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.outcomes import LookupOutcome
from registry_service.instrument.convert import moment, service, stamp, wire
from registry_service.instrument.framing import chunk, entry
from registry_service.instrument.keys import BY_INSTRUMENT, BY_LISTING, answer_key, inside
from registry_service.instrument.lifecycle.validity import GONE, held_then, retirements, valid_at
from registry_service.instrument.lookups.choosing import Choice, Preferences, choose, prefer
from registry_service.instrument.lookups.outcomes import Decision, changes_by_itself, decide
from registry_service.instrument.trading.trading_rules import ruled_families
from registry_service.storage.model import Entity, EntityKind, IdentifierKey, IdentifierRow, Reader, Store

MOST_HOLDERS: Final = 1000
"""Holders of one name that an answer gives; an LEI of a bank names hundreds of thousands of instruments."""
_MOST_ROWS: Final = 2000
_HAS_ISIN: Final = f"scheme:{int(Scheme.ISIN)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A serialized LookupResult."""

    body: bytes
    lasting: bool
    """False where time alone will change it."""


@dataclass(slots=True)
class Evidence:
    """Everything the answers of a batch rest on, of one revision."""

    rows: Mapping[IdentifierKey, Sequence[IdentifierRow]]
    inside: Mapping[IdentifierKey, IdentifierKey]
    """The CUSIP or SEDOL inside the ISINs that nobody bears."""
    instruments: Mapping[str, Entity]
    listings: Mapping[str, Sequence[Entity]]
    contested: Mapping[str, str]
    retired: Mapping[str, datetime]
    """Since when the instruments that are gone have been."""
    as_of: datetime | None
    now: datetime
    parsed: dict[str, wire.Listing] = field(default_factory=dict)

    def borne(self, key: IdentifierKey) -> Sequence[IdentifierRow]:
        """The assertions of a name whose bearers are known."""
        return [row for row in self.rows.get(key, ()) if row.instrument_id in self.instruments]

    def derived(self, key: IdentifierKey) -> Sequence[IdentifierRow]:
        """Of an ISIN that nobody bears: who bears the number inside it, and no ISIN of its own, which would be another one."""
        found = self.borne(self.inside[key]) if key in self.inside else ()
        return [
            row
            for row in found
            if row.level == int(Level.INSTRUMENT) and _HAS_ISIN not in self.instruments[row.instrument_id].facets
        ]

    def listing(self, listing_id: str, owner: str) -> wire.Listing:
        """A listing of an instrument, parsed once."""
        if listing_id not in self.parsed:
            for one in self.listings.get(owner, ()):
                self.parsed[one.entity_id] = wire.Listing.FromString(one.body)
        return self.parsed.get(listing_id, wire.Listing())

    def in_force(self, one: wire.Listing) -> bool:
        """Whether a listing is one that can be preferred: at the time asked for, or now."""
        if self.as_of is None and one.status == wire.LISTING_STATUS_DELISTED:
            return False
        return held_then(one, self.as_of or self.now)

    def venue_of(self, row: IdentifierRow) -> str:
        """Where an assertion holds, if it can be preferred there."""
        if row.target_kind is not EntityKind.LISTING:
            return row.venue
        one = self.listing(row.target_id, row.instrument_id)
        return one.venue if self.in_force(one) else ""

    def primary(self, row: IdentifierRow) -> bool:
        """Whether an assertion holds of the primary listing."""
        if row.target_kind is EntityKind.LISTING:
            shown = [self.listing(row.target_id, row.instrument_id)]
        else:
            below = self.listings.get(row.instrument_id, ())
            shown = [self.listing(one.entity_id, row.instrument_id) for one in below]
            shown = [one for one in shown if one.venue == row.venue]
        return any(one.primary and self.in_force(one) for one in shown)

    def gone(self, instrument_id: str, as_of: datetime | None) -> bool:
        """Whether an instrument is retired or expired at a time."""
        held = self.instruments.get(instrument_id)
        if held is None or GONE.isdisjoint(held.facets):
            return False
        since = self.retired.get(instrument_id)
        return as_of is None or since is None or as_of >= since


class Answers:
    """Answers names and ids from the truth."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def at(self, keys: Sequence[IdentifierKey], revision: int, wanted: Preferences) -> list[Answer]:
        """One answer a question, in order, all as known at a revision."""
        evidence = await self.evidence(keys, revision, wanted.as_of)
        return [self.answer(key, evidence, wanted) for key in keys]

    async def evidence(self, keys: Sequence[IdentifierKey], revision: int, as_of: datetime | None) -> Evidence:
        """What is known of the questions at a revision."""
        now = datetime.now(UTC)
        keys = list(dict.fromkeys(keys))
        names = [key for key in keys if key.scheme > 0]
        async with self._store.reading() as reader:
            rows = dict(await reader.identifiers(names, revision, most=_MOST_ROWS)) if names else {}
            if len(names) < len(keys):
                rows.update(await _of_ids(reader, [key for key in keys if key.scheme < 0], revision))
            within = {key: number for key in names if not rows.get(key) and (number := inside(key)) is not None}
            if within:
                rows |= await reader.identifiers(list(dict.fromkeys(within.values())), revision, most=_MOST_ROWS)
            holders = dict.fromkeys(row.instrument_id for found in rows.values() for row in found)
            instruments, listings = await reader.families(
                EntityKind.INSTRUMENT, list(holders), EntityKind.LISTING, revision
            )
            contested = await _contested(reader, [*names, *within.values()], revision) if names else {}
        gone = [one.entity_id for one in instruments.values() if not GONE.isdisjoint(one.facets)]
        retired = await retirements(self._store, gone, revision) if gone else {}
        if as_of is not None:
            listings = await ruled_families(self._store, listings, as_of, revision)
        return Evidence(rows, within, instruments, listings, contested, retired, as_of, now)

    def answer(self, key: IdentifierKey, evidence: Evidence, wanted: Preferences) -> Answer:
        """The answer to one question."""
        rows = evidence.borne(key) or evidence.derived(key)
        decision = decide(rows, wanted.as_of, evidence.now, evidence.gone)
        choices: list[Choice] = []
        if wanted.choose:
            decision, choices = prefer(decision, wanted, evidence.venue_of, evidence.primary)
        body = _Result(key, decision, evidence, wanted, choices).serialized()
        return Answer(body, not changes_by_itself(rows, evidence.now))


class _Result:
    """One LookupResult in the making."""

    def __init__(
        self,
        key: IdentifierKey,
        decision: Decision,
        evidence: Evidence,
        wanted: Preferences,
        choices: list[Choice],
    ) -> None:
        self._key, self._decision, self._evidence, self._wanted = key, decision, evidence, wanted
        self._choices = choices
        self._explanations = [decision.explanation] if decision.explanation else []
        number = evidence.inside.get(key)
        if number is not None and (decision.rows or decision.spans):
            scheme = Scheme(number.scheme).name
            self._explanations.insert(0, f"nobody bears this ISIN; by the {scheme} {number.value} inside it")

    def serialized(self) -> bytes:
        """The message's bytes."""
        decision, evidence = self._decision, self._evidence
        holders = decision.holders
        entries = [chunk(2, self._entry(holder)) for holder in holders[:MOST_HOLDERS]]
        successors: list[str] = []
        if decision.outcome is LookupOutcome.RETIRED:
            for holder in holders:
                successors.extend(wire.Instrument.FromString(evidence.instruments[holder].body).successor_ids)
                since = evidence.retired.get(holder)
                if since is not None and (self._wanted.as_of is None or since <= self._wanted.as_of):
                    self._explanations.append(f"{holder} is gone since {since.isoformat(timespec='seconds')[:19]}Z")
        self._explanations.extend(str(one) for one in self._choices)
        self._tell_limits(len(holders))
        head = service.LookupResult(
            outcome=int(decision.outcome),  # type: ignore[arg-type]
            listing_ids=decision.listing_ids,
            spans=[_span(row) for row in decision.spans[:_MOST_ROWS]],
            successor_ids=list(dict.fromkeys(successors)),
            explanation="; ".join(dict.fromkeys(self._explanations)),
            choices=[
                service.ListingChoice(
                    rule=int(one.rule),  # type: ignore[arg-type]
                    venue=one.venue,
                    instrument_id=one.instrument_id,
                    considered=one.considered,
                    kept=one.kept,
                )
                for one in self._choices
            ],
        )
        return head.SerializeToString() + b"".join(entries)

    def _entry(self, holder: str) -> bytes:
        evidence, wanted, named = self._evidence, self._wanted, self._decision.listing_ids
        held, shown = evidence.instruments[holder], evidence.listings.get(holder, ())
        if wanted.choose and shown:
            shown = [one for one in shown if one.entity_id in named] if named else self._chosen(holder, shown)
        if wanted.as_of is not None:
            held, then = valid_at(held, shown, wanted.as_of)
            # As it was then, and not only where nothing of it has changed since.
            listed = {one.entity_id: one for one in then}
            shown = [
                listed.get(one.entity_id, one) for one in shown if one.entity_id in listed or one.entity_id in named
            ]
        return entry(held, shown)

    def _chosen(self, holder: str, shown: Sequence[Entity]) -> Sequence[Entity]:
        evidence = self._evidence

        def message(one: Entity) -> wire.Listing:
            return evidence.listing(one.entity_id, holder)

        def venue_of(one: Entity) -> str:
            return message(one).venue if evidence.in_force(message(one)) else ""

        def primary(one: Entity) -> bool:
            return message(one).primary and evidence.in_force(message(one))

        kept, choices = choose(shown, self._wanted, venue_of=venue_of, primary=primary, instrument_id=holder)
        self._choices.extend(choices)
        return kept

    def _tell_limits(self, holders: int) -> None:
        if holders > MOST_HOLDERS:
            self._explanations.append(f"the first {MOST_HOLDERS} are given")
        if len(self._evidence.rows.get(self._key, ())) >= _MOST_ROWS:
            self._explanations.append(f"only the {_MOST_ROWS} assertions recorded first were looked at: list by filter")
        number = self._evidence.inside.get(self._key)
        for one in [self._key, *([number] if number is not None else [])]:
            name = answer_key(one.scheme, one.value, one.venue) if one.scheme > 0 else ""
            case_id = self._evidence.contested.get(f"name:{name}")
            if case_id is not None:
                self._explanations.append(f"another entry contests it: collision case {case_id} is open")


async def _of_ids(
    reader: Reader, keys: Sequence[IdentifierKey], revision: int
) -> dict[IdentifierKey, Sequence[IdentifierRow]]:
    """Ids as if they were names: an id is borne by what it was minted for, a listing's for as long as the listing lasts."""
    found: dict[IdentifierKey, Sequence[IdentifierRow]] = {}
    listings = [key.value for key in keys if key.scheme == BY_LISTING]
    held = await reader.get(EntityKind.LISTING, listings, revision) if listings else {}
    for key in keys:
        if key.scheme == BY_INSTRUMENT:
            found[key] = (_bears(key, EntityKind.INSTRUMENT, key.value, None, None),)
        elif (one := held.get(key.value)) is not None:
            message = wire.Listing.FromString(one.body)
            start = moment(message.valid_from) if message.HasField("valid_from") else None
            end = moment(message.valid_to) if message.HasField("valid_to") else None
            found[key] = (_bears(key, EntityKind.LISTING, one.parent_id, start, end),)
    return found


def _bears(
    key: IdentifierKey, kind: EntityKind, instrument_id: str, start: datetime | None, end: datetime | None
) -> IdentifierRow:
    return IdentifierRow(key.scheme, key.value, "", 0, kind, key.value, instrument_id, start, end, "")


async def _contested(reader: Reader, keys: Sequence[IdentifierKey], revision: int) -> dict[str, str]:
    """The open collision case of each name that has one; the first by id where there are several."""
    names = list({f"name:{answer_key(key.scheme, key.value, key.venue)}": None for key in keys})
    is_open = f"state:{wire.COLLISION_STATE_OPEN}"
    found: dict[str, str] = {}
    for case in await reader.with_facets(EntityKind.COLLISION_CASE, is_open, names, revision):
        for facet in case.facets:
            if facet.startswith("name:"):
                found.setdefault(facet, case.entity_id)
    return found


def _span(row: IdentifierRow) -> service.IdentifierSpan:
    span = service.IdentifierSpan(instrument_id=row.instrument_id)
    if row.target_kind is EntityKind.LISTING:
        span.listing_id = row.target_id
    if row.valid_from is not None:
        span.valid_from.CopyFrom(stamp(row.valid_from))
    if row.valid_to is not None:
        span.valid_to.CopyFrom(stamp(row.valid_to))
    return span
