"""What happens to an instrument: another name, other identifiers, a merger, a spin-off."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from alphapulse.domain.errors import Collision, FailedPrecondition, FieldViolation, InvalidArgument
from alphapulse.domain.identifiers import Scheme, identifier_type
from alphapulse.domain.ids import InstrumentId
from alphapulse.domain.invisible import broken_sight
from alphapulse.domain.validation import MAX_IDENTIFIERS, NAME_LENGTH
from registry_service.instrument.convert import moment, stamp, usual_level, wire
from registry_service.instrument.keys import SHARED, VENUE_SCOPED, truth_key
from registry_service.instrument.lifecycle.events import add_event, name_at
from registry_service.instrument.lifecycle.listing_events import ListingEvents, replace_assertion
from registry_service.instrument.lifecycle.moves import Changes, assertions_of, key_of, span_of_row
from registry_service.instrument.lookups.outcomes import holds_at
from registry_service.instrument.registering.extension import assertion_of
from registry_service.instrument.registering.linking import instrument
from registry_service.instrument.registering.rules import derived_mismatch, overlap
from registry_service.instrument.registering.single import rival, second
from registry_service.storage.model import ChangeKind, EntityKind, IdentifierKey, IdentifierRow

_SCHEMES: Final = {int(scheme): scheme for scheme in Scheme}


@dataclass(slots=True)
class InstrumentEvents:
    """Stages the effect of an event on an instrument."""

    changes: Changes
    held: wire.Instrument
    event: wire.LifecycleEvent
    at: datetime

    def name_change(self) -> None:
        """Another name from then on. One recorded late stands before a later one, and leaves the name of today alone."""
        part, held, field = self.event.name_change, self.held, "event.name_change.new_name"
        if not part.new_name.strip() or len(part.new_name) > NAME_LENGTH:
            rule = f"1 to {NAME_LENGTH} characters"
            raise InvalidArgument.field(field, part.new_name, "text-length", rule)
        if (hidden := broken_sight(part.new_name)) is not None:
            raise InvalidArgument.field(field, part.new_name, "text-invisible", hidden)
        part.old_name = name_at(held, self.at)
        if part.new_name == part.old_name:
            raise InvalidArgument.field(field, part.new_name, "no-change", "it had this name at that time already")
        later = [one for one in held.events if one.HasField("name_change") and moment(one.effective_time) > self.at]
        if later:
            later[0].name_change.old_name = part.new_name
        else:
            held.name = part.new_name
        add_event(held, self.event)
        self._put(held, ChangeKind.UPDATED)

    async def identifier_change(self) -> None:
        """One identifier ends where another begins; all of the event together."""
        planned = await self._replacements()
        held, before = self.held, wire.Instrument.FromString(self.held.SerializeToString())
        for row, key, level in planned:
            if row is not None:
                replace_assertion(held, row, key.value if key is not None else "", self.at, self.event.source)
            elif key is not None:
                added = held.identifiers.add(scheme=key.scheme, value=key.value, venue=key.venue, level=level)
                added.target_id = held.instrument_id
                added.source = self.event.source
                added.valid_from.CopyFrom(stamp(self.at))
        self._check(held, {key for _, key, _ in planned if key is not None})
        add_event(held, self.event)
        revision = self._put(held, ChangeKind.UPDATED, also=before)
        for row, key, level in planned:
            self._stage(row, key, level, revision)

    async def merger(self) -> None:
        """The instrument ends: its listings, its identifiers, itself; what took its place is named on both sides."""
        held, before = self.held, wire.Instrument.FromString(self.held.SerializeToString())
        successors = await self._others(list(self.event.merger.successor_ids), "event.merger.successor_ids")
        await self._end_listings()
        rows = [row for row in await self.changes.rows_of(held.instrument_id) if self._goes_on(row)]
        for row in rows:
            if row.valid_from is not None and row.valid_from >= self.at:
                rule = f"{row.value} begins at {row.valid_from.isoformat()}, and would end before"
                raise InvalidArgument.field("event.effective_time", self.at.isoformat(), "after-the-start", rule)
            for one in assertions_of(held, row):
                one.valid_to.CopyFrom(stamp(self.at))
                one.ClearField("recorded_from")
        held.status = wire.INSTRUMENT_STATUS_RETIRED
        held.successor_ids.extend(
            [one.instrument_id for one in successors if one.instrument_id not in held.successor_ids]
        )
        add_event(held, self.event)
        revision = self._put(held, ChangeKind.RETIRED, also=before)
        for row in rows:
            self.changes.holdings.close_name(row, key_of(row), revision)
            self.changes.holdings.assert_name(row._replace(valid_to=self.at, recorded_revision=revision), key_of(row))
        self._tell(successors)

    async def spin_off(self) -> None:
        """Others came out of the instrument; it goes on."""
        others = await self._others(list(self.event.spin_off.spun_off_ids), "event.spin_off.spun_off_ids")
        add_event(self.held, self.event)
        self._put(self.held, ChangeKind.UPDATED)
        self._tell(others)

    def _tell(self, others: list[wire.Instrument]) -> None:
        """The instruments after the event name the one before it."""
        for one in others:
            if self.held.instrument_id not in one.predecessor_ids:
                one.predecessor_ids.append(self.held.instrument_id)
            add_event(one, self.event)
            self._put(one, ChangeKind.UPDATED)

    async def _end_listings(self) -> None:
        children = self.changes.holdings.children.get(self.held.instrument_id, {})
        for child in list(children.values()):
            listing = wire.Listing.FromString(child.body)
            if listing.HasField("valid_to") and moment(listing.valid_to) <= self.at:
                continue
            event = wire.LifecycleEvent()
            event.CopyFrom(self.event)
            event.listing_id = listing.listing_id
            event.delisting.SetInParent()
            await ListingEvents(self.changes, listing, self.held, event, self.at).end()

    def _goes_on(self, row: IdentifierRow) -> bool:
        """Whether an assertion has to end: listings' own symbols ended with the listings."""
        if row.target_kind is EntityKind.LISTING and row.scheme == int(Scheme.EXCHANGE_SYMBOL):
            return False
        return row.valid_to is None or row.valid_to > self.at

    async def _replacements(self) -> list[tuple[IdentifierRow | None, IdentifierKey | None, int]]:
        """What each replacement ends and begins: (row, name, level). Raises InvalidArgument with all that is wrong, Collision."""
        found: list[FieldViolation] = []
        planned: list[tuple[IdentifierRow | None, IdentifierKey | None, int]] = []
        parts = self.event.identifier_change.replacements
        if not parts:
            field = "event.identifier_change.replacements"
            found.append(FieldViolation(field, "", "required", "the identifiers that change"))
        for at, part in enumerate(parts):
            path = f"event.identifier_change.replacements[{at}]"
            scheme = _SCHEMES.get(part.scheme)
            if scheme is None or scheme is Scheme.EXCHANGE_SYMBOL:
                rule = "the naming system is missing or unknown; a venue's own symbol changes by symbol_change"
                found.append(FieldViolation(f"{path}.scheme", str(part.scheme), "scheme-unknown", rule))
                continue
            try:
                for name in ("old_value", "new_value"):
                    if text := getattr(part, name):
                        setattr(part, name, identifier_type(scheme).canonical(text, f"{path}.{name}"))
            except InvalidArgument as error:
                found.extend(error.violations)
                continue
            row = await self._ending(part, path, found)
            if not part.old_value and not part.new_value:
                found.append(FieldViolation(f"{path}.new_value", "", "required", "an old value, a new one, or both"))
            level = row.level if row is not None else int(usual_level(scheme, part.venue))
            key = truth_key(scheme, part.new_value, part.venue) if part.new_value else None
            if key is not None:
                await self._check_free(key, row, f"{path}.new_value", found)
            planned.append((row, key, level))
        if found:
            raise InvalidArgument.of(found)
        return planned

    async def _ending(
        self, part: wire.IdentifierReplacement, path: str, found: list[FieldViolation]
    ) -> IdentifierRow | None:
        """The assertion that ends; a violation where the instrument does not bear the old value at that time."""
        if not part.old_value:
            return None
        key = truth_key(part.scheme, part.old_value, part.venue)
        await self.changes.load_names([key])
        own = [
            row
            for row in self.changes.holdings.names.get(key, ())
            if row.instrument_id == self.held.instrument_id and holds_at(row, self.at)
        ]
        if not own:
            rule = f"{self.held.instrument_id} does not bear it at {self.at.isoformat()}"
            found.append(FieldViolation(f"{path}.old_value", part.old_value, "not-borne", rule))
            return None
        if own[0].valid_from == self.at:
            rule = "it begins at that very time: an event that ends it comes later"
            found.append(FieldViolation("event.effective_time", self.at.isoformat(), "after-the-start", rule))
        return own[0]

    async def _check_free(
        self, key: IdentifierKey, row: IdentifierRow | None, field: str, found: list[FieldViolation]
    ) -> None:
        await self.changes.load_names([key])
        span = (self.at, row.valid_to if row is not None else None)
        for other in self.changes.holdings.names.get(key, ()):
            if not overlap(*span_of_row(other), *span):
                continue
            if other.instrument_id == self.held.instrument_id:
                rule = f"it bears it since {other.valid_from.isoformat() if other.valid_from else 'ever'}"
                found.append(FieldViolation(field, key.value, "no-change", rule))
            elif key.scheme not in SHARED and (key.scheme not in VENUE_SCOPED or key.venue):
                raise Collision(
                    f"{key.value} is borne by {other.instrument_id} in that span; nothing was changed",
                    metadata={"holder": other.instrument_id, "field": field},
                )

    def _check(self, held: wire.Instrument, begun: Collection[IdentifierKey]) -> None:
        """The rules that a change can break: how many, what an ISIN holds inside, and that there is one of them at a time."""
        if len(held.identifiers) > MAX_IDENTIFIERS:
            count = str(len(held.identifiers))
            rule = f"at most {MAX_IDENTIFIERS} identifiers, those that ended among them"
            raise InvalidArgument.field("event.identifier_change.replacements", count, "too-many", rule)
        # What a person decided that the instrument bears beside others contradicts nothing.
        known = [one for one in map(assertion_of, held.identifiers) if not one.beside]
        found, field = [], "event.identifier_change.replacements"
        for at, one in enumerate(known):
            if why := derived_mismatch(known[:at], one):
                rule = f"{why}: let both change in one event"
                found.append(FieldViolation(field, one.value, "derived-id-mismatch", rule))
            begins = one.valid_from == self.at and truth_key(one.scheme, one.value, one.venue) in begun
            if begins and (other := rival(known, one)) is not None:
                told = f"{second(one, other)}: let that one end in the same event, as its old_value"
                found.append(FieldViolation(field, one.value, "one-at-a-time", told))
        if found:
            raise InvalidArgument.of(found)

    def _stage(self, row: IdentifierRow | None, key: IdentifierKey | None, level: int, revision: int) -> None:
        holdings, source = self.changes.holdings, self.event.source
        if row is not None:
            holdings.close_name(row, key_of(row), revision)
            holdings.assert_name(row._replace(valid_to=self.at, recorded_revision=revision), key_of(row))
        if key is None:
            return
        own = self.held.instrument_id
        known = row or IdentifierRow(
            key.scheme, "", key.venue, level, EntityKind.INSTRUMENT, own, own, None, None, source or self.held.source
        )
        known = known._replace(
            value=key.value,
            valid_from=self.at,
            recorded_revision=revision,
            source=source or known.source,
            shared=False,
        )
        holdings.assert_name(known, key)

    async def _others(self, given: list[str], field: str) -> list[wire.Instrument]:
        """The instruments after the event. Raises InvalidArgument for none, unknown ones and itself; FailedPrecondition for one
        that was merged into another."""
        found: list[FieldViolation] = []
        if not given:
            found.append(FieldViolation(field, "", "required", "the instruments after it, registered before"))
        others = []
        for at, text in enumerate(dict.fromkeys(given)):
            path = f"{field}[{at}]"
            try:
                wanted = InstrumentId.parse(text, path).hex
            except InvalidArgument as error:
                found.extend(error.violations)
                continue
            if wanted == self.held.instrument_id:
                found.append(FieldViolation(path, text, "not-itself", "another instrument comes after it"))
            elif await self.changes.holdings.instrument(wanted) is None:
                rule = "no instrument with this id is registered"
                found.append(FieldViolation(path, text, "reference-unknown", rule))
            else:
                others.append(await instrument(self.changes.holdings, wanted))
        if found:
            raise InvalidArgument.of(found)
        for one in others:
            if one.merged_into:
                raise FailedPrecondition(
                    f"{one.instrument_id} was merged into {one.merged_into}", hint=f"name {one.merged_into}"
                )
        return others

    def _put(self, message: wire.Instrument, change: ChangeKind, also: wire.Instrument | None = None) -> int:
        self.changes.touched[message.instrument_id] = None
        return self.changes.holdings.put_changed(message, change, also=also)
