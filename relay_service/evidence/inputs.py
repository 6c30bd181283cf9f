"""What the core tells of its inputs, put into the journal: the settings first, a definition before the first event it has a part in, and its changes.

What is noted is bounded by what events come of, not by what the registries hold: a listing is noted at its first event, a venue with the first of its
listings. Synthetics are few, and are noted as they come.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from relay_service.core import RelayCore
from relay_service.kernel.engine import KernelSettings
from relay_service.log.journal import Journal

SETTINGS: Final = "settings"
LISTING: Final = "listing"
"""Named by its listing_key in decimal digits; a serialized ListingDefinition."""
VENUE: Final = "venue"
"""Named by its code; a serialized Venue."""
SYNTHETIC: Final = "synthetic"
"""Named by its name; a serialized Synthetic."""
TICK: Final = "tick"


class InputNotes:
    """`relay_service.notes.Notes` of one core, into one journal."""

    def __init__(self, core: RelayCore, journal: Journal) -> None:
        self._core = core
        self._replica = core.replica
        self._journal = journal
        self._venues: set[str] = set()
        """Of listings that were noted."""
        journal.append_input(SETTINGS, "", json.dumps(asdict(core.settings)).encode(), 0)
        core.tell(self)

    def met(self, slots: Sequence[int]) -> None:
        """The first event of each of these slots came."""
        for slot in slots:
            if self._replica.listing(slot) is not None:
                self.listing(slot)

    def listing(self, slot: int) -> None:
        """The definition of a slot that events came of is new, changed or gone."""
        listing = self._replica.listing(slot)
        if listing is not None and listing.venue not in self._venues:
            self._venues.add(listing.venue)
            self.venue(listing.venue)
        key = int(self._core.slots.table["key"][slot])
        self._note(LISTING, str(key), self._replica.definition(slot))

    def venue(self, code: str) -> None:
        """A venue is new, changed or gone."""
        if code in self._venues:
            venue = self._replica.venue(code)
            self._note(VENUE, code, b"" if venue is None else venue.SerializeToString())

    def synthetic(self, name: str, data: bytes) -> None:
        """A synthetic was put, changed or not; without data it is gone."""
        self._note(SYNTHETIC, name, data)

    def ticked(self, now_ns: int) -> None:
        """Time passed, changed something, and nothing came of it that would tell of it."""
        self._journal.append_input(TICK, "", b"", now_ns)

    def _note(self, what: str, name: str, data: bytes) -> None:
        self._journal.append_input(what, name, data, self._replica.now_ns)


def settings_of(data: bytes) -> KernelSettings:
    """The settings that were noted. TypeError, ValueError: they are of another version."""
    return KernelSettings(**json.loads(data))
