"""The registries as the relay knows them: every listing, instrument, venue and synthetic, and their effect on the kernel's tables.

Changes come in by `apply_*` and `remove_*`, in any order: what refers to something that has not come yet is completed when
it comes. Which definitions changed is gathered until the core asks (`take_changed`), so a run of changes costs the
subscriptions one evaluation.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Final, Literal

import numpy as np

from alphapulse.api.instrument.v1.instrument_pb2 import Instrument, Listing
from alphapulse.api.relay.v1.relay_service_pb2 import ListingDefinition
from alphapulse.api.synthetic.v1.synthetic_pb2 import Synthetic
from alphapulse.api.venue.v1.venue_pb2 import Venue
from alphapulse.domain.errors import InvalidArgument
from alphapulse.domain.revisions import RevisionToken
from relay_service.enrichment import convert
from relay_service.enrichment.revision import RevisionGate
from relay_service.enrichment.synthetics import SyntheticEngine
from relay_service.kernel.groups import GroupTable
from relay_service.kernel.slots import SlotTable
from relay_service.notes import Notes
from relay_service.placement import Placement

_log: Final = logging.getLogger(__name__)

Registry = Literal["instrument", "venue", "synthetic"]


class EnrichmentReplica:
    """What the registries said, by slot and by id. Not thread-safe: it lives on the relay's event loop."""

    def __init__(
        self, slots: SlotTable, groups: GroupTable, synthetics: SyntheticEngine, placement: Placement | None = None
    ) -> None:
        """`placement` is told which listings are defined, where the relay has a part of them."""
        self._placement = placement
        self._slots = slots
        self._groups = groups
        self._engine = synthetics
        self._listings: dict[int, Listing] = {}
        self._instruments: dict[str, Instrument] = {}
        self._venues: dict[str, Venue] = {}
        self._synthetics: dict[int, Synthetic] = {}
        self._of_instrument: dict[str, set[int]] = {}
        self._of_venue: dict[str, set[int]] = {}
        self._venue_fees: dict[str, convert.VenueFees] = {}
        self._own_fees = np.full(1024, np.nan)
        """By slot: the listing's own taker fee in basis points; NaN where its venue's holds."""
        self._changed: dict[int, None] = {}
        self._changed_venues: dict[str, None] = {}
        self._now_ns = 0
        self._next_fee_ns = convert.FOREVER
        self._gate = RevisionGate()
        self.notes: Notes | None = None
        """Who is told of changes of what events came of."""

    # What is known.

    @property
    def listings(self) -> int:
        """How many listings are defined."""
        return len(self._listings)

    @property
    def revision(self) -> RevisionToken:
        """The revision of each registry that has been applied."""
        return self._gate.token

    def listing(self, slot: int) -> Listing | None:
        """The listing of a slot."""
        return self._listings.get(slot)

    def instrument(self, slot: int) -> Instrument | None:
        """The instrument that the listing of a slot lists."""
        listing = self._listings.get(slot)
        return None if listing is None else self._instruments.get(listing.instrument_id)

    def instrument_by_id(self, instrument_id: str) -> Instrument | None:
        """An instrument by id."""
        return self._instruments.get(instrument_id)

    def listing_keys(self, instrument_id: str) -> list[int]:
        """The keys of the listings of an instrument."""
        return [self._listings[slot].listing_key for slot in self._of_instrument.get(instrument_id, ())]

    def venue(self, code: str) -> Venue | None:
        """A venue by code."""
        return self._venues.get(code)

    def venue_fees(self, code: str) -> convert.VenueFees:
        """What holds of a venue's fee schedules now."""
        return self._venue_fees.get(code, convert.NO_FEES)

    def synthetic(self, slot: int) -> Synthetic | None:
        """The synthetic of a slot."""
        return self._synthetics.get(slot)

    def synthetics(self) -> dict[int, Synthetic]:
        """All synthetics by slot."""
        return dict(self._synthetics)

    @property
    def now_ns(self) -> int:
        """The time that fee schedules are judged by; 0 before time passed for the first time."""
        return self._now_ns

    def definition(self, slot: int) -> bytes:
        """The serialized ListingDefinition of a slot; empty where it has none."""
        listing = self._listings.get(slot)
        if listing is None:
            return b""
        instrument = self._instruments.get(listing.instrument_id)
        return ListingDefinition(listing=listing, instrument=instrument).SerializeToString()

    @property
    def has_changed(self) -> bool:
        """Whether `take_changed` or `take_changed_venues` would give any."""
        return bool(self._changed or self._changed_venues)

    def take_changed(self) -> list[int]:
        """The slots defined anew, or no longer, since the last call."""
        if not self._changed:
            return []
        changed, self._changed = list(self._changed), {}
        return changed

    def take_changed_venues(self) -> list[str]:
        """The codes of venues that are new, changed or gone, or whose fees changed as time passed, since the last call."""
        if not self._changed_venues:
            return []
        changed, self._changed_venues = list(self._changed_venues), {}
        return changed

    # What the registries say.

    def apply_listing(self, listing: Listing) -> None:
        """A listing is new or changed."""
        slot = self._slots.add(listing.listing_key)
        before = self._listings.get(slot)
        if before is not None and before.instrument_id != listing.instrument_id:
            self._leave(slot, before)
        self._listings[slot] = listing
        self._of_instrument.setdefault(listing.instrument_id, set()).add(slot)
        self._of_venue.setdefault(listing.venue, set()).add(slot)
        venue = self._venues.get(listing.venue)
        instrument = self._instruments.get(listing.instrument_id)
        row = self._slots.table[slot]
        row["known"], row["definition_version"] = 1, listing.definition_version
        row["listing_status"] = listing.status
        row["venue_status"] = venue.status if venue is not None else 0
        row["asset_class"] = instrument.asset_class if instrument is not None else 0
        row["venue"] = self._slots.venues.number_of(listing.venue)
        row["instrument"] = self._slots.instruments.number_of(listing.instrument_id)
        row["tick"], row["tick_exponent"] = convert.tick_of(listing)
        row["taker_fee_bps"] = self._take_fee(slot, listing)
        self._groups.place(slot, listing.instrument_id, listing.currency, convert.multiplier_of(listing))
        self._groups.reconsider(slot)
        self._engine.relist(listing.instrument_id, slot)
        self._changed[slot] = None
        if self._placement is not None:
            self._placement.defined(listing.listing_key, listing.instrument_id, heard=bool(row["met"]))
        if self.notes is not None and row["met"] and listing != before:
            self.notes.listing(slot)

    def remove_listing(self, listing_key: int) -> None:
        """A listing is no longer in force: its events are those of an unknown one."""
        slot = self._slots.slot_of(listing_key)
        listing = self._listings.pop(slot, None)
        if listing is None:
            return
        self._leave(slot, listing)
        if self._placement is not None:
            self._placement.gone(listing_key)
        self._of_venue[listing.venue].discard(slot)
        self._groups.remove(slot)
        row = self._slots.table[slot]
        row["known"], row["definition_version"], row["taker_fee_bps"], row["tick"] = 0, 0, math.nan, 0
        self._changed[slot] = None
        if self.notes is not None and row["met"]:
            self.notes.listing(slot)

    def apply_instrument(self, instrument: Instrument) -> None:
        """An instrument is new or changed."""
        self._instruments[instrument.instrument_id] = instrument
        for slot in self._of_instrument.get(instrument.instrument_id, ()):
            self._slots.table["asset_class"][slot] = instrument.asset_class
            self._changed[slot] = None

    def remove_instrument(self, instrument_id: str) -> None:
        """An instrument is no longer in force; its listings say for themselves when they are not."""
        if self._instruments.pop(instrument_id, None) is not None:
            for slot in self._of_instrument.get(instrument_id, ()):
                self._slots.table["asset_class"][slot] = 0
                self._changed[slot] = None

    def apply_venue(self, venue: Venue) -> None:
        """A venue is new or changed: its status and fees hold for its listings."""
        before = self._venues.get(venue.code)
        self._venues[venue.code] = venue
        self._changed_venues[venue.code] = None
        self._refresh_venue(venue)
        if self.notes is not None and venue != before:
            self.notes.venue(venue.code)

    def remove_venue(self, code: str) -> None:
        """A venue is no longer in force: its fees are not known any more."""
        if self._venues.pop(code, None) is not None:
            self._venue_fees.pop(code, None)
            self._changed_venues[code] = None
            self._refresh_listings(code, 0)
            if self.notes is not None:
                self.notes.venue(code)

    def apply_synthetic(self, synthetic: Synthetic) -> None:
        """A synthetic is new or changed. One that cannot be computed here is left out, with a line in the log."""
        slot = self._slots.add(synthetic.listing_key)
        self._synthetics[slot] = synthetic
        self._changed[slot] = None
        if self.notes is not None:
            self.notes.synthetic(synthetic.name, synthetic.SerializeToString(), (slot,))
        if not convert.is_active(synthetic):
            self._engine.remove(synthetic.name)
            return
        try:
            self._engine.put(convert.synthetic_definition(synthetic))
        except InvalidArgument as error:
            _log.warning("synthetic %s is not computed: %s", synthetic.name, error)
            self._engine.remove(synthetic.name)

    def remove_synthetic(self, name: str) -> None:
        """A synthetic is no longer in force."""
        gone = [slot for slot, synthetic in self._synthetics.items() if synthetic.name == name]
        for slot in gone:
            del self._synthetics[slot]
            self._slots.table["known"][slot] = 0
            self._changed[slot] = None
        self._engine.remove(name)
        if self.notes is not None:
            self.notes.synthetic(name, b"", gone)

    def keep_only(self, registry: Registry, keys: set[str]) -> None:
        """After a whole snapshot, all of it applied: what it did not name is gone. Keys: listing and instrument ids, venue codes, or names of
        synthetics."""
        if registry == "instrument":
            if len(keys) == len(self._listings) + len(self._instruments):
                return  # all of `keys` is held, and nothing else: not looked at one by one, there may be a million
            for listing in [one for one in self._listings.values() if one.listing_id not in keys]:
                self.remove_listing(listing.listing_key)
            for instrument_id in [one for one in self._instruments if one not in keys]:
                self.remove_instrument(instrument_id)
        elif registry == "venue":
            for code in [one for one in self._venues if one not in keys]:
                self.remove_venue(code)
        else:
            for name in [one.name for one in self._synthetics.values() if one.name not in keys]:
                self.remove_synthetic(name)

    def set_revision(self, registry: Registry, revision: int) -> None:
        """Everything up to a revision has been applied."""
        self._gate.reach(registry, revision)

    async def wait_revision(self, token: RevisionToken, timeout: float) -> bool:
        """Wait until a revision has been applied; False when it is not within `timeout` seconds."""
        if self.revision.covers(token):
            return True
        try:
            await asyncio.wait_for(self._gate.wait(token), timeout)
        except TimeoutError:
            return False
        return True

    def pass_time(self, now_ns: int) -> bool:
        """Let fee schedules begin and end; whether any may have."""
        first, self._now_ns = self._now_ns == 0, now_ns
        if first or now_ns >= self._next_fee_ns:
            self._next_fee_ns = convert.FOREVER
            for venue in self._venues.values():
                self._refresh_venue(venue)
            return bool(self._venues)
        return False

    def _refresh_venue(self, venue: Venue) -> None:
        found = convert.venue_fees(venue, self._now_ns)
        self._next_fee_ns = min(self._next_fee_ns, found.until_ns)
        if found != self.venue_fees(venue.code):
            self._changed_venues[venue.code] = None
        self._venue_fees[venue.code] = found
        self._refresh_listings(venue.code, venue.status)

    def _refresh_listings(self, code: str, status: int) -> None:
        """All of a venue at once: there may be a hundred thousand. Their definitions, which name the venue alone, stay the same."""
        listed = self._of_venue.get(code)
        if not listed:
            return
        slots = np.fromiter(listed, np.int64, len(listed))
        table, own = self._slots.table, self._own_fees[slots]
        fees = np.where(np.isnan(own), self.venue_fees(code).taker_bps, own)
        before = table["taker_fee_bps"][slots]
        same = (fees == before) | (np.isnan(fees) & np.isnan(before))
        changed = ~same | (table["venue_status"][slots] != status)
        slots = slots[changed]
        table["venue_status"][slots], table["taker_fee_bps"][slots] = status, fees[changed]
        self._groups.reconsider(slots)

    def _take_fee(self, slot: int, listing: Listing) -> float:
        """Note a listing's own taker fee; the one that holds for it."""
        if slot >= len(self._own_fees):
            more = np.full(max(slot + 1, 2 * len(self._own_fees)) - len(self._own_fees), np.nan)
            self._own_fees = np.concatenate((self._own_fees, more))
        own = self._own_fees[slot] = convert.own_taker_fee(listing)
        return self.venue_fees(listing.venue).taker_bps if math.isnan(own) else own

    def _leave(self, slot: int, listing: Listing) -> None:
        self._of_instrument.get(listing.instrument_id, set()).discard(slot)
        self._engine.unlist(listing.instrument_id, slot)
