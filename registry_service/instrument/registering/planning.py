"""The steps that creating and extending an instrument share: naming listings, asserting names, opening cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from alphapulse.domain.errors import AlphaPulseError
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.ids import InstrumentId, ListingId
from registry_service.instrument.collisions import cases
from registry_service.instrument.convert import moment, service, wire
from registry_service.instrument.keys import SHARED, VENUE_SCOPED, entry_key, name_keys
from registry_service.instrument.queries.facets import instrument_facets
from registry_service.instrument.registering.drafts import (
    Claim,
    Draft,
    Minter,
    listing_key_of,
    signed,
    span_start,
)
from registry_service.instrument.registering.holdings import Holdings
from registry_service.instrument.registering.rules import overlap
from registry_service.storage.model import ChangeKind, Entity, EntityKind, IdentifierKey, IdentifierRow

MAX_SALT: Final = 64
_made: Final = tuple.__new__
"""Makes a named tuple in half the time."""
_INSTRUMENT: Final = EntityKind.INSTRUMENT
_LISTING: Final = EntityKind.LISTING
_INSTRUMENT_LEVEL: Final = int(Level.INSTRUMENT)
_HOW: Final[dict[int, str]] = {
    int(wire.COLLISION_KIND_LEVEL_CONFUSION): "claims it at another level",
    int(wire.COLLISION_KIND_ALIAS_SHADOWING): "claims it as one more name of its own",
}


@dataclass(slots=True)
class Registered:
    """What became of one entry."""

    outcome: service.RegistrationOutcome.ValueType
    instrument_id: str = ""
    listing_ids: list[str] = field(default_factory=list)
    """In the order of the entry; empty texts for listings kept in a case."""
    case_id: str = ""
    error: AlphaPulseError | None = None
    differences: Sequence[wire.FieldDifference] = ()
    """In what the entry differs from what is held and stays."""


@dataclass(slots=True)
class Step:
    """One entry while it is planned."""

    holdings: Holdings
    minter: Minter
    draft: Draft
    identity: InstrumentId
    result: Registered
    shared: frozenset[IdentifierKey] = frozenset()
    """Names that a person decided several instruments bear."""
    decided: bool = False
    """Whether a person decided about the entry: what its names only imply is not contested once more."""
    joined: bool = False
    """Whether a person decided that the entry is the instrument, whose names it may then bear others beside."""
    id: str = field(init=False)
    """The id the entry has, salted or not, as text."""

    def __post_init__(self) -> None:
        self.id = self.draft.hex if self.identity is self.draft.id else self.identity.hex

    def become(self, instrument_id: str) -> None:
        """The entry is about another instrument than its identity text says: one it was merged into, or linked to."""
        self.identity, self.id = InstrumentId.parse(instrument_id), instrument_id

    async def find_listing(self, at: int) -> tuple[ListingId, Entity | None, str]:
        """The id of a listing of the entry, what is registered under it, and the listing it collided with."""
        one, salt, collided = self.draft.listings[at], 0, ""
        while salt <= MAX_SALT:
            if salt == 0 and self.identity == self.draft.id:
                listing_id = self.draft.listing_ids[at]
            else:
                listing_id = self.minter.listing(one.venue, one.symbol, self.identity, salt)
            key = signed(listing_id.key)
            reserved = self.holdings.reserved.get(key)
            held = await self.holdings.listing(key)
            if held is None and reserved is None:
                if known := self._under(one.venue, one.symbol):
                    return ListingId.parse(known.entity_id), known, ""
                return listing_id, None, collided
            if held is not None and held.parent_id == self.id:
                message = wire.Listing.FromString(held.body)
                if message.venue == one.venue and bore(message, one.symbol):
                    return listing_id, held, collided
            collided = collided or (held.entity_id if held is not None else reserved or "")
            salt += 1
        raise AssertionError(f"{one.symbol} at {one.venue}: no free listing_key within {MAX_SALT} salts")

    def _under(self, venue: str, symbol: str) -> Entity | None:
        """A listing of the instrument that bears, or bore, a symbol and has the id of another one: it was renamed, or came
        with an instrument that was merged into this one."""
        there = f"venue:{venue}"
        found: Entity | None = None
        for held in self.holdings.children.get(self.id, {}).values():
            if there not in held.facets:
                continue
            message = wire.Listing.FromString(held.body)
            if message.symbol == symbol:
                return held
            if bore(message, symbol):
                found = held
        return found

    async def name_listing(self, at: int, listing_id: ListingId, collided: str) -> wire.Listing | None:
        """The message of a new listing; None where another instrument's listing bears its symbol: a case is open."""
        one = self.draft.listings[at]
        key = self.draft.symbols[at]
        start = span_start(one.valid_from, self.holdings.ended(key, self.id))
        message = wire.Listing()  # the entry stays as it came: it may be planned again, on other facts
        message.CopyFrom(self.draft.listing_messages[at])
        begun = one.valid_from is None or one.valid_from < self.holdings.now
        if message.status == wire.LISTING_STATUS_DELISTED and one.valid_to is None and begun:
            message.valid_to.CopyFrom(self.holdings.stamp)  # what is delisted has an end
        end = moment(message.valid_to) if message.HasField("valid_to") else None
        rows = self.holdings.holders(key, self.id, start, end)
        if rows and key not in self.shared:
            await self.contested_listing(at, rows)
            return None
        message.listing_id, message.listing_key, message.instrument_id = listing_id.hex, listing_id.key, self.id
        message.status = one.status.value  # type: ignore[assignment]
        if end is not None and end <= self.holdings.now:
            message.status = wire.LISTING_STATUS_DELISTED  # it had ended before it was registered
        message.definition_version = 1
        message.ClearField("events")  # what happened is recorded, not registered
        message.source = one.source or self.draft.message.source
        self.holdings.reserved[signed(listing_id.key)] = listing_id.hex
        if collided:
            await self.salted_case(
                collided, f"its listing_key is that of {one.symbol} at {one.venue}, which has a salted id", [message]
            )
        return message

    def stage_listing(self, listing: wire.Listing, owner: wire.Instrument | None) -> None:
        """Stages a new listing and the assertion of its symbol."""
        key = listing_key_of(listing.venue, listing.symbol)
        start = moment(listing.valid_from) if listing.HasField("valid_from") else None
        end = moment(listing.valid_to) if listing.HasField("valid_to") else None
        start = span_start(start, self.holdings.ended(key, self.id))
        revision = self.holdings.put_listing(listing, ChangeKind.CREATED, owner)
        if start is None or end is None or start < end:
            row = self.holdings.symbol_row(listing, revision, start, end)
            self.holdings.assert_name(row._replace(shared=key in self.shared), key)

    def contested(self) -> dict[int, list[IdentifierRow]]:
        """The claims that others hold at the same time, by their number."""
        found = {}
        names = self.holdings.names
        for at, claim in enumerate(self.draft.claims):
            if claim.key in names and claim.exclusive:
                start, end = self.start_of(claim), claim.assertion.valid_to
                rows = self.holdings.holders(claim.key, self.id, start, end)
                if rows and claim.key not in self.shared and not self.shares(claim.key, start, end):
                    found[at] = rows
        if not self.decided:
            for at, keys in self.draft.implied().items():
                if at not in found and (rows := self._implied(self.draft.claims[at], keys)):
                    found[at] = rows
        return found

    def _implied(self, claim: Claim, keys: Sequence[IdentifierKey]) -> list[IdentifierRow]:
        """Who bears a number inside an ISIN that is claimed, or an ISIN around the number that is: it is the same claim."""
        names, span = self.holdings.names, (claim.assertion.valid_from, claim.assertion.valid_to)
        rows = [
            row
            for key in keys
            if key in names
            for row in self.holdings.holders(key, self.id, *span)
            if row.level == _INSTRUMENT_LEVEL and not row.shared
        ]
        return rows if rows and not self.shares(claim.key, *span) else []

    def shares(self, key: IdentifierKey, start: datetime | None, end: datetime | None) -> bool:
        """Whether the instrument bears a name together with others, as a person decided."""
        own = [row for row in self.holdings.names.get(key, ()) if row.instrument_id == self.id and row.shared]
        return any(overlap(row.valid_from, row.valid_to, start, end) for row in own)

    def start_of(self, claim: Claim) -> datetime | None:
        """Where a claim begins: a venue gives a name anew only after its last bearer lost it."""
        if claim.key.scheme in VENUE_SCOPED:
            return span_start(claim.assertion.valid_from, self.holdings.ended(claim.key, self.id))
        return claim.assertion.valid_from

    def assert_claims(self, claims: Sequence[Claim], targets: Sequence[str], revision: int) -> None:
        """Stages the assertions the instrument does not have yet; of one that is registered `Holdings.load_shared` was called."""
        holdings, symbols, own_id, source = self.holdings, self.draft.symbols, self.id, self.draft.message.source
        names, rows = holdings.names, []
        for claim, target in zip(claims, targets, strict=True):
            one, key = claim.assertion, claim.key
            scheme, value, venue = key
            start, end = self.start_of(claim) if scheme in VENUE_SCOPED else one.valid_from, one.valid_to
            if key in symbols or ((key in names or scheme in SHARED) and holdings.bears(key, own_id, start, end)):
                continue  # the listing itself asserts its symbol; a name sent twice is one name
            if start is not None and end is not None and start >= end:
                continue
            kind = _INSTRUMENT if target == own_id else _LISTING
            who = (int(one.level), kind, target, own_id)
            known = (start, end, one.source or source, revision, None, key in self.shared)
            row = _made(IdentifierRow, (scheme, value, venue, *who, *known))
            rows.append(row)
            holdings.note(row, key)
        holdings.session.assert_identifiers(rows)

    def put_new(self, message: wire.Instrument, claims: Sequence[Claim], targets: Sequence[str]) -> int:
        """Stages the first version of the instrument, whose identifiers are these claims; its revision."""
        stamp = self.holdings.stamp
        message.instrument_id, message.identity_text = self.id, self.draft.text
        for name in ("merged_into", "predecessor_ids", "events"):
            message.ClearField(name)  # they say what the registry found out itself
        for one, target in zip(message.identifiers, targets, strict=True):
            one.target_id = target
            one.recorded_from.CopyFrom(stamp)  # what the caller says of it is never taken over
        keys = [entry_key(self.id)]
        for claim in claims:
            keys.extend(name_keys(claim.key.scheme, claim.key.value, claim.assertion.venue))
        facets = instrument_facets(message, tuple([claim.key.scheme for claim in claims]))
        return self.holdings.put_new(message, keys, facets)

    def target_of(self, claim: Claim, listings: Sequence[str]) -> str:
        """What a claim names: a listing of the entry that was entered, or the instrument."""
        listing = listings[claim.listing] if claim.listing is not None else ""
        return listing or self.id

    async def contested_claim(self, at: int, rows: Sequence[IdentifierRow]) -> cases.Claim:
        """The claim of a name that others bear."""
        claim = self.draft.claims[at]
        one = claim.assertion
        if claim.key.scheme in VENUE_SCOPED:
            kind = wire.COLLISION_KIND_TICKER_REUSE
        elif all(row.level != one.level for row in rows):
            kind = wire.COLLISION_KIND_LEVEL_CONFUSION
        elif self.id not in self.holdings.instruments and self.draft.text.endswith(f"|{claim.key.value}"):
            kind = wire.COLLISION_KIND_SAME_ID_TWO_ENTITIES
        else:
            kind = wire.COLLISION_KIND_ALIAS_SHADOWING
        incumbents = sorted({row.instrument_id for row in rows})
        where = f" at {one.venue}" if claim.key.venue else ""
        how = _HOW.get(kind, "claims it, too")
        if rows[0].value != one.value:  # of an ISIN and the number inside it
            where = f" is the same claim as {Scheme(rows[0].scheme).name} {rows[0].value}, which"
        why = f"{one.scheme.name} {one.value}{where} is borne by {', '.join(incumbents)}; {self.id} {how}"
        listings = self.draft.listing_messages
        return await self.claim(kind, self.draft.message.identifiers[at], incumbents, listings, why, rows)

    async def claim(
        self,
        kind: wire.CollisionKind.ValueType,
        identifier: wire.IdentifierAssertion | None,
        incumbents: Sequence[str],
        listings: Sequence[wire.Listing],
        why: str,
        rows: Sequence[IdentifierRow] = (),
    ) -> cases.Claim:
        """What is contested, with the evidence of who holds it."""
        holders = {}
        for one in {row.instrument_id for row in rows}:
            if held := await self.holdings.instrument(one):
                holders[one] = wire.Instrument.FromString(held.body)
        evidence = cases.evidence_of(rows, holders)
        return cases.Claim(kind, identifier, incumbents, self.draft.message, self.id, listings, why, evidence)

    async def open(self, claim: cases.Claim) -> wire.CollisionCase:
        """Opens a case, or counts its claim; the entry's outcome is COLLISION."""
        case = await cases.raise_case(self.holdings.session, claim, self.holdings.now)
        self.result.case_id = self.result.case_id or case.case_id
        self.result.outcome = service.REGISTRATION_OUTCOME_COLLISION
        return case

    async def salted_case(self, incumbent: str, why: str, listings: Sequence[wire.Listing] = ()) -> None:
        """Opens the case of an id that was taken."""
        kind = wire.COLLISION_KIND_SAME_ID_TWO_ENTITIES
        await self.open(await self.claim(kind, None, [incumbent], listings, f"{incumbent}: {why}"))

    async def contested_listing(self, at: int, rows: Sequence[IdentifierRow]) -> None:
        """Opens the case of a venue's symbol that another instrument's listing bears."""
        one = self.draft.listings[at]
        incumbents = sorted({row.instrument_id for row in rows})
        identifier = self._symbol(at)
        identifier.scheme, identifier.level = rows[0].scheme, rows[0].level  # type: ignore[assignment]
        why = f"{one.symbol} at {one.venue} lists {', '.join(incumbents)}; {self.id} is said to be listed under it, too"
        sent = [self.draft.listing_messages[at]]
        kind = wire.COLLISION_KIND_TICKER_REUSE
        await self.open(await self.claim(kind, identifier, incumbents, sent, why, rows))

    async def contradicted_listing(self, at: int, held: wire.Listing) -> None:
        """Opens the case of a listing said to trade in another currency than the registered one: that is another listing."""
        one = self.draft.listings[at]
        why = f"{one.symbol} at {one.venue} trades in {held.currency}; it is said to trade in {one.currency}, too"
        sent = [self.draft.listing_messages[at]]
        kind = wire.COLLISION_KIND_SAME_ID_TWO_ENTITIES
        claim = await self.claim(kind, self._symbol(at), [self.id], sent, why)
        await self.open(replace(claim, variant=one.currency))

    def _symbol(self, at: int) -> wire.IdentifierAssertion:
        one = self.draft.listings[at]
        return wire.IdentifierAssertion(
            scheme=int(Scheme.EXCHANGE_SYMBOL),  # type: ignore[arg-type]
            value=one.symbol,
            level=int(Level.LISTING),  # type: ignore[arg-type]
            venue=one.venue,
            source=one.source or self.draft.message.source,
        )


def bore(listing: wire.Listing, symbol: str) -> bool:
    """Whether a listing has, or had, this symbol."""
    if listing.symbol == symbol:
        return True
    changes = [one.symbol_change for one in listing.events if one.HasField("symbol_change")]
    return any(symbol in (one.old_symbol, one.new_symbol) for one in changes)
