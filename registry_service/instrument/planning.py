"""The steps that creating and extending an instrument share: naming listings, asserting names, opening cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from alphapulse.domain.errors import AlphaPulseError
from alphapulse.domain.identifiers import Level, Scheme
from alphapulse.domain.ids import InstrumentId, ListingId
from registry_service.instrument.cases import open_case
from registry_service.instrument.convert import moment, service, wire
from registry_service.instrument.drafts import Claim, Draft, Minter, listing_key_of, signed, span_start
from registry_service.instrument.facets import instrument_facets
from registry_service.instrument.holdings import Holdings
from registry_service.instrument.keys import VENUE_SCOPED, entry_key, name_keys
from registry_service.storage.model import ChangeKind, Entity, EntityKind, IdentifierRow

MAX_SALT: Final = 64
_INSTRUMENT: Final = EntityKind.INSTRUMENT
_LISTING: Final = EntityKind.LISTING


@dataclass(slots=True)
class Registered:
    """What became of one entry."""

    outcome: service.RegistrationOutcome.ValueType
    instrument_id: str = ""
    listing_ids: list[str] = field(default_factory=list)
    """In the order of the entry; empty texts for listings kept in a case."""
    case_id: str = ""
    error: AlphaPulseError | None = None


@dataclass(slots=True)
class Step:
    """One entry while it is planned."""

    holdings: Holdings
    minter: Minter
    draft: Draft
    identity: InstrumentId
    result: Registered
    id: str = field(init=False)
    """The id the entry has, salted or not, as text."""

    def __post_init__(self) -> None:
        self.id = self.draft.hex if self.identity is self.draft.id else self.identity.hex

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
                return listing_id, None, collided
            if held is not None and held.parent_id == self.id:
                known = wire.Listing.FromString(held.body)
                if (known.venue, known.symbol) == (one.venue, one.symbol):
                    return listing_id, held, collided
            collided = collided or (held.entity_id if held is not None else reserved or "")
            salt += 1
        raise AssertionError(f"{one.symbol} at {one.venue}: no free listing_key within {MAX_SALT} salts")

    async def name_listing(self, at: int, listing_id: ListingId, collided: str) -> wire.Listing | None:
        """The message of a new listing; None where another instrument's listing bears its symbol: a case is open."""
        one = self.draft.listings[at]
        key = self.draft.symbols[at]
        start = span_start(one.valid_from, self.holdings.ended(key, self.id))
        message = self.draft.listing_messages[at]
        begun = one.valid_from is None or one.valid_from < self.holdings.now
        if message.status == wire.LISTING_STATUS_DELISTED and one.valid_to is None and begun:
            message.valid_to.CopyFrom(self.holdings.stamp)  # what is delisted has an end
        end = moment(message.valid_to) if message.HasField("valid_to") else None
        rows = self.holdings.holders(key, self.id, start, end)
        if rows:
            await self.contested_listing(at, rows)
            return None
        message.listing_id, message.listing_key, message.instrument_id = listing_id.hex, listing_id.key, self.id
        message.status = one.status.value  # type: ignore[assignment]
        message.definition_version = 1
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
            self.holdings.assert_name(self.holdings.symbol_row(listing, revision, start, end), key)

    def contested(self) -> dict[int, list[IdentifierRow]]:
        """The claims that others hold at the same time, by their number."""
        found = {}
        names = self.holdings.names
        for at, claim in enumerate(self.draft.claims):
            if claim.key in names and claim.exclusive:
                end = claim.assertion.valid_to
                rows = self.holdings.holders(claim.key, self.id, self.start_of(claim), end)
                if rows:
                    found[at] = rows
        return found

    def start_of(self, claim: Claim) -> datetime | None:
        """Where a claim begins: a venue gives a name anew only after its last bearer lost it."""
        if claim.key.scheme in VENUE_SCOPED:
            return span_start(claim.assertion.valid_from, self.holdings.ended(claim.key, self.id))
        return claim.assertion.valid_from

    def assert_claims(self, claims: Sequence[Claim], targets: Sequence[str], revision: int) -> None:
        """Stages the assertions the instrument does not have yet."""
        holdings, symbols, own_id, source = self.holdings, self.draft.symbols, self.id, self.draft.message.source
        for claim, target in zip(claims, targets, strict=True):
            one, key = claim.assertion, claim.key
            start, end = self.start_of(claim), one.valid_to
            if key in symbols or holdings.bears(key, own_id, start, end):
                continue  # the listing itself asserts its symbol; a name sent twice is one name
            if start is not None and end is not None and start >= end:
                continue
            kind = _INSTRUMENT if target == own_id else _LISTING
            scheme, value, venue = key
            row = IdentifierRow(
                *(
                    scheme,
                    value,
                    venue,
                    int(one.level),
                    kind,
                    target,
                    own_id,
                    start,
                    end,
                    one.source or source,
                    revision,
                )
            )
            holdings.assert_name(row, key)

    def put_new(self, message: wire.Instrument, claims: Sequence[Claim], targets: Sequence[str]) -> int:
        """Stages the first version of the instrument, whose identifiers are these claims; its revision."""
        stamp = self.holdings.stamp
        message.instrument_id, message.identity_text = self.id, self.draft.text
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

    async def contested_claim(self, at: int, rows: Sequence[IdentifierRow]) -> None:
        """Opens the case of a name that others bear."""
        claim = self.draft.claims[at]
        one = claim.assertion
        if claim.key.scheme in VENUE_SCOPED:
            kind = wire.COLLISION_KIND_TICKER_REUSE
        elif all(row.level != one.level for row in rows):
            kind = wire.COLLISION_KIND_LEVEL_CONFUSION
        else:
            kind = wire.COLLISION_KIND_SAME_ID_TWO_ENTITIES
        incumbents = sorted({row.instrument_id for row in rows})
        where = f" at {one.venue}" if claim.key.venue else ""
        why = f"{one.scheme.name} {one.value}{where} is borne by {', '.join(incumbents)}; {self.id} claims it, too"
        await self.open(kind, self.draft.message.identifiers[at], incumbents, self.draft.listing_messages, why)

    async def salted_case(self, incumbent: str, why: str, listings: Sequence[wire.Listing] = ()) -> None:
        """Opens the case of an id that was taken."""
        kind = wire.COLLISION_KIND_SAME_ID_TWO_ENTITIES
        await self.open(kind, None, [incumbent], listings, f"{incumbent}: {why}")

    async def open(
        self,
        kind: wire.CollisionKind.ValueType,
        identifier: wire.IdentifierAssertion | None,
        incumbents: Sequence[str],
        listings: Sequence[wire.Listing],
        why: str,
    ) -> None:
        """Opens a case, or finds it open; the entry's outcome is COLLISION."""
        case_id, _ = await open_case(
            self.holdings.session,
            kind=kind,
            identifier=identifier,
            incumbents=incumbents,
            challenger=self.draft.message,
            challenger_id=self.id,
            challenger_listings=listings,
            explanation=why,
            now=self.holdings.now,
        )
        self.result.case_id = self.result.case_id or case_id
        self.result.outcome = service.REGISTRATION_OUTCOME_COLLISION

    async def contested_listing(self, at: int, rows: Sequence[IdentifierRow]) -> None:
        """Opens the case of a venue's symbol that another instrument's listing bears."""
        one = self.draft.listings[at]
        incumbents = sorted({row.instrument_id for row in rows})
        identifier = wire.IdentifierAssertion(
            scheme=rows[0].scheme,  # type: ignore[arg-type]
            value=one.symbol,
            level=rows[0].level,  # type: ignore[arg-type]
            venue=one.venue,
            source=one.source or self.draft.message.source,
        )
        why = f"{one.symbol} at {one.venue} lists {', '.join(incumbents)}; {self.id} is said to be listed under it, too"
        sent = [self.draft.listing_messages[at]]
        await self.open(wire.COLLISION_KIND_TICKER_REUSE, identifier, incumbents, sent, why)

    async def contradicted_listing(self, at: int, held: wire.Listing) -> None:
        """Opens the case of a listing said to trade in another currency than the registered one: that is another listing."""
        one = self.draft.listings[at]
        identifier = wire.IdentifierAssertion(
            scheme=int(Scheme.EXCHANGE_SYMBOL),  # type: ignore[arg-type]
            value=one.symbol,
            level=int(Level.LISTING),  # type: ignore[arg-type]
            venue=one.venue,
            source=one.source or self.draft.message.source,
        )
        why = f"{one.symbol} at {one.venue} trades in {held.currency}; it is said to trade in {one.currency}, too"
        sent = [self.draft.listing_messages[at]]
        await self.open(wire.COLLISION_KIND_SAME_ID_TWO_ENTITIES, identifier, [self.id], sent, why)
