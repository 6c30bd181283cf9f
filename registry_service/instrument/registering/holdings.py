"""What the registry holds of the things a batch names: read once, then kept up to date while the batch is planned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

from alphapulse.domain.asset_class import AssetClass
from alphapulse.domain.identifiers import Level, Scheme
from registry_service.instrument.convert import Timestamp, stamp, wire
from registry_service.instrument.keys import SHARED, entry_key, entry_keys, name_keys, truth_key
from registry_service.instrument.lifecycle.events import due_of
from registry_service.instrument.queries.facets import expiry_of, instrument_facets, listing_facets, search_name
from registry_service.instrument.registering.drafts import signed
from registry_service.instrument.registering.rules import overlap
from registry_service.storage.model import (
    ChangeKind,
    Entity,
    EntityKind,
    IdentifierKey,
    IdentifierRow,
    Needs,
    WriteSession,
)

_SYMBOL: Final = int(Scheme.EXCHANGE_SYMBOL)
_INSTRUMENT: Final = EntityKind.INSTRUMENT
_LISTING_LEVEL: Final = int(Level.LISTING)


@lru_cache(4)
def _stamps(now: datetime) -> tuple[Timestamp, bytes]:
    """All operations of one commit have the same; nobody changes it."""
    message = stamp(now)
    return message, message.SerializeToString()


class Holdings:
    """The session's state for the ids and names of some drafts; every put goes through here."""

    def __init__(self, session: WriteSession) -> None:
        self.session = session
        self.now: datetime = session.now
        self.stamp, self.raw_stamp = _stamps(session.now)
        """The time of this commit, and its bytes."""
        self.instruments: dict[str, Entity] = {}
        self.listings: dict[int, Entity | None] = {}
        """By signed key; None for a key that was read and is free."""
        self.children: dict[str, dict[str, Entity]] = {}
        self.names: dict[IdentifierKey, list[IdentifierRow]] = {}
        """Who bears a name; only names that somebody bears, or bore in this batch. Not those of schemes whose names very many
        instruments bear (`SHARED`): of these each instrument's own alone matter."""
        self._shared: dict[tuple[IdentifierKey, str], list[IdentifierRow]] = {}
        """What an instrument bears of a name of these schemes."""
        self._sharers: set[str] = set()
        """The instruments of which that was read."""
        self.reserved: dict[int, str] = {}
        """Listings of this batch that are named and not staged yet, by their signed key."""
        self.writes = 0
        """How many versions were staged through here."""

    async def load(self, needs: Needs) -> None:
        """Reads everything that entries touch: four questions however many they are."""
        session = self.session
        self.instruments.update(await session.get(_INSTRUMENT, needs.ids))
        if needs.sort_keys:
            await self._load_listings(needs.sort_keys)
        borne = await session.identifiers(needs.names)
        self.names.update({key: list(rows) for key, rows in borne.items() if rows})
        if known := [one for one in needs.ids if one in self.instruments]:
            await self.load_children(known)

    async def load_children(self, ids: Sequence[str]) -> None:
        """Reads the listings of instruments."""
        for parent, entities in (await self.session.children(EntityKind.LISTING, ids)).items():
            self.children[parent] = {one.entity_id: one for one in entities}

    async def load_shared(self, instrument_id: str) -> None:
        """Reads what an instrument and its listings bear of names that very many bear: whoever adds to its names needs it."""
        if instrument_id in self._sharers:
            return
        self._sharers.add(instrument_id)
        targets = [instrument_id, *self.children.get(instrument_id, {})]
        for rows in (await self.session.identifiers_of(targets)).values():
            for row in rows:
                if row.scheme in SHARED:
                    self._shared.setdefault((truth_key(*row[:3]), instrument_id), []).append(row)

    async def instrument(self, instrument_id: str) -> Entity | None:
        """An instrument that no draft named, such as one with a salted id."""
        held = self.instruments.get(instrument_id)
        if held is None:
            found = await self.session.get(EntityKind.INSTRUMENT, [instrument_id])
            held = found.get(instrument_id)
            if held is not None:
                self.instruments[instrument_id] = held
                await self.load_children([instrument_id])
        return held

    async def listing(self, key: int) -> Entity | None:
        """A listing by its signed key, read now where no draft named it."""
        if key not in self.listings:
            await self._load_listings([key])
        return self.listings[key]

    async def _load_listings(self, keys: Sequence[int]) -> None:
        found = await self.session.by_sort_key(EntityKind.LISTING, keys)
        self.listings.update({key: found.get(key) for key in keys})

    def class_of(self, instrument_id: str) -> AssetClass | None:
        """The class of an instrument that is loaded; None for one that is not there."""
        held = self.instruments.get(instrument_id)
        if held is None:
            return None
        return next((AssetClass(int(one[6:])) for one in held.facets if one.startswith("class:")), None)

    def holders(
        self, key: IdentifierKey, but: str, start: datetime | None, end: datetime | None
    ) -> list[IdentifierRow]:
        """Assertions of other instruments that overlap a span."""
        if not self.names.get(key):
            return []
        return [
            row
            for row in self.names.get(key, ())
            if row.instrument_id != but and overlap(row.valid_from, row.valid_to, start, end)
        ]

    def bears(self, key: IdentifierKey, who: str, start: datetime | None, end: datetime | None) -> bool:
        """Whether this instrument is known to bear the name in that span."""
        rows = self._shared.get((key, who), ()) if key.scheme in SHARED else self.names.get(key, ())
        return any(row.instrument_id == who and overlap(row.valid_from, row.valid_to, start, end) for row in rows)

    def shared(self, key: IdentifierKey, who: str) -> Sequence[IdentifierRow]:
        """What an instrument bears of a name that very many bear, as far as it was read (`load_shared`)."""
        rows = self._shared.get((truth_key(*key), who), ())
        return [row for row in rows if not key.venue or row.venue == key.venue]

    def ended(self, key: IdentifierKey, but: str) -> list[datetime]:
        """When others ceased to bear a name, where all of them did."""
        if not self.names.get(key):
            return []
        others = [row for row in self.names.get(key, ()) if row.instrument_id != but]
        ends = [row.valid_to for row in others if row.valid_to is not None and row.valid_to <= self.now]
        return ends if len(ends) == len(others) else []

    def put_new(self, message: wire.Instrument, keys: Iterable[str], facets: tuple[str, ...]) -> int:
        """Stages the first version of an instrument; its revision, etag and times are filled here."""
        message.create_time.CopyFrom(self.stamp)
        return self._put(message, ChangeKind.CREATED, keys, facets)

    def put_changed(self, message: wire.Instrument, change: ChangeKind, *, also: wire.Instrument | None = None) -> int:
        """Stages a later version of an instrument; its revision, etag and times are filled here. `also` is the version
        before, where it bore names that this one does not."""
        keys = [*self._shown_with(message), *(entry_keys(also, ()) if also is not None else ())]
        for one in message.identifiers:
            if not one.HasField("recorded_from"):
                one.recorded_from.CopyFrom(self.stamp)
        return self._put(message, change, keys, instrument_facets(message))

    def put_whole(self, entity: Entity, keys: tuple[str, ...]) -> None:
        """Stages the first version of an instrument, as it is."""
        self.instruments[entity.entity_id] = entity
        self.writes += 1
        self.session.put(entity, ChangeKind.CREATED, keys)

    def put_all(self, entities: Sequence[Entity], keys: Sequence[tuple[str, ...]]) -> None:
        """Stages the first versions of instruments, as they are."""
        self.instruments.update([(one.entity_id, one) for one in entities])
        self.writes += len(entities)
        self.session.put_all(entities, ChangeKind.CREATED, keys)

    def _put(self, message: wire.Instrument, change: ChangeKind, keys: Iterable[str], facets: tuple[str, ...]) -> int:
        revision = self.session.next_revision()
        message.revision = revision
        message.etag = str(revision)
        message.update_time.CopyFrom(self.stamp)
        instrument_id, body = message.instrument_id, message.SerializeToString()
        name = search_name(message) if message.events else message.name
        entity = Entity(*(_INSTRUMENT, instrument_id, body, revision, facets, name, "", 0), expiry_of(message))
        self.instruments[instrument_id] = entity
        self.writes += 1
        self.session.put(entity, change, tuple(dict.fromkeys(keys)))
        return revision

    def put_listing(self, message: wire.Listing, change: ChangeKind, owner: wire.Instrument | None) -> int:
        """Stages a version of a listing. `owner` is given where the instrument itself is not written beside it: all
        answers that show it are then void, too."""
        revision = self.session.next_revision()
        if change is ChangeKind.CREATED:
            message.create_time.CopyFrom(self.stamp)
        message.revision = revision
        message.etag = str(revision)
        message.update_time.CopyFrom(self.stamp)
        keys = list(name_keys(_SYMBOL, message.symbol, message.venue))
        if owner is not None:
            keys.extend(self._shown_with(owner))
        else:
            keys.append(entry_key(message.instrument_id))
        entity = Entity(
            EntityKind.LISTING,
            message.listing_id,
            message.SerializeToString(),
            revision,
            listing_facets(message),
            parent_id=message.instrument_id,
            sort_key=signed(message.listing_key),
            expires_at=due_of(message),
        )
        self.listings[entity.sort_key] = entity
        self.children.setdefault(message.instrument_id, {})[message.listing_id] = entity
        self.writes += 1
        self.session.put(entity, change, tuple(dict.fromkeys(keys)))
        return revision

    def assert_name(self, row: IdentifierRow, key: IdentifierKey) -> None:
        """Stages an assertion."""
        self.note(row, key)
        self.session.assert_identifiers((row,))

    def note(self, row: IdentifierRow, key: IdentifierKey) -> None:
        """Knows of an assertion that is staged."""
        if key.scheme in SHARED:
            self._shared.setdefault((key, row.instrument_id), []).append(row)
        else:
            self.names.setdefault(key, []).append(row)

    def close_name(self, row: IdentifierRow, key: IdentifierKey, revision: int) -> None:
        """Stages the end of what was known."""
        self.forget(row, key)
        self.session.close_identifier(row, revision)

    def forget(self, row: IdentifierRow, key: IdentifierKey) -> None:
        """Knows of an assertion no more."""
        if key.scheme in SHARED:
            place = truth_key(*key), row.instrument_id
            self._shared[place] = [one for one in self._shared.get(place, ()) if one != row]
        else:
            self.names[key] = [one for one in self.names.get(key, ()) if one != row]

    def symbol_row(
        self, message: wire.Listing, revision: int, start: datetime | None, end: datetime | None
    ) -> IdentifierRow:
        """The assertion that a listing bears its symbol."""
        return IdentifierRow(
            scheme=_SYMBOL,
            value=message.symbol,
            venue=message.venue,
            level=_LISTING_LEVEL,
            target_kind=EntityKind.LISTING,
            target_id=message.listing_id,
            instrument_id=message.instrument_id,
            valid_from=start,
            valid_to=end,
            source=message.source,
            recorded_revision=revision,
        )

    def _shown_with(self, owner: wire.Instrument) -> Iterable[str]:
        held = self.children.get(owner.instrument_id, {})
        return entry_keys(owner, [wire.Listing.FromString(one.body) for one in held.values()])
